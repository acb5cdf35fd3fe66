//! Batch tasks over HTTP, by the real actors and a real log.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::{Fixture, report};
use crate::server::api::openapi;

impl Fixture {
    pub async fn submit(&self, body: Value) -> Value {
        let (status, task) = self.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!(status, 201, "{task}");
        task
    }

    /// Why a task is refused when it is submitted; none is listed then.
    pub async fn not_taken(&self, task: &str, parameters: &Value) -> String {
        let before = self.get("/api/v1/tasks").await["total"].clone();
        let body = json!({ "type": task, "parameters": parameters });
        let (status, answer) = self.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("task")), "{answer}");
        assert_eq!(self.get("/api/v1/tasks").await["total"], before);
        answer["error"]["message"].as_str().unwrap().to_owned()
    }

    pub async fn task(&self, task: &Value) -> Value {
        self.get(&format!("/api/v1/tasks/{}", task["id"].as_str().unwrap())).await
    }

    pub async fn ended(&self, task: &Value, status: &str) -> Value {
        let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
        self.until(&path, |task| task["status"] == status).await
    }

    pub async fn why(&self, task: &Value) -> Value {
        self.get(&format!("/api/v1/tasks/{}/why", task["id"].as_str().unwrap())).await
    }
}

fn import() -> Value {
    json!({ "type": "InventoryImport" })
}

#[actix::test]
async fn the_same_again_is_a_duplicate_while_it_waits_and_waits_itself_while_the_first_runs() {
    let fixture = Fixture::daily().await;
    // As long as this is held an import waits in the middle of its work.
    let held = fixture.server.books.one_task.clone().lock_owned().await;
    let running = fixture.submit(import()).await;
    fixture.ended(&running, "Processing").await;
    let waiting = fixture.submit(import()).await;
    assert_eq!(waiting["status"], "Submitted");
    let duplicate = fixture.submit(import()).await;
    assert_eq!((&duplicate["status"], &duplicate["duplicate_of"]), (&json!("Duplicate"), &waiting["id"]));
    let other = fixture.submit(json!({ "type": "InventoryImport", "parameters": { "full": "true" } })).await;
    assert_eq!((&other["status"], &other["duplicate_of"]), (&json!("Submitted"), &Value::Null));
    let library = fixture.submit(json!({ "type": "RecognitionLibraryImport" })).await;

    let why = fixture.why(&waiting).await;
    assert_eq!(why["reason"], "running");
    assert_eq!(why["rule"], json!({ "band": "A", "excludes": "A", "per": "tenant" }));
    assert_eq!(why["blocked_by"]["id"], running["id"]);
    let sentence = format!(
        "it waits for InventoryImport[{}] of tenant default (Processing): band A runs one task per tenant",
        running["id"].as_str().unwrap()
    );
    assert_eq!(why["text"], sentence);
    let why = fixture.why(&library).await;
    assert_eq!(why["rule"], json!({ "band": "E", "excludes": "A", "per": "system" }));
    assert_eq!(why["blocked_by"]["id"], running["id"]);
    assert_eq!(fixture.why(&running).await["reason"], "processing");

    drop(held);
    for task in [&running, &waiting, &other] {
        let ended = fixture.ended(task, "Success").await;
        assert_eq!((&ended["progress"], &ended["return_code"]), (&json!(100), &json!(0)));
    }
    let why = fixture.why(&running).await;
    assert_eq!(why["reason"], "ended");
    assert!(why["text"].as_str().unwrap().starts_with("it has ended with status Success: "), "{why}");
    fixture.stop().await;
}

