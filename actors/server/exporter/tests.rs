//! Exports to the stand-in over loopback. Numbers of checks: servicenow reference, section 8; I20: delivery contract.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use muster::export::{ComputerRow, Row, SegmentLimits, TypeStatus};
use muster::id::DeviceId;
use serde_json::Value;

use super::*;
use crate::clock::{Clock, WallClock};
use crate::servicenow::{RunningStandIn, StandIn, StandInOptions};

const ENDPOINT: &str = "api/x_fls_flexera_fnms/integration/fnmstosn";

#[derive(Default)]
struct Fleet(Mutex<BTreeMap<u64, (Timestamp, String)>>);

impl Fleet {
    fn of(count: u64) -> Arc<Fleet> {
        let fleet = Fleet::default();
        (1..=count).for_each(|id| fleet.put(id, &format!("pc-{id}")));
        Arc::new(fleet)
    }

    fn put(&self, id: u64, name: &str) {
        self.0.lock().unwrap().insert(id, (WallClock.now(), name.to_owned()));
    }
}

impl ExportSource for Fleet {
    fn supplies(&self, data_type: DataType) -> bool {
        data_type == DataType::Inventory
    }

    fn snapshot(&self) -> Result<Timestamp, OwnError> {
        // Nothing can be added in a millisecond that is over.
        std::thread::sleep(Duration::from_millis(2));
        Ok(WallClock.now())
    }

    fn rows(
        &self,
        _: DataType,
        since: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Vec<SourceRow>, OwnError> {
        let after: u64 = after.map_or(0, |cursor| cursor.as_str().parse().unwrap());
        let fleet = self.0.lock().unwrap();
        let changed = fleet.range(after + 1..).filter(|(_, (at, _))| since.is_none_or(|since| *at >= since));
        let row = |(id, (_, name)): (&u64, &(Timestamp, String))| SourceRow {
            cursor: Cursor::new(id.to_string()),
            row: Row::Computer(Box::new(ComputerRow {
                id: Some(DeviceId(*id)),
                name: name.clone(),
                serial: format!("S{id}"),
                ..ComputerRow::default()
            })),
        };
        Ok(changed.take(limit).map(row).collect())
    }
}

#[derive(Default)]
struct Memory(Mutex<ExportRecord>);

impl ExportProgress for Memory {
    fn load(&self) -> Result<ExportRecord, OwnError> {
        Ok(self.0.lock().unwrap().clone())
    }

    fn save(&self, record: &ExportRecord) -> Result<(), OwnError> {
        *self.0.lock().unwrap() = record.clone();
        Ok(())
    }
}

struct World {
    stand_in: Option<RunningStandIn>,
    folder: tempfile::TempDir,
    fleet: Arc<Fleet>,
    progress: Arc<Memory>,
    config: ExportConfig,
}

fn stand_in(folder: &std::path::Path, faults: &str) -> RunningStandIn {
    StandIn::start(StandInOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.join("stand-in"),
        user: "admin".into(),
        password: None,
        client: None,
        faults: if faults.is_empty() { Default::default() } else { faults.parse().unwrap() },
        clock: Arc::new(WallClock),
    })
    .unwrap()
}

fn world(computers: u64, faults: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = stand_in(folder.path(), faults);
    let credentials = Credentials::Password { user: "admin".into(), password: stand_in.password.clone() };
    let target = Target { url: stand_in.url(), endpoint: ENDPOINT.into(), credentials, client: None };
    let settings = ExportSettings {
        segment: SegmentLimits { records: 3, bytes: 1 << 20 },
        retry_base: Duration::from_millis(1),
        retry_cap: Duration::from_millis(5),
        status_poll: Duration::from_millis(5),
        status_timeout: Duration::from_secs(30),
        request_timeout: Duration::from_secs(10),
        ..ExportSettings::default()
    };
    let config = ExportConfig { target, settings, request: ExportRequest::default() };
    let (fleet, progress) = (Fleet::of(computers), Arc::default());
    World { stand_in: Some(stand_in), folder, fleet, progress, config }
}

