//! A wrong merge that is made, shown and undone, and stays undone.

use serde_json::json;

use super::fixture::{Fixture, report};

const SHARED: (&str, &str) = ("MachineID", "M1");

impl Fixture {
    async fn take_out(&self, device: &str, body: &str) -> (u16, serde_json::Value) {
        self.post(&format!("/api/v1/devices/{device}/unmerge"), body).await
    }

    /// Per device: its id and how many records it has.
    async fn homes(&self) -> Vec<(String, usize)> {
        homes(&self.get("/api/v1/devices").await)
    }

    /// Waits until they are `expected`: the list follows the facts that a device's own page shows.
    async fn until_homes(&self, expected: &[(&str, usize)]) {
        let is_so = |list: &serde_json::Value| {
            homes(list).iter().map(|(id, records)| (id.as_str(), *records)).eq(expected.iter().copied())
        };
        self.until("/api/v1/devices", is_so).await;
    }
}

fn homes(list: &serde_json::Value) -> Vec<(String, usize)> {
    let home =
        |item: &serde_json::Value| (item["id"].as_str().unwrap().into(), item["records"].as_u64().unwrap() as usize);
    list["items"].as_array().unwrap().iter().map(home).collect()
}

#[actix::test]
async fn a_wrong_merge_is_undone_and_stays_undone_when_the_machines_report_again_and_after_a_restart() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[SHARED, ("Manufacturer", "Dell")], &[])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture.settle(report(2, 1, &[SHARED, ("Model", "R-220")], &[])).await;
    let list = fixture.until("/api/v1/devices", |list| list["items"][0]["records"] == 2).await;
    assert_eq!((&list["total"], &list["items"][0]["model"]), (&json!(1), &json!("R-220")));
    let device = fixture.get("/api/v1/devices/1").await;
    let of_second = |record: &&serde_json::Value| record["record_id"] == "2";
    assert!(device["records"].as_array().unwrap().iter().find(of_second).is_some(), "{device}");

    assert_eq!(fixture.take_out("1", r#"{"records":["2"]}"#).await, (200, json!({ "device": "2", "pairs": 1 })));
    fixture.until_homes(&[("1", 1), ("2", 1)]).await;
    let [first, second] = [fixture.get("/api/v1/devices/1").await, fixture.get("/api/v1/devices/2").await];
    assert_eq!((&first["manufacturer"], &first["model"]), (&json!("Dell"), &json!("")));
    assert_eq!((&second["manufacturer"], &second["model"]), (&json!(""), &json!("R-220")));
    fixture.reconciled().await;

    // Both say again that they are the same machine, alone and together.
    for sequence in 2..4 {
        fixture.settle(report(2, sequence, &[SHARED, ("Model", "R-221")], &[("a", &sequence.to_string())])).await;
        fixture.reconciled().await;
        fixture.settle(report(1, sequence, &[SHARED, ("Manufacturer", "Dell")], &[("a", &sequence.to_string())])).await;
        fixture.reconciled().await;
    }
    fixture.until("/api/v1/devices/2", |device| device["model"] == "R-221").await;
    assert_eq!(fixture.homes().await, [("1".into(), 1), ("2".into(), 1)]);

    // Also after a restart, when the keys are made anew from the log.
    let fixture = fixture.restarted().await;
    fixture.settle(report(2, 5, &[SHARED, ("Model", "R-222")], &[])).await;
    fixture.until("/api/v1/devices/2", |device| device["model"] == "R-222").await;
    assert_eq!(fixture.homes().await, [("1".into(), 1), ("2".into(), 1)]);
    // A third machine may still join one of the two.
    fixture.settle(report(3, 1, &[SHARED], &[])).await;
    fixture.until("/api/v1/devices/1", |device| device["records"].as_array().is_some_and(|list| list.len() == 2)).await;
    fixture.until_homes(&[("1", 2), ("2", 1)]).await;
    fixture.stop().await;
}

#[actix::test]
async fn what_makes_no_sense_changes_nothing() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[SHARED], &[])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    for (device, body, status, why) in [
        ("1", r#"{"records":[]}"#, 400, "name at least one record to take out"),
        ("1", r#"{"records":["9"]}"#, 400, "record 9 does not belong to this device"),
        ("1", r#"{"records":["1"]}"#, 400, "these are all records of the device"),
        ("1", r#"{"records":["x"]}"#, 400, "`x` is no number of a record"),
        ("1", r#"{"records":[1]}"#, 400, "the body has to be like"),
        ("1", r#"{"record":["1"]}"#, 400, "the body has to be like"),
        ("1", "", 400, "the body has to be like"),
        ("7", r#"{"records":["1"]}"#, 404, "there is no device of this number"),
        ("x", r#"{"records":["1"]}"#, 404, "a device has a number"),
    ] {
        let (code, answer) = fixture.take_out(device, body).await;
        let text = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(code == status && text.contains(why), "{device} {body}: {code} {answer}");
    }
    let by_name = reqwest::Client::new()
        .post(fixture.operator("/api/v1/devices/1/unmerge"))
        .header("host", "evil.example")
        .body(r#"{"records":["1"]}"#);
    assert_eq!(by_name.send().await.unwrap().status(), 403);
    let (status, _) = fixture.raw(reqwest::Method::GET, "/api/v1/devices/1/unmerge").await;
    assert_eq!(status, 405);
    assert_eq!(fixture.homes().await, [("1".into(), 1)]);
    fixture.stop().await;
}

#[actix::test]
async fn what_changes_on_a_device_is_its_history() {
    let fixture = Fixture::plain().await;
    fixture.settle(report(1, 1, &[("MachineID", "M1"), ("Model", "old")], &[])).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture.reconciled().await;
    assert_eq!(fixture.get("/api/v1/devices/1/history").await["total"], 0, "the first sight is no change");
    fixture.settle(report(1, 2, &[("MachineID", "M1"), ("Model", "new")], &[])).await;
    let history = fixture.until("/api/v1/devices/1/history", |history| history["total"] == 1).await;
    let change = &history["items"][0];
    let told = ["change", "property", "from", "to", "source"].map(|field| change[field].as_str().unwrap());
    assert_eq!(told, ["value", "ModelNo", "old", "new", "agent"]);
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.get("/api/v1/devices/1/history").await, history, "a restart forgets nothing");
    assert_eq!(fixture.refused("/api/v1/devices/9/history").await.0, 404);
    fixture.stop().await;
}
