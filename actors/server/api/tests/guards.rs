//! What keeps wrong merges away, over HTTP: fillers, clones, dry runs, and what imports tell.

use serde_json::{Value, json};

use super::fixture::{Fixture, report};

const IMAGE: (&str, &str) = ("MachineID", "Golden Image");

/// A serial number of its own for each agent.
async fn settle(fixture: &Fixture, agent: u8, sequence: u64, more: &[(&str, &str)]) {
    let serial = format!("S{agent}");
    let properties: Vec<(&str, &str)> = [("SerialNumber", &*serial)].into_iter().chain(more.iter().copied()).collect();
    fixture.settle(report(agent, sequence, &properties, &[("a", &sequence.to_string())])).await;
}

async fn total(fixture: &Fixture) -> Value {
    fixture.get("/api/v1/devices").await["total"].clone()
}

#[actix::test]
async fn a_value_of_many_machines_is_listed_and_joins_nobody_once_it_is_demoted() {
    let fixture = Fixture::plain().await;
    for agent in 1..=4 {
        settle(&fixture, agent, 1, &[IMAGE]).await;
    }
    fixture.reconciled().await;
    assert_eq!(total(&fixture).await, 1, "one machine id, one device");
    assert_eq!(fixture.get("/api/v1/fillers").await["total"], 0, "ten machines are worth a look");
    let list = fixture.get("/api/v1/fillers?machines=4").await;
    let filler =
        json!({"property": "MachineID", "value": "golden image", "records": 4, "machines": 4, "demoted": false});
    assert_eq!(list["items"], json!([filler]));

    let demoted = fixture.post("/api/v1/fillers", r#"{"value": " Golden IMAGE ", "demoted": true}"#).await;
    assert_eq!(demoted, (200, json!({"value": "golden image", "demoted": true, "changed": true})));
    fixture.reconciled().await;
    // Bound records stay until they are taken apart; another machine of the series is one of its own.
    settle(&fixture, 5, 1, &[IMAGE]).await;
    fixture.until_devices("/api/v1/devices", 2).await;
    fixture.reconciled().await;
    let import = &fixture.get("/api/v1/imports").await["items"][0];
    assert_eq!((&import["records"], &import["placeholders"]), (&json!(1), &json!({"MachineID": 1})));
    let out = fixture.post("/api/v1/devices/1/unmerge", r#"{"records":["2"]}"#).await;
    assert_eq!(out.0, 200, "{out:?}");

    let list = fixture.get("/api/v1/fillers").await;
    assert_eq!((&list["items"][0]["demoted"], &list["items"][0]["records"]), (&json!(true), &json!(5)));
    let fixture = fixture.restarted().await;
    let again = fixture.post("/api/v1/fillers", r#"{"value": "golden image", "demoted": true}"#).await;
    assert_eq!(again.1["changed"], false);
    let restored = fixture.post("/api/v1/fillers", r#"{"value": "golden image", "demoted": false}"#).await;
    assert_eq!(restored.1, json!({"value": "golden image", "demoted": false, "changed": true}));
    // It joins again, but for the record that was taken out.
    let is_joined = |device: &Value| device["records"].as_array().is_some_and(|records| records.len() == 4);
    fixture.until("/api/v1/devices/1", is_joined).await;
    assert_eq!(fixture.get("/api/v1/devices/3").await["records"].as_array().unwrap().len(), 1);
}

#[actix::test]
async fn wrong_questions_about_fillers_change_nothing() {
    let fixture = Fixture::plain().await;
    for (body, code) in [
        ("", "filler"),
        (r#"{"value": "x"}"#, "filler"),
        (r#"{"value": "x", "demoted": true, "more": 1}"#, "filler"),
        (r#"{"value": " \t", "demoted": true}"#, "value"),
        (&format!(r#"{{"value": "{}", "demoted": true}}"#, "x".repeat(513)), "value"),
    ] {
        let (status, answer) = fixture.post("/api/v1/fillers", body).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{body}: {answer}");
    }
    for path in ["/api/v1/fillers?machines=1", "/api/v1/fillers?machines=x", "/api/v1/fillers?machines=4&machines=5"] {
        assert_eq!(fixture.refused(path).await.0, 400, "{path}");
    }
    assert_eq!(fixture.get("/api/v1/fillers").await["total"], 0);
}

#[actix::test]
async fn machines_that_report_by_turns_under_one_name_are_told_and_not_merged_again_and_again() {
    let fixture = Fixture::plain().await;
    let one = [("MachineID", "M1"), ("SerialNumber", "S1")];
    let other = [("MachineID", "M2"), ("SerialNumber", "S2")];
    for sequence in 1..=8 {
        let machine = if sequence % 2 == 1 { &one } else { &other };
        fixture.settle(report(1, sequence, machine, &[("a", &sequence.to_string())])).await;
        fixture.reconciled().await;
    }
    let list = fixture.get("/api/v1/devices").await;
    assert_eq!(list["total"], 2, "a device for each machine, however often they take turns: {list}");
    let imports = fixture.get("/api/v1/imports").await;
    let items = imports["items"].as_array().unwrap();
    assert!(items.iter().all(|import| import["merged"] == 0), "{imports}");
    assert_eq!(items[0]["clones"], json!({"count": 1, "samples": ["1"]}));
    let homes = [fixture.get("/api/v1/devices/1").await, fixture.get("/api/v1/devices/2").await];
    let records: Vec<&Value> = homes.iter().flat_map(|home| home["records"].as_array().unwrap()).collect();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&record["clone"]["machines"], &record["clone"]["changes"]), (&json!(2), &json!(7)));
    // A machine that says one thing is no clone.
    settle(&fixture, 3, 1, &[("MachineID", "M3")]).await;
    let device = fixture.until("/api/v1/devices/3", |device| device["records"][0].is_object()).await;
    assert_eq!(device["records"][0]["clone"], Value::Null);
}

const BY_MODEL: &str =
    "<Matchers><Matcher Order='5' Name='model'><Rules><Rule Property='ModelNo'/></Rules></Matcher></Matchers>";

#[actix::test]
async fn a_changed_file_of_matchers_is_tried_without_writing_anything() {
    let fixture = Fixture::plain().await;
    for agent in 1..=3 {
        settle(&fixture, agent, 1, &[("Model", if agent < 3 { "R-220" } else { "R-440" })]).await;
    }
    fixture.reconciled().await;
    let before = (fixture.get("/api/v1/devices").await, fixture.get("/api/v1/imports").await);
    let (status, run) = fixture.post("/api/v1/matching/dry-run", BY_MODEL).await;
    assert_eq!((status, &run["records"], &run["devices"]), (200, &json!(3), &json!(3)), "{run}");
    assert_eq!(
        (&run["merged"]["count"], &run["split"]["count"], &run["appeared"]["count"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let sample = &run["merged"]["samples"][0];
    assert_eq!((&sample["device"], &sample["others"]), (&json!("1"), &json!(["2"])));
    assert!(sample["sentences"][0].as_str().unwrap().contains("Matcher 5 (model) found ModelNo `R-220`"), "{sample}");
    assert_eq!((fixture.get("/api/v1/devices").await, fixture.get("/api/v1/imports").await), before);

    for (body, part) in [
        ("<Matchers>", "custom file"),
        (
            "<Matchers><Matcher Order='5'><Rules><Rule Property='Foo'/></Rules></Matcher></Matchers>",
            "unknown property `Foo`",
        ),
    ] {
        let (status, answer) = fixture.post("/api/v1/matching/dry-run", body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(part), "{answer}");
    }
}

#[actix::test]
async fn records_of_two_devices_are_told_why_they_are_not_one() {
    let fixture = Fixture::plain().await;
    for (agent, machine) in [(1, "M1"), (2, "M1"), (3, "M3")] {
        settle(&fixture, agent, 1, &[("MachineID", machine)]).await;
    }
    fixture.reconciled().await;
    let across = fixture.get("/api/v1/devices/1/explain?with=2").await;
    assert_eq!((&across["total"], &across["device"], &across["with"]), (&json!(2), &json!("1"), &json!("2")));
    for item in across["items"].as_array().unwrap() {
        assert_eq!(item["joined"], Value::Null);
        let sentences: Vec<&str> =
            item["sentences"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert!(sentences[0].ends_with("are not one device: no Matcher joined them."), "{sentences:?}");
        assert!(
            sentences.iter().any(|line| line.contains("MachineID has to be the same, but is `M1`")),
            "{sentences:?}"
        );
    }
    let page = fixture.get("/api/v1/devices/1/explain?with=2&limit=1").await;
    let next = fixture
        .get(&format!("/api/v1/devices/1/explain?with=2&limit=1&after={}", page["next"].as_str().unwrap()))
        .await;
    assert_eq!((&next["items"][0], &next["next"]), (&across["items"][1], &Value::Null));
    assert_eq!(fixture.get("/api/v1/devices/1/explain?with=1").await, fixture.get("/api/v1/devices/1/explain").await);
    assert_eq!(fixture.refused("/api/v1/devices/1/explain?with=9").await.0, 404);
    assert_eq!(fixture.refused("/api/v1/devices/1/explain?with=x").await.0, 400);
}

#[actix::test]
async fn a_server_that_starts_with_other_matchers_imports_all_records_by_them() {
    let file = |folder: &std::path::Path, text: &str| std::fs::write(folder.join("custom.xml"), text).unwrap();
    let fixture = Fixture::start(|folder| {
        file(folder, "<Matchers/>");
        format!("matchers_file = \"{}\"", folder.join("custom.xml").display())
    })
    .await;
    for agent in 1..=2 {
        settle(&fixture, agent, 1, &[("Model", "R-220")]).await;
    }
    fixture.reconciled().await;
    assert_eq!(total(&fixture).await, 2);
    file(fixture.folder(), BY_MODEL);
    // Nothing is staged, and no report comes.
    let fixture = fixture.restarted().await;
    let is_one = |list: &Value| list["total"] == 1 && list["items"][0]["records"] == 2;
    fixture.until("/api/v1/devices", is_one).await;
    // Nor is what the Matcher joined told as nobody's work when it is gone.
    file(fixture.folder(), "<Matchers/>");
    fixture.reconciled().await;
    let before = fixture.get("/api/v1/imports").await["total"].as_u64();
    let fixture = fixture.restarted().await;
    fixture.until("/api/v1/imports", |list| list["total"].as_u64() > before).await;
    let pair = &fixture.get("/api/v1/devices/1/explain").await["items"][0];
    let said = pair["sentences"][0].as_str().unwrap();
    assert!(
        said.contains("are one device since an earlier import by a Matcher of Order 5, which is there no more"),
        "{said}"
    );
}

#[actix::test]
async fn records_that_were_taken_apart_are_told_as_such() {
    let fixture = Fixture::plain().await;
    for agent in 1..=2 {
        settle(&fixture, agent, 1, &[IMAGE]).await;
    }
    fixture.reconciled().await;
    assert_eq!(fixture.post("/api/v1/devices/1/unmerge", r#"{"records":["2"]}"#).await.0, 200);
    let across = fixture.get("/api/v1/devices/1/explain?with=2").await;
    let sentences = across["items"][0]["sentences"].to_string();
    assert!(sentences.contains("are not one device: an operator took them apart"), "{sentences}");
    assert!(sentences.contains("its tests hold for these two, but an operator took them apart"), "{sentences}");
}

#[actix::test]
async fn a_page_from_elsewhere_changes_nothing() {
    let fixture = Fixture::plain().await;
    let own = fixture.operator("");
    let ask = async |headers: &[(&str, &str)]| {
        let body = r#"{"value": "evil", "demoted": true}"#;
        let mut request = reqwest::Client::new().post(fixture.operator("/api/v1/fillers")).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(ask(headers).await, 403, "{headers:?}");
    }
    assert_eq!(fixture.get("/api/v1/fillers").await["total"], 0);
    assert_eq!(ask(&[("origin", &own), ("sec-fetch-site", "same-origin")]).await, 200);
    assert_eq!(fixture.get("/api/v1/fillers").await["total"], 1);
}