impl World {
    async fn begin(&self) -> Exporter {
        let (fleet, progress) = (self.fleet.clone(), self.progress.clone());
        Exporter::begin(self.config.clone(), fleet, progress, Arc::new(WallClock)).await.unwrap_or_else(|_| panic!())
    }

    async fn export(&self) -> RunReport {
        export(self.config.clone(), self.fleet.clone(), self.progress.clone(), Arc::new(WallClock)).await
    }

    fn restart(&mut self, faults: &str) {
        self.stand_in.take().unwrap().stop();
        let stand_in = stand_in(self.folder.path(), faults);
        self.config.target.url = stand_in.url();
        self.stand_in = Some(stand_in);
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let stand_in = self.stand_in.as_ref().unwrap();
        let request = reqwest::Client::new().get(format!("{}{path}", stand_in.url()));
        let answer = request.basic_auth("admin", Some(&stand_in.password)).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn column(&self, table: &str, column: &str) -> Vec<String> {
        let (status, body) = self.get(&format!("/api/now/table/{table}?sysparm_fields={column}")).await;
        assert_eq!(status, 200, "{body}");
        let text = |row: &Value| row[column].as_str().unwrap().to_owned();
        let mut values: Vec<String> = body["result"].as_array().unwrap().iter().map(text).collect();
        values.sort();
        values
    }

    /// I20: rows at the target are the rows of the run, each once.
    async fn assert_each_once(&self) {
        let mut wanted: Vec<String> = self.fleet.0.lock().unwrap().keys().map(u64::to_string).collect();
        wanted.sort();
        assert_eq!(self.column("x_muster_inventory_import", "u_computerid").await, wanted);
        assert_eq!(self.column("cmdb_ci_computer", "correlation_id").await, wanted);
    }
}

fn inventory(report: &RunReport) -> (u8, TypeStatus, u32, u32, u64) {
    let inventory = &report.types[0];
    (report.exit_code, inventory.state, inventory.segments, inventory.tries, inventory.records)
}

#[actix_web::test]
async fn the_first_export_sends_all_the_second_nothing_and_the_third_the_one_that_changed() {
    let world = world(7, "");
    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Succeeded, 3, 3, 7), "{report:?}");
    assert_eq!(report.warnings, ["this version has no rows of type Contract, Application: left out"]);
    world.assert_each_once().await;
    assert_eq!(world.column("x_muster_import_run", "state").await, ["Succeeded"]);
    let (_, runs) = world.get("/api/now/table/x_muster_import_run").await;
    let run = &runs["result"][0];
    assert_eq!([&run["segments_received"], &run["inserted"], &run["updated"], &run["errors"]], ["3", "7", "", ""]);
    assert_eq!(report.types[0].import_run, run["number"].as_str().unwrap());

    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Unchanged, 0, 0, 0));
    assert_eq!(world.column("x_muster_import_run", "state").await.len(), 1);

    world.fleet.put(5, "renamed");
    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Succeeded, 1, 1, 1));
    let names = world.column("cmdb_ci_computer", "name").await;
    assert_eq!(names, ["pc-1", "pc-2", "pc-3", "pc-4", "pc-6", "pc-7", "renamed"]);
}

#[actix_web::test]
async fn check_1_1201_computers_go_in_three_transactions_of_one_run() {
    let mut world = world(1_201, "");
    world.config.settings.segment.records = 500;
    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Succeeded, 3, 3, 1_201), "{report:?}");
    assert_eq!(world.column("x_muster_import_transaction", "records").await, ["201", "500", "500"]);
    world.assert_each_once().await;
}

