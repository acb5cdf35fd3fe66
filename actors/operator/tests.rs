//! Look-ups at a real server on loopback.

use std::io::{self, Write};

use clap::Parser;
use expect_test::expect;

use super::FillersArgs;
use super::command::{DevicesArgs, ListArgs, LookUp, PackagesArgs, answer};
use crate::command::Failure;
use crate::server::api::tests::fixture::{Fixture, NOW, guid, package, report};

#[derive(Parser)]
enum Line {
    Devices(DevicesArgs),
    Packages(PackagesArgs),
    Beacons(ListArgs),
    Fillers(FillersArgs),
    Imports(ListArgs),
}

fn look_up(line: &str, server: &str) -> Result<LookUp, clap::Error> {
    let words = line.split(' ').chain(["--server", server]);
    Ok(match Line::try_parse_from(std::iter::once("muster").chain(words))? {
        Line::Devices(args) => LookUp::Devices(args),
        Line::Packages(args) => LookUp::Packages(args),
        Line::Beacons(args) => LookUp::Beacons(args),
        Line::Fillers(args) => LookUp::Fillers(args),
        Line::Imports(args) => LookUp::Imports(args),
    })
}

async fn ask_at(server: &str, line: &str) -> Result<String, Failure> {
    let mut out = Vec::new();
    answer(look_up(line, server).unwrap(), &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

async fn ask(fixture: &Fixture, line: &str) -> Result<String, Failure> {
    ask_at(&format!("http://{}", fixture.server.operator), line).await
}

#[actix::test]
async fn look_ups_print_tables_for_people_and_lines_for_programs() {
    let fixture = Fixture::plain().await;
    assert_eq!(ask(&fixture, "devices list").await.unwrap(), "no devices\n");
    assert_eq!(ask(&fixture, "devices list --json").await.unwrap(), "");
    let properties = [("MachineID", "M1"), ("Manufacturer", "Acme"), ("Model", "R-220")];
    let first = fixture.settle(report(1, 1, &properties, &[("postgresql-15", "15.6-1")])).await;
    fixture.settle(report(2, 1, &[("MachineID", "M2")], &[])).await;
    fixture.until("/api/v1/devices", |list| list["total"] == 2).await;
    fixture.reconciled().await;
    let named = |text: String| {
        let text = text.replace(&first, &"1".repeat(64)).replace(&fixture.server.node.to_string(), "HQ");
        text.replace(&guid(1).to_string(), "GUID-1")
    };
    expect![[r#"
        ID  NAME  OPERATING SYSTEM  HARDWARE    SERIAL  TYPE  LAST INVENTORY       RECORDS
        1   h1                      Acme R-220                2025-06-15 15:06:40  1
        2   h2                                                2025-06-15 15:06:40  1
    "#]]
    .assert_eq(&named(ask(&fixture, "devices list").await.unwrap()));
    expect![[r#"
        device 1 h1 lab

        Values
        PROPERTY            VALUE  SOURCE  DATE
        ComputerName        h1     agent   2025-06-15 15:06:40
        ComplianceDomainID  lab    agent   2025-06-15 15:06:40
        Manufacturer        Acme   agent   2025-06-15 15:06:40
        ModelNo             R-220  agent   2025-06-15 15:06:40
        MachineID           M1     agent   2025-06-15 15:06:40

        Records
        RECORD  SOURCE  KEY                                   DATE                 MATCHER
        1       agent   GUID-1  2025-06-15 15:06:40  -

        Packages
        DIGEST                                                            STATE     WAY
        1111111111111111111111111111111111111111111111111111111111111111  imported  hq 2025-06-15 15:06:40

        Applications
        APPLICATION    PUBLISHER                            SHOWN BY              RULE
        PostgreSQL 15  PostgreSQL Global Development Group  postgresql-15 15.6-1  postgresql-15#1

        Software
        NAME           VERSION  PUBLISHER  EVIDENCE  INSTALLED
        postgresql-15  15.6-1   Debian     deb

    "#]]
    .assert_eq(&named(ask(&fixture, "devices show 1").await.unwrap()));
    expect![[r#"
        Package
        digest          1111111111111111111111111111111111111111111111111111111111111111
        state           imported
        kind            Inventories
        name            root on h1 at 20250615T120000 (Full).ndi.gz
        origin          GUID-1
        stream          Inventories/root/Full
        size            277
        epoch           7
        sequence        1
        clock           clock-bad
        first_received  2025-06-15T15:06:40.000Z
        received        2025-06-15T15:06:40.000Z
        settled         2025-06-15T15:06:40.000Z

        Way
        HOP  NODE      RECEIVED                  AFTER
        1    hq        2025-06-15T15:06:40.000Z
             imported  2025-06-15T15:06:40.000Z  0.000 s

    "#]]
    .assert_eq(&named(ask(&fixture, &format!("packages show {first}")).await.unwrap()));
    let list = ask(&fixture, "packages list --state imported --limit 1").await.unwrap();
    assert!(list.ends_with("1 of 2 shown: narrow them by --filter, or give --limit\n"), "{list}");
    let json = ask(&fixture, "devices list --json --sort -id").await.unwrap();
    let ids: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].take()).collect();
    assert_eq!(ids, ["2", "1"]);
    let whole: serde_json::Value =
        serde_json::from_str(&ask(&fixture, "devices show 1 --json").await.unwrap()).unwrap();
    assert_eq!(whole, fixture.get("/api/v1/devices/1").await);
    fixture.stop().await;
}

#[actix::test]
async fn reports_that_wait_for_the_daily_import_are_told_below_the_devices_and_on_the_page() {
    let fixture = Fixture::daily().await;
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[])).await;
    let summary = "/api/v1/ledger/summary";
    fixture.until("/api/v1/devices", |list| list["total"] == 1).await;
    fixture.until(summary, |summary| summary["waiting_for_import"] == 0 && summary["next_import"].is_null()).await;
    assert!(!ask(&fixture, "devices list").await.unwrap().contains("wait"));
    fixture.settle(report(2, 1, &[("MachineID", "M2")], &[])).await;
    let told = fixture.until(summary, |summary| summary["waiting_for_import"] == 1).await;
    assert_eq!(told["next_import"], "2025-06-16T00:00:00.000Z");
    let list = ask(&fixture, "devices list").await.unwrap();
    assert!(list.ends_with("\n1 report waits for the import at 2025-06-16 00:00:00 UTC\n"), "{list}");
    assert_eq!(ask(&fixture, "devices list --json").await.unwrap().lines().count(), 1);
    let page = fixture.text("/").await;
    assert!(page.contains("1 report(s) wait for the import at 2025-06-16 00:00:00"), "{page}");
    fixture.stop().await;
}

#[actix::test]
async fn beacons_show_their_queues() {
    let fixture = Fixture::plain().await;
    let none =
        "no beacon has reported since the server started at 2025-06-15 15:06:40 UTC; beacons report each minute\n";
    assert_eq!(ask(&fixture, "beacons").await.unwrap(), none);
    assert_eq!(ask(&fixture, "beacons --filter name:x").await.unwrap(), "no beacons\n");
    let status = serde_json::json!([{
        "id": guid(8), "name": "basel", "parent": "http://hq:7080", "version": "0.1.0", "at": NOW.0,
        "queue": { "waiting": { "Inventories": { "packages": 3, "bytes": 900, "oldest_ms": 61_000 } }, "quarantined": 2 },
    }]);
    fixture.report_status(8, status).await;
    let table = ask(&fixture, "beacons").await.unwrap().replace(&guid(8).to_string(), "GUID-8");
    expect![[r#"
        NAME   ID                                    PARENT IN USE   LAST SEEN            WAITING                                     SET ASIDE  POLICY  FOR AGENTS  VERSION
        basel  GUID-8  http://hq:7080  2025-06-15 15:06:40  3 Inventories, 900 bytes, oldest 1 min 1 s  2                              0.1.0
    "#]].assert_eq(&table);
    assert_eq!(ask(&fixture, "beacons --json").await.unwrap().lines().count(), 1);
    // Its parent has not heard of it for ten minutes.
    let status = |number: u8, at: i64| {
        serde_json::json!({
            "id": guid(number), "name": "b", "parent": "", "version": "", "at": at,
            "queue": { "waiting": {}, "quarantined": 0 },
        })
    };
    let report = serde_json::json!([status(7, NOW.0), status(9, NOW.0 - 600_000)]);
    fixture.report_status(7, report).await;
    let table = ask(&fixture, "beacons").await.unwrap();
    let is_silent =
        |number: u8| table.lines().any(|line| line.contains(&guid(number).to_string()) && line.contains("SILENT"));
    assert_eq!([7, 8, 9].map(is_silent), [false, false, true], "{table}");
    fixture.stop().await;
}

#[actix::test]
async fn packages_in_quarantine_are_listed_with_their_reason() {
    let fixture = Fixture::plain().await;
    fixture.settle(package(1, 1, b"\x1f\x8bnonsense")).await;
    let list = ask(&fixture, "packages list --state quarantined --json").await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let reason = list["reason"].as_str().unwrap();
    let table = ask(&fixture, "packages list --state quarantined").await.unwrap();
    assert!(!reason.is_empty() && table.contains(reason), "{table}");
    fixture.stop().await;
}

#[actix::test]
async fn failures_name_the_server_and_tell_what_was_wrong() {
    let fixture = Fixture::plain().await;
    let url = format!("http://{}", fixture.server.operator);
    let upload = format!("http://{}", fixture.server.upload);
    let digest = "0".repeat(64);
    let nobody = "http://127.0.0.1:9";
    let encrypted = format!("https://{}", fixture.server.operator);
    for (server, line, exit, part) in [
        (nobody, "devices list", 1, "cannot ask the server at http://127.0.0.1:9 (--server)"),
        (nobody, "beacons --json", 1, "cannot ask the server at http://127.0.0.1:9 (--server)"),
        (&encrypted, "devices list", 1, "speaks plain HTTP: write http://"),
        (&upload, "devices list", 1, "nothing at this address"),
        (&url, "devices show 7", 1, "there is no device of this number"),
        (&url, &format!("packages show {digest}"), 1, "no package of this digest"),
        (&url, "packages show 000000", 1, "no package whose digest begins with 000000"),
        (&url, "devices list --filter nmae:x", 2, "did you mean `name`?"),
        (&url, "packages list --state hold", 2, "did you mean `held`?"),
    ] {
        let failure = ask_at(server, line).await.unwrap_err();
        assert_eq!(failure.exit, exit, "{line}: {}", failure.text);
        assert!(failure.text.contains(part) && failure.text.contains(server), "{line}: {}", failure.text);
        assert!(!failure.text.contains('\n'));
    }
    fixture.stop().await;
}

#[test]
fn a_wrong_command_line_is_refused_before_anybody_is_asked() {
    for (line, server) in [
        ("devices list", "localhost:8080"),
        ("devices list", "ftp://x"),
        ("devices list", ""),
        ("devices show x", "http://x"),
        ("devices show -1", "http://x"),
        ("packages show abc", "http://x"),
        ("devices list --limit 0", "http://x"),
        ("devices", "http://x"),
    ] {
        let error = look_up(line, server).err();
        assert_eq!(error.map(|error| error.exit_code()), Some(2), "{line} {server}");
    }
}

/// Takes so many bytes and is gone.
struct Closing(usize);

impl Write for Closing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[actix::test]
async fn a_reader_that_has_had_enough_ends_a_look_up_in_peace() {
    let fixture = Fixture::plain().await;
    fixture.settle(package(1, 1, b"\x1f\x8bnonsense")).await;
    let url = format!("http://{}", fixture.server.operator);
    for line in ["packages list", "packages list --json", "devices list", "beacons"] {
        for bytes in [0, 5] {
            answer(look_up(line, &url).unwrap(), &mut Closing(bytes)).await.unwrap();
        }
    }
    fixture.stop().await;
}

#[actix::test]
async fn records_are_taken_out_of_a_device() {
    let fixture = Fixture::plain().await;
    for agent in [1, 2, 3] {
        fixture.settle(report(agent, 1, &[("MachineID", "M1")], &[])).await;
    }
    fixture.until("/api/v1/devices", |list| list["items"][0]["records"] == 3).await;
    let done = ask(&fixture, "devices unmerge 1 2").await.unwrap();
    assert_eq!(
        done,
        "they are device 2 now; 2 pairs of records stay apart from device 1, also when they report again\n"
    );
    let json = ask(&fixture, "devices unmerge 1 3 --json").await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["device"], "3");
    let wrong = ask(&fixture, "devices unmerge 1 3").await.unwrap_err();
    assert!(wrong.text.contains("record 3 does not belong to this device") && wrong.exit != 0, "{wrong:?}");
    assert!(look_up("devices unmerge 1", "http://x").is_err());
    fixture.stop().await;
}

#[actix::test]
async fn imports_and_fillers_are_listed_and_a_value_is_demoted() {
    let fixture = Fixture::plain().await;
    assert_eq!(ask(&fixture, "imports").await.unwrap(), "no imports\n");
    assert_eq!(ask(&fixture, "fillers list").await.unwrap(), "no fillers\n");
    for agent in 1..=2 {
        let serial = format!("S{agent}");
        fixture.settle(report(agent, 1, &[("MachineID", "image"), ("SerialNumber", &serial)], &[])).await;
    }
    fixture.reconciled().await;
    let imports = ask(&fixture, "imports --json").await.unwrap();
    assert!(imports.lines().all(|line| line.contains("\"matchers\":[")), "{imports}");
    let head = "IMPORT  FINISHED             RECORDS  SETS  CHANGED  NEW  BOUND  MERGED  MULTI-HITS  CLONES\n";
    let table = ask(&fixture, "imports").await.unwrap();
    assert!(table.starts_with(head), "{table}");
    expect![[r#"
        PROPERTY   VALUE  RECORDS  MACHINES  DEMOTED
        MachineID  image  2        2         false
    "#]]
    .assert_eq(&ask(&fixture, "fillers list --machines 2").await.unwrap());
    expect![[r#"
        `image` is a placeholder from the next import on, which takes all records anew. Devices that it has joined stay together: `muster devices unmerge` parts them
        `image` was a placeholder before
        `image` names a machine again from the next import on
        `image` is not demoted
    "#]]
    .assert_eq(&{
        let mut all = String::new();
        for line in ["demote Image", "demote image", "restore image", "restore image"] {
            all += &ask(&fixture, &format!("fillers {line}")).await.unwrap();
        }
        all
    });
    fixture.stop().await;
}