#[actix::test]
async fn a_pause_outlives_a_restart_and_then_the_oldest_goes_first() {
    let fixture = Fixture::daily().await;
    assert_eq!(fixture.post("/api/v1/tasks/pause", "").await, (200, json!({ "paused": true })));
    let mut tasks = Vec::new();
    for number in 0..5 {
        let parameters = json!({ "n": number.to_string() });
        tasks.push(fixture.submit(json!({ "type": "LicenseReconcile", "parameters": parameters })).await);
    }
    assert_eq!(fixture.why(&tasks[0]).await["reason"], "paused");
    let (status, cancelled) =
        fixture.post(&format!("/api/v1/tasks/{}/cancel", tasks[2]["id"].as_str().unwrap()), "").await;
    assert_eq!((status, &cancelled["status"]), (200, &json!("Error")));
    assert_eq!(cancelled["output"], "cancelled by an operator");
    let metrics = fixture.text("/metrics").await;
    let counted = "muster_tasks_ended_total{type=\"LicenseReconcile\",status=\"Error\"} 1";
    assert!(metrics.contains(counted), "what was cancelled has ended: {metrics}");

    // Newest first, page by page.
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = fixture.get(&format!("/api/v1/tasks?limit=2{after}")).await;
        assert_eq!(page["total"], 5);
        listed.extend(page["items"].as_array().unwrap().iter().map(|task| task["id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(listed, tasks.iter().rev().map(|task| task["id"].clone()).collect::<Vec<_>>());

    let fixture = fixture.restarted().await;
    let list = fixture.get("/api/v1/tasks?status=Submitted&sort=submitted").await;
    assert_eq!(list["total"], 4);
    assert_eq!(fixture.why(&tasks[0]).await["reason"], "paused", "it is still paused");
    assert_eq!(fixture.post("/api/v1/tasks/resume", "").await, (200, json!({ "paused": false })));
    let mut order = Vec::new();
    for task in [0, 1, 3, 4].map(|number| &tasks[number]) {
        fixture.ended(task, "Success").await;
        order.push(task["id"].as_str().unwrap().to_owned());
    }
    let log = std::fs::read_to_string(fixture.folder().join("data/logs/batch-processor.log")).unwrap();
    let started: Vec<usize> =
        order.iter().map(|id| log.find(&format!("LicenseReconcile[{id}] Starting")).unwrap()).collect();
    assert!(started.is_sorted(), "{log}");
    assert_eq!(fixture.task(&tasks[2]).await["status"], "Error", "what was cancelled stays so");
    fixture.stop().await;
}

#[actix::test]
async fn what_executed_when_the_server_ended_is_an_error_and_is_not_done_again() {
    let fixture = Fixture::daily().await;
    let held = fixture.server.books.one_task.clone().lock_owned().await;
    let running = fixture.submit(import()).await;
    fixture.ended(&running, "Processing").await;
    let waiting = fixture.submit(import()).await;
    let scheduler = fixture.server.api.scheduler.clone();
    let let_go = async {
        // The server that ends waits for nobody who executes.
        while scheduler.get().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        drop(held);
    };
    let (fixture, ()) = tokio::join!(fixture.restarted(), let_go);
    let ended = fixture.ended(&running, "Error").await;
    assert_eq!(ended["output"], "lost: its processor was started anew");
    fixture.ended(&waiting, "Success").await;
    let log = std::fs::read_to_string(fixture.folder().join("data/logs/batch-processor.log")).unwrap();
    assert_eq!(log.matches(running["id"].as_str().unwrap()).count(), 1, "{log}");
    fixture.stop().await;
}

#[actix::test]
async fn what_is_wrong_is_refused_told_and_logged() {
    let fixture = Fixture::daily().await;
    for (body, part) in [
        (json!({ "type": "NoSuchTask" }), "`NoSuchTask` is no task: the tasks are InventoryIntake"),
        (json!({ "type": "InventoryImport", "tenant": "T1", "group": "G1" }), "not for both"),
        (json!({ "type": "InventoryImport", "tenant": "T1" }), "there is no tenant `T1`"),
        (json!({ "type": "InventoryImport", "group": "G1" }), "no tenant is of a group `G1`"),
        (json!({ "type": "SpoolMaintenance", "tenant": "default" }), "is for the whole server"),
        (json!({ "type": "InventoryImport", "parameters": { "a": "\u{0}" } }), "control characters"),
        (json!({ "type": "InventoryImport", "parameters": { "a": "x".repeat(2_000) } }), "has 2000 bytes"),
        (json!({ "type": "InventoryImport", "not_before": "soon" }), "write a time like"),
        (json!({ "type": "InventoryImport", "tenent": "x" }), "unknown field `tenent`"),
        (json!({ "type": "InventoryImport", "parameters": { "a": 1 } }), "invalid type"),
        (json!([]), "the body has to be like"),
    ] {
        let (status, answer) = fixture.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!(status, 400, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
    }
    let twice = r#"{"type": "InventoryImport", "parameters": {"full": "true", "full": "false"}}"#;
    let (status, answer) = fixture.post("/api/v1/tasks", twice).await;
    assert_eq!((status, &answer["error"]["message"]), (400, &json!("parameter `full` is given twice")));
    assert_eq!(fixture.get("/api/v1/tasks").await["total"], 0, "nothing was taken");
    let log = std::fs::read_to_string(fixture.folder().join("data/logs/batch-scheduler.log")).unwrap();
    assert!(log.contains("Message refused: `NoSuchTask` is no task"), "{log}");
    for path in ["/api/v1/tasks/x", "/api/v1/tasks/00000000-0000-8000-8000-000000000001"] {
        assert_eq!(fixture.refused(path).await.0, 404);
        assert_eq!(fixture.refused(&format!("{path}/why")).await.0, 404);
        assert_eq!(fixture.post(&format!("{path}/cancel"), "").await.0, 404);
    }
    let done = fixture.submit(json!({ "type": "SpoolMaintenance" })).await;
    fixture.ended(&done, "Success").await;
    let (status, answer) = fixture.post(&format!("/api/v1/tasks/{}/cancel", done["id"].as_str().unwrap()), "").await;
    assert_eq!(
        (status, answer["error"]["message"].as_str().unwrap()),
        (409, "the task is in status Success: only one that waits is cancelled")
    );
    assert_eq!(fixture.raw(reqwest::Method::PUT, "/api/v1/tasks").await.0, 405);
    fixture.stop().await;
}

#[actix::test]
async fn a_task_has_the_fields_that_the_document_names_and_does_not_start_before_its_time() {
    let fixture = Fixture::daily().await;
    let later = "2025-06-15T16:00:00.000Z";
    let task = fixture.submit(json!({ "type": "InventoryImport", "not_before": later, "operator": "anna" })).await;
    let why = fixture.why(&task).await;
    assert_eq!((&why["reason"], &why["until"]), (&json!("not-before"), &json!(later)));
    assert_eq!((&task["operator"], &task["origin"]), (&json!("anna"), &json!("api")));
    let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(keys(&task), keys(&document["components"]["schemas"]["Task"]["properties"]));
    let why_schema = &document["paths"]["/api/v1/tasks/{id}/why"]["get"]["responses"]["200"]["content"];
    assert_eq!(keys(&why), keys(&why_schema["application/json"]["schema"]["properties"]));
    // Nobody may say that the server itself wanted it.
    let claimed = fixture.submit(json!({ "type": "SpoolMaintenance", "origin": "system" })).await;
    assert_eq!(claimed["origin"], "api");
    fixture.stop().await;
}

#[actix::test]
async fn the_warehouse_has_a_row_for_each_device_and_title_and_one_file_for_each_tenant() {
    let fixture = Fixture::plain().await;
    let odd = "lib \"quoted\", and more";
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[("postgresql-15", "15"), (odd, "1")])).await;
    fixture.settle(report(2, 1, &[("MachineID", "M2")], &[("postgresql-15", "15")])).await;
    fixture.reconciled().await;
    let folder = fixture.folder().join("data/warehouse");
    // What an earlier week left.
    std::fs::create_dir_all(folder.join("devices")).unwrap();
    std::fs::write(folder.join("devices/default-2025-06-08.csv"), "tenant\n").unwrap();
    std::fs::write(folder.join("devices/other-2025-06-08.csv"), "tenant\n").unwrap();
    for _ in 0..2 {
        let task = fixture.submit(json!({ "type": "DataWarehouseUpdate" })).await;
        let ended = fixture.ended(&task, "Success").await;
        assert_eq!(ended["output"], "rows: devices 2, installations 3, consumption 0, package_latency 2");
    }
    let names = |folder: std::path::PathBuf| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let expected = ["default-2025-06-15.csv", "other-2025-06-08.csv"].map(str::to_owned);
    assert_eq!(names(folder.join("devices")), expected.into(), "the newest of this tenant, and another's");
    assert_eq!(names(folder.join("archive/devices")), ["default-2025-06-08.csv".to_owned()].into());
    let schema: Value = serde_json::from_slice(&std::fs::read(folder.join("schema.json")).unwrap()).unwrap();
    for table in schema["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        let path = folder.join(name).join("default-2025-06-15.csv");
        let mut file = csv::Reader::from_path(&path).unwrap();
        let columns: Vec<&str> =
            table["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(file.headers().unwrap().iter().collect::<Vec<_>>(), columns, "{name}");
        let rows: Vec<csv::StringRecord> = file.records().collect::<Result<_, _>>().unwrap();
        let titles = rows.iter().filter(|row| name == "installations" && &row[2] == odd).count();
        assert_eq!(titles, usize::from(name == "installations"), "a name with quotes and commas is one cell");
    }
    fixture.stop().await;
}

#[actix::test]
async fn business_files_of_the_server_are_imported_and_bad_rows_stop_them_unless_the_good_ones_are_wanted() {
    let fixture = Fixture::plain().await;
    let folder = fixture.folder().to_owned();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let head = "purchase,line,product,publisher,quantity,unit_price,currency,date\n";
    let good = format!("{head}PO-1,1,Editor,Example,5,10.00,EUR,2025-01-15\n");
    let run = async |parameters: Value, status: &str| -> String {
        let task = fixture.submit(json!({ "type": "BusinessAdapterImport", "parameters": parameters })).await;
        fixture.ended(&task, status).await["output"].as_str().unwrap().to_owned()
    };
    let file = write("purchases.csv", &good);
    let output = run(json!({ "file": file, "kind": "purchases", "source": "erp" }), "Success").await;
    assert_eq!(output, "1 rows of purchases from `erp`");
    assert_eq!(fixture.get("/api/v1/purchases").await["total"], 1);

    let mixed = write("mixed.csv", &format!("{good}PO-2,1,Editor,E,many,1,EUR,2025-01-15\n=1+1,1,E,E,1,1,EUR,soon\n"));
    let output = run(json!({ "file": mixed, "kind": "purchases", "source": "erp" }), "Error").await;
    assert!(
        output.starts_with("2 of 3 rows are bad, nothing is taken") && output.contains("mixed.csv: line 3"),
        "{output}"
    );
    let output =
        run(json!({ "file": mixed, "kind": "purchases", "source": "erp", "good_rows": "true" }), "Success").await;
    assert!(output.starts_with("1 rows of purchases from `erp`; 2 bad rows left out"), "{output}");

    let wrong = write("wrong.csv", &good.replace(',', ";"));
    for (parameters, part) in [
        (json!({ "kind": "purchases" }), "name the file"),
        (json!({ "file": file }), "say what the file holds"),
        (json!({ "file": file, "kind": "invoices" }), "parameter `kind` is `invoices`: write contracts"),
        (json!({ "file": "purchases.csv", "kind": "purchases" }), "write the whole path"),
        (json!({ "file": file, "kind": "purchases", "source": "agent" }), "and not `agent`"),
    ] {
        let why = fixture.not_taken("BusinessAdapterImport", &parameters).await;
        assert!(why.contains(part), "{parameters}: {why}");
    }
    for (parameters, part) in [
        (json!({ "file": "/nowhere.csv", "kind": "purchases" }), "cannot be read"),
        (json!({ "file": "/dev/zero", "kind": "purchases" }), "is no plain file"),
        (json!({ "file": file, "kind": "purchases", "map": "/dev/zero" }), "is no plain file"),
        (json!({ "file": file, "kind": "contracts" }), "purchases"),
        (json!({ "file": wrong, "kind": "purchases" }), ""),
    ] {
        let output = run(parameters.clone(), "Error").await;
        assert!(output.contains(part) && !output.is_empty(), "{parameters}: {output}");
    }
    fixture.stop().await;
}