#[actix_web::test]
async fn check_4_a_segment_whose_answer_is_lost_is_taken_once() {
    let world = world(7, "drop=1,drop=2,drop=3");
    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Succeeded, 3, 3, 7), "{report:?}");
    world.assert_each_once().await;
    assert_eq!(world.column("x_muster_import_transaction", "sequence").await, ["1", "2", "3"]);
}

#[actix_web::test]
async fn check_2_and_3_nine_refusals_are_overcome_and_ten_end_the_export() {
    let world = world(7, "fail=2:19");
    let report = world.export().await;
    assert_eq!(inventory(&report), (1, TypeStatus::Failed, 1, 11, 3));
    assert!(report.message.contains("--fault fail"), "{}", report.message);
    let report = world.export().await;
    assert_eq!(inventory(&report), (0, TypeStatus::Succeeded, 3, 11, 7));
    assert!(report.types[0].resumed);
    world.assert_each_once().await;
}

#[actix_web::test]
async fn check_5_an_open_run_of_another_ends_the_export_until_it_is_closed() {
    let mut world = world(2, "open");
    let report = world.export().await;
    assert_eq!((report.exit_code, world.column("x_muster_import_transaction", "number").await.len()), (5, 0));
    assert_eq!(report.message, "return code 3: import run IMR0000001 is open");
    world.restart("");
    assert_eq!(world.export().await.exit_code, 5);
    let folder = world.folder.path().join("stand-in");
    let closed = crate::servicenow::close_run("IMR0000001", &folder, None).await.unwrap();
    assert_eq!(closed, "IMR0000001");
    assert!(crate::servicenow::close_run("IMR0000001", &folder, None).await.is_err());
    assert!(crate::servicenow::close_run("IMR0000009", &folder, None).await.is_err());
    assert_eq!(world.export().await.exit_code, 0);
    world.assert_each_once().await;
}

#[actix_web::test]
async fn wrong_credentials_end_the_export_with_4_and_a_line_that_says_so() {
    let mut world = world(2, "");
    world.config.target.credentials = Credentials::Password { user: "admin".into(), password: "wrong".into() };
    let report = world.export().await;
    assert_eq!(report.exit_code, 4);
    assert!(report.message.starts_with("ServiceNow refuses the credentials: check user"), "{}", report.message);
    world.config.target.credentials = Credentials::RefreshToken("x".repeat(86));
    assert_eq!(world.export().await.exit_code, 4);
    let token = world.stand_in.as_ref().unwrap().refresh_token.clone();
    world.config.target.credentials = Credentials::RefreshToken(token);
    assert_eq!(world.export().await.exit_code, 0);
}

#[actix_web::test]
async fn an_instance_that_cannot_be_reached_uses_up_the_tries() {
    let mut world = world(2, "");
    world.config.settings.max_tries = 3;
    world.stand_in.take().unwrap().stop();
    let report = world.export().await;
    assert_eq!(report.exit_code, 1);
    let line = format!("given up after 3 tries: cannot reach ServiceNow at {}/oauth_token.do", world.config.target.url);
    assert!(report.message.starts_with(&line), "{}", report.message);
    for url in ["ftp://x", "nothing", "http://", "http://user:secret@host", "http://host/?a=b"] {
        world.config.target.url = url.into();
        assert_eq!(world.export().await.exit_code, 2, "{url}");
    }
    world.config.request.types = vec![DataType::Contract];
    assert_eq!(world.export().await.exit_code, 2);
}

#[actix_web::test]
async fn a_connection_test_leaves_no_trace() {
    let mut world = world(2, "");
    world.config.request.connection_test = true;
    assert_eq!(world.export().await.exit_code, 0);
    assert!(world.column("x_muster_import_run", "number").await.is_empty());
}

