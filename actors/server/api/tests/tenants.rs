//! Several tenants in one server: whose what is, what is asked for whom, and tasks that exclude each other by tenant, by
//! group and over the whole server.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use muster::model::tenants::TenantChange;
use muster::time::Timestamp;
use serde_json::{Value, json};

use super::fixture::{Fixture, NOW, guid, report};
use crate::server::books::News;

impl Fixture {
    pub async fn register(&self, tenant: &str, group: &str, beacons: &[u8]) -> Value {
        let beacons: Vec<String> = beacons.iter().map(|number| guid(*number).to_string()).collect();
        let body = json!({ "tenant": tenant, "group": group, "beacons": beacons });
        let (status, answer) = self.post("/api/v1/tenants", &body.to_string()).await;
        assert!(status == 200 || status == 201, "{answer}");
        answer
    }

    async fn status_of(&self, task: &Value) -> String {
        self.task(task).await["status"].as_str().unwrap().to_owned()
    }
}

fn of_tenant(task: &str, tenant: &str) -> Value {
    json!({ "type": task, "tenant": tenant })
}

#[actix::test]
async fn a_report_is_of_the_tenant_whose_beacon_took_it_first_and_nobody_else_sees_it() {
    let fixture = Fixture::plain().await;
    fixture.register("acme", "emea", &[51, 52]).await;
    let zeta = fixture.register("zeta", "default", &[53]).await;
    assert_eq!(zeta["group"], "default");
    // The same machine, as far as its serial number goes, at three tenants.
    let of = |agent| report(agent, 1, &[("MachineID", "M1")], &[("postgresql-15", "15")]);
    let (acme, zeta, own) = (of(1), of(2), of(3));
    let digests = [
        fixture.upload_by(acme, Some(52)).await,
        fixture.upload_by(zeta, Some(53)).await,
        fixture.upload_by(own, Some(54)).await,
    ];
    let tenants = ["acme", "zeta", "default"];
    for (tenant, digest) in tenants.into_iter().zip(&digests) {
        let devices = format!("/api/v1/devices?tenant={tenant}");
        let list = fixture.until_devices(&devices, 1).await;
        assert_eq!(list["items"][0]["id"], "1", "each tenant counts for itself");
        fixture.until(&format!("/api/v1/software?tenant={tenant}"), |list| list["total"] == 1).await;
        for other in &digests {
            let path = format!("/api/v1/packages/{other}?tenant={tenant}");
            let (status, _) = fixture.raw(reqwest::Method::GET, &path).await;
            assert_eq!(status == 200, other == digest, "{path}");
        }
        let summary =
            fixture.until(&format!("/api/v1/ledger/summary?tenant={tenant}"), |sum| sum["in_custody"] == 0).await;
        assert_eq!((&summary["imported"], &summary["published"]), (&json!(1), &json!(1)));
        let device = fixture.get(&format!("/api/v1/devices/1?tenant={tenant}")).await;
        let name = tenants.iter().position(|name| *name == tenant).map(|place| format!("h{}", place + 1));
        assert_eq!(device["name"], json!(name));
    }
    assert_eq!(fixture.get("/api/v1/devices").await["total"], 1, "the server's own");
    let metrics = fixture.text("/metrics").await;
    assert!(metrics.contains("muster_packages_settled_total{state=\"imported\"} 3"), "{metrics}");
    assert!(metrics.contains("muster_tenants 3"), "{metrics}");

    let page = fixture.text("/?tenant=acme").await;
    for part in
        ["tenant acme", "href=\"/?tenant=zeta\"", "href=\"/devices/1?tenant=acme\"", "state=held&#38;tenant=acme"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(fixture.text("/devices/1?tenant=acme").await.contains("href=\"/?tenant=acme\""));
    // What one operator says of fillers is for one tenant.
    let (status, _) = fixture.post("/api/v1/fillers?tenant=acme", r#"{"value": "m1", "demoted": true}"#).await;
    assert_eq!(status, 200);
    let demoted = |tenant: &str| format!("/api/v1/fillers?tenant={tenant}&filter=demoted%3Dtrue");
    assert_eq!(fixture.get(&demoted("acme")).await["total"], 1);
    assert_eq!(fixture.get(&demoted("zeta")).await["total"], 0);

    let fixture = fixture.restarted().await;
    let list = fixture.get("/api/v1/tenants").await;
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["tenant"].as_str().unwrap()).collect();
    assert_eq!(names, ["acme", "default", "zeta"]);
    assert_eq!(list["items"][0]["beacons"].as_array().unwrap().len(), 2);
    for tenant in tenants {
        assert_eq!(fixture.get(&format!("/api/v1/devices?tenant={tenant}")).await["total"], 1);
    }
    // The same once more is known, by whichever beacon of the tenant it comes.
    fixture.upload_by(of(1), Some(51)).await;
    assert_eq!(fixture.get("/api/v1/packages?tenant=acme").await["total"], 1);
    fixture.stop().await;
}

#[actix::test]
async fn a_wrong_tenant_is_refused_and_says_what_to_do() {
    let fixture = Fixture::daily().await;
    fixture.register("acme", "emea", &[51]).await;
    for (path, part) in [
        ("/api/v1/devices?tenant=nobody", "there is no tenant `nobody`, see `GET /api/v1/tenants`"),
        ("/api/v1/devices?tenant=a%20b", "there is no tenant `a%20b`"),
        ("/api/v1/packages?tenant=acme&tenant=zeta", "`tenant` is given twice"),
        ("/?tenant=nobody", "there is no tenant `nobody`"),
    ] {
        let (status, error) = fixture.refused(path).await;
        assert_eq!(status, 400, "{path}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    for (body, part) in [
        (json!({ "tenant": "a b" }), "is not a tenant name"),
        (json!({ "tenant": "b", "group": "two words" }), "is not a group name"),
        (json!({ "tenant": "b", "beacons": ["b-01"] }), "is not a GUID"),
        (json!({ "tenant": "b", "beacons": [guid(51).to_string()] }), "is registered for tenant acme"),
        (json!({ "tenant": "b", "without_beacons": [guid(51).to_string()] }), "is not registered for this tenant"),
        (json!({ "tenant": "b", "colour": "red" }), "unknown field `colour`"),
    ] {
        let (status, answer) = fixture.post("/api/v1/tenants", &body.to_string()).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(fixture.get("/api/v1/tenants").await["total"], 2, "nothing of that is registered");
    for (body, part) in [
        (json!({ "type": "InventoryImport" }), "there are several: name it"),
        (json!({ "type": "InventoryImport", "tenant": "acme", "group": "emea" }), "not for both"),
        (json!({ "type": "InventoryImport", "tenant": "nobody" }), "there is no tenant `nobody`"),
    ] {
        let (status, answer) = fixture.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
    }
    fixture.stop().await;
}

/// Acceptance case 2 of the reference, with an import in the place of a longer one.
#[actix::test]
async fn an_import_of_one_tenant_keeps_no_other_tenant_but_every_library() {
    let fixture = Fixture::daily().await;
    fixture.register("t1", "g1", &[]).await;
    fixture.register("t2", "g1", &[]).await;
    let t1 = fixture.server.books.of(&"t1".parse().unwrap());
    let held = t1.one_task.clone().lock_owned().await;
    let running = fixture.submit(of_tenant("InventoryImportWriters", "t1")).await;
    fixture.ended(&running, "Processing").await;
    let same = fixture.submit(of_tenant("InventoryImport", "t1")).await;
    let other = fixture.submit(of_tenant("InventoryImport", "t2")).await;
    let library = fixture.submit(json!({ "type": "RecognitionLibraryImport" })).await;
    fixture.ended(&other, "Success").await;
    assert_eq!(fixture.why(&same).await["blocked_by"]["id"], running["id"]);
    assert_eq!(fixture.why(&library).await["rule"], json!({ "band": "E", "excludes": "A", "per": "system" }));
    drop(held);
    for task in [&running, &same, &library] {
        fixture.ended(task, "Success").await;
    }
    // A group's task is one for all its tenants, and excludes each of them.
    let held = t1.one_task.clone().lock_owned().await;
    let group = fixture.submit(json!({ "type": "InventoryImport", "group": "g1" })).await;
    fixture.ended(&group, "Processing").await;
    let member = fixture.submit(of_tenant("LicenseReconcile", "t2")).await;
    let stranger = fixture.submit(of_tenant("LicenseReconcile", "default")).await;
    fixture.ended(&stranger, "Success").await;
    assert_eq!(fixture.why(&member).await["blocked_by"]["id"], group["id"]);
    drop(held);
    let ended = fixture.ended(&group, "Success").await;
    let output = ended["output"].as_str().unwrap();
    assert!(output.starts_with("t1: ") && output.contains("; t2: "), "{output}");
    fixture.ended(&member, "Success").await;
    // Its last tenant may leave a group before the task's turn comes.
    assert_eq!(fixture.post("/api/v1/tasks/pause", "").await.0, 200);
    fixture.register("t3", "g3", &[]).await;
    let left = fixture.submit(json!({ "type": "InventoryImport", "group": "g3" })).await;
    fixture.register("t3", "g1", &[]).await;
    assert_eq!(fixture.post("/api/v1/tasks/resume", "").await.0, 200);
    assert_eq!(fixture.ended(&left, "Error").await["output"], "no tenant is of group g3 any more");
    fixture.stop().await;
}

/// Acceptance case 3 of the reference.
#[actix::test]
async fn business_imports_of_one_group_are_serial_and_of_two_groups_parallel() {
    let fixture = Fixture::daily().await;
    for (tenant, group) in [("t1", "g1"), ("t2", "g1"), ("t3", "g2")] {
        fixture.register(tenant, group, &[]).await;
    }
    let file = fixture.folder().join("contracts.csv");
    std::fs::write(&file, "contract,name,end\nC-1,Support,2026-12-31\n").unwrap();
    let import = |tenant: &str| {
        json!({ "type": "BusinessAdapterImport", "tenant": tenant,
            "parameters": { "file": file, "kind": "contracts", "source": "erp" } })
    };
    // As long as somebody takes a turn, nothing is settled, and no import of a file ends.
    let (let_go, wait) = mpsc::channel::<()>();
    let books = fixture.server.books.clone();
    let turn = actix::spawn(async move {
        let turn = books.turn(move |_| {
            let _ = wait.recv();
            Ok(((), News::default()))
        });
        turn.await.unwrap();
    });
    let first = fixture.submit(import("t1")).await;
    fixture.ended(&first, "Processing").await;
    let second = fixture.submit(import("t2")).await;
    let third = fixture.submit(import("t3")).await;
    fixture.ended(&third, "Processing").await;
    assert_eq!(fixture.status_of(&second).await, "Submitted");
    let why = fixture.why(&second).await;
    assert_eq!(why["rule"], json!({ "band": "B", "excludes": "B", "per": "group" }));
    assert_eq!(why["blocked_by"]["id"], first["id"]);
    drop(let_go);
    turn.await.unwrap();
    for task in [&first, &second, &third] {
        fixture.ended(task, "Success").await;
    }
    for tenant in ["t1", "t2", "t3"] {
        assert_eq!(fixture.get(&format!("/api/v1/contracts?tenant={tenant}")).await["total"], 1, "{tenant}");
    }
    assert_eq!(fixture.get("/api/v1/contracts").await["total"], 0);
    fixture.stop().await;
}

/// Acceptance case 7 of the reference, with a starvation limit of two seconds.
#[actix::test]
async fn a_library_import_starts_although_a_thousand_tenants_import_all_the_time() {
    const LIMIT_SECS: f64 = 2.0;
    let fixture = Fixture::ticking("starvation_secs = 1800", "starvation_secs = 2").await;
    let books = fixture.server.books.clone();
    let names: Vec<String> = (0..1_000).map(|number| format!("t{number:03}")).collect();
    for name in &names {
        let change = TenantChange {
            tenant: name.parse().unwrap(),
            group: None,
            add: Default::default(),
            remove: Default::default(),
        };
        books.tenants.change(&books, change, NOW).await.unwrap();
    }
    let submit = |task: Value| fixture.submit(task);
    let mut submitted = BTreeMap::new();
    for name in &names {
        submitted.insert(name.clone(), submit(of_tenant("InventoryImport", name)).await);
    }
    let library = submit(json!({ "type": "RecognitionLibraryImport" })).await;
    let (began, mut place) = (Instant::now(), 0);
    // Each tenant again as soon as its last one has begun; those that wait still are no news.
    let started = loop {
        let task = fixture.task(&library).await;
        if let Some(started) = task["started"].as_str() {
            break Timestamp::from_rfc3339(started).unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{}", fixture.why(&library).await);
        for _ in 0..20 {
            let name = &names[place % names.len()];
            place += 1;
            let task = submit(of_tenant("InventoryImport", name)).await;
            if task["status"] != "Duplicate" {
                submitted.insert(name.clone(), task);
            }
        }
    };
    let at = |task: &Value, field: &str| task[field].as_str().and_then(Timestamp::from_rfc3339);
    let ended = fixture.get("/api/v1/tasks?status=Success&type=InventoryImport&limit=1000").await;
    let ran = |task: &Value| Some(at(task, "finished")?.ms_since(at(task, "started")?) as f64 / 1e3);
    let longest = ended["items"].as_array().unwrap().iter().filter_map(ran).fold(0.0, f64::max);
    let waited = started.ms_since(at(&library, "submitted").unwrap()) as f64 / 1e3;
    // A pass a second, and a busy machine.
    assert!(waited <= LIMIT_SECS + longest + 3.0, "{waited} s, the longest import {longest} s");
    assert!(ended["total"].as_u64().unwrap() > 0, "imports ran before");
    fixture.stop().await;
}