#[actix_web::test]
async fn check_14_an_export_killed_between_any_two_steps_is_gone_on_with() {
    let mut resumed = 0;
    for steps in 0.. {
        let world = world(7, "");
        let mut exporter = world.begin().await;
        let mut over = false;
        for _ in 0..steps {
            over = exporter.step().await.is_some();
        }
        drop(exporter);
        let report = world.export().await;
        assert_eq!(report.exit_code, 0, "killed after {steps} steps: {report:?}");
        world.assert_each_once().await;
        assert_eq!(world.column("x_muster_import_run", "state").await, ["Succeeded"], "after {steps} steps");
        resumed += u32::from(report.types[0].resumed);
        if over {
            break;
        }
    }
    assert!(resumed >= 9, "{resumed}");
}

#[actix_web::test]
async fn an_export_killed_while_it_waits_for_an_answer_is_gone_on_with() {
    let world = world(20, "slow=15");
    let mut killed = 0;
    let report = loop {
        let mut exporter = world.begin().await;
        let wait = Duration::from_millis(60 + 7 * killed);
        let ended = tokio::time::timeout(wait, async {
            loop {
                if let Some(report) = exporter.step().await {
                    return report;
                }
            }
        });
        match ended.await {
            Ok(report) => break report,
            Err(_) => killed += 1,
        }
    };
    assert_eq!(report.exit_code, 0, "{report:?}");
    assert!(killed > 2, "{killed}");
    world.assert_each_once().await;
}

#[actix_web::test]
async fn a_stand_in_that_is_started_anew_has_every_row_and_goes_on_with_its_import() {
    let mut world = world(7, "");
    // Segments 1 and 2 are accepted; the stand-in goes before or while it imports them.
    let mut exporter = world.begin().await;
    while exporter.run.report().types[0].segments < 2 {
        assert!(exporter.step().await.is_none());
    }
    drop(exporter);
    world.restart("");
    assert_eq!(world.column("x_muster_inventory_import", "u_computerid").await.len(), 6);
    let report = world.export().await;
    assert_eq!((report.exit_code, report.types[0].resumed), (0, true), "{report:?}");
    world.assert_each_once().await;
    let before = world.get("/api/now/table/cmdb_ci_computer").await.1["result"].as_array().unwrap().len();
    world.restart("");
    assert_eq!(before, 7);
    world.assert_each_once().await;
    assert_eq!(inventory(&world.export().await).1, TypeStatus::Unchanged);
}

#[actix_web::test]
async fn progress_in_a_file_survives_and_a_spoilt_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let progress = || FileProgress::open(folder.path(), "export").unwrap();
    assert_eq!(progress().load(), Ok(ExportRecord::default()));
    let record = ExportRecord { watermarks: [(DataType::Inventory, Timestamp(5))].into(), ..ExportRecord::default() };
    progress().save(&record).unwrap();
    assert_eq!(progress().load(), Ok(record));
    std::fs::write(folder.path().join("export"), b"\x01\xc1").unwrap();
    assert!(progress().load().unwrap_err().to_string().starts_with("cannot read the export progress `export`"));
}

/// A target that answers everything with `answer`, and then with `more` until the caller hangs up.
fn hostile(answer: &'static str, more: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // The whole request came in one piece or it did not: no matter.
            let _ = stream.read(&mut request);
            let mut alive = stream.write_all(answer.as_bytes()).is_ok();
            while alive && !more.is_empty() {
                alive = stream.write_all(more.as_bytes()).is_ok();
            }
        }
    });
    url
}

#[actix_web::test]
async fn a_hostile_instance_neither_redirects_nor_floods_the_exporter() {
    let mut world = world(1, "");
    world.config.settings.max_tries = 2;
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>";
    for (answer, more, part) in [
        (redirect, "", "answers HTTP status 307"),
        (endless, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "the answer has more than 262144 bytes"),
        (text, "", "answers without an access token: is the URL right?"),
    ] {
        world.config.target.url = hostile(answer, more);
        let report = world.export().await;
        assert_eq!(report.exit_code, 1);
        assert!(report.message.contains(part), "{}", report.message);
    }
}
