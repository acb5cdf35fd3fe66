//! What operators ask of devices, packages, ledger, beacons and exports.

use expect_test::expect;
use muster::export::{DataType, ExitCode, RunReport, TypeReport};
use muster::formats::gzip;
use muster::time::Timestamp;
use serde_json::json;

use super::fixture::{Fixture, NOW, guid, package, report};

const MACHINE: (&str, &str) = ("MachineID", "M1");

#[actix::test]
async fn a_device_shows_who_gave_each_value_what_joined_its_records_and_how_they_came() {
    let fixture = Fixture::plain().await;
    let first = report(1, 1, &[MACHINE, ("Manufacturer", "Dell")], &[("postgresql-15", "15.6-1"), ("odd", "1")]);
    let first = fixture.settle(first).await;
    // One import after the other, so that the first record was there alone.
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture.reconciled().await;
    let second = fixture.settle(report(2, 1, &[("MachineID", "m1"), ("Model", "R-220")], &[("odd", "1")])).await;
    fixture.until("/api/v1/devices", |list| list["items"][0]["records"] == 2).await;
    fixture.reconciled().await;
    let names = [(&*first, "DIGEST-1"), (&*second, "DIGEST-2")];

    let list = fixture.get("/api/v1/devices").await;
    expect![[r#"
        {
          "items": [
            {
              "domain": "lab",
              "id": "1",
              "last_inventory": "NOW",
              "manufacturer": "Dell",
              "model": "R-220",
              "name": "h1",
              "os": "",
              "records": 2,
              "serial": "",
              "sources": [
                "agent"
              ],
              "type": "",
              "uuid": ""
            }
          ],
          "next": null,
          "total": 1
        }"#]]
    .assert_eq(&fixture.pretty(&list, &names));

    let device = fixture.get("/api/v1/devices/1").await;
    expect![[r#"
        {
          "applications": [
            {
              "classification": "open-source",
              "edition": "",
              "id": "postgresql-15",
              "licensable": true,
              "name": "PostgreSQL 15",
              "publisher": "PostgreSQL Global Development Group",
              "rule": "postgresql-15#1",
              "title": {
                "evidence": "deb",
                "name": "postgresql-15",
                "publisher": "Debian",
                "version": "15.6-1"
              },
              "version": "15"
            }
          ],
          "discovery": [],
          "domain": "lab",
          "id": "1",
          "last_inventory": "NOW",
          "manufacturer": "Dell",
          "model": "R-220",
          "name": "h1",
          "os": "",
          "packages": [
            {
              "digest": "DIGEST-1",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "state": "imported"
            },
            {
              "digest": "DIGEST-2",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "state": "imported"
            }
          ],
          "records": [
            {
              "clone": null,
              "external_id": "GUID-1",
              "inventory_date": "NOW",
              "matcher": 30,
              "record_id": "1",
              "source": "agent"
            },
            {
              "clone": null,
              "external_id": "GUID-2",
              "inventory_date": "NOW",
              "matcher": 30,
              "record_id": "2",
              "source": "agent"
            }
          ],
          "serial": "",
          "software": [
            {
              "evidence": "deb",
              "install_date": null,
              "name": "odd",
              "publisher": "Debian",
              "version": "1"
            },
            {
              "evidence": "deb",
              "install_date": null,
              "name": "postgresql-15",
              "publisher": "Debian",
              "version": "15.6-1"
            }
          ],
          "sources": [
            "agent"
          ],
          "type": "",
          "usage": [],
          "usage_unmatched": [],
          "uuid": "",
          "values": [
            {
              "date": "NOW",
              "property": "ComputerName",
              "source": "agent",
              "value": "h1"
            },
            {
              "date": "NOW",
              "property": "ComplianceDomainID",
              "source": "agent",
              "value": "lab"
            },
            {
              "date": "NOW",
              "property": "Manufacturer",
              "source": "agent",
              "value": "Dell"
            },
            {
              "date": "NOW",
              "property": "ModelNo",
              "source": "agent",
              "value": "R-220"
            },
            {
              "date": "NOW",
              "property": "MachineID",
              "source": "agent",
              "value": "M1"
            }
          ]
        }"#]]
    .assert_eq(&fixture.pretty(&device, &names));

    let mut explained = fixture.get("/api/v1/devices/1/explain").await;
    let tried = explained["items"][0]["tried"].take();
    expect![[r#"
        {
          "device": "1",
          "items": [
            {
              "first": {
                "clone": null,
                "external_id": "GUID-1",
                "inventory_date": "NOW",
                "matcher": 30,
                "record_id": "1",
                "source": "agent"
              },
              "joined": {
                "compared": [
                  {
                    "first": "M1",
                    "property": "MachineID",
                    "second": "m1"
                  }
                ],
                "direct": true,
                "name": "physical: machine ID",
                "order": 30
              },
              "second": {
                "clone": null,
                "external_id": "GUID-2",
                "inventory_date": "NOW",
                "matcher": 30,
                "record_id": "2",
                "source": "agent"
              },
              "sentences": [
                "Records 1 and 2 are one device: Matcher 30 (physical: machine ID) found MachineID `M1` and `m1`.",
                "Matcher 10 (physical: manufacturer, model, firmware serial) did not: Manufacturer is missing in record 2.",
                "Matcher 20 (physical: manufacturer, host type, firmware serial) did not: Manufacturer is missing in record 2."
              ],
              "tried": null
            }
          ],
          "next": null,
          "total": 1,
          "truncated": false,
          "with": null
        }"#]]
    .assert_eq(&fixture.pretty(&explained, &names));
    expect![[r#"
        [
          {
            "failed": {
              "by": "second",
              "first": "Dell",
              "method": "Set",
              "place": "Condition",
              "property": "Manufacturer",
              "second": null,
              "value": null
            },
            "name": "physical: manufacturer, model, firmware serial",
            "order": 10
          },
          {
            "failed": {
              "by": "second",
              "first": "Dell",
              "method": "Set",
              "place": "Condition",
              "property": "Manufacturer",
              "second": null,
              "value": null
            },
            "name": "physical: manufacturer, host type, firmware serial",
            "order": 20
          }
        ]"#]]
    .assert_eq(&fixture.pretty(&tried, &names));
    fixture.stop().await;
}

#[actix::test]
async fn every_state_of_a_package_has_its_reason_and_its_place_in_the_sums() {
    let fixture = Fixture::plain().await;
    let imported = fixture.settle(report(1, 3, &[MACHINE], &[])).await;
    let stale = fixture.settle(report(1, 1, &[MACHINE], &[])).await;
    let quarantined = fixture.settle(package(2, 1, b"\x1f\x8bnonsense")).await;
    let unread = package(3, 9, &muster::formats::gzip::compress(b"vdi")).named("VdiAccess/u.xml.gz");
    let held = fixture.upload(unread).await;
    assert_eq!(fixture.upload(report(1, 3, &[MACHINE], &[])).await, imported);
    let names = [(&*imported, "IMPORTED"), (&*stale, "STALE"), (&*quarantined, "QUARANTINED"), (&*held, "HELD")];

    let is_still = |summary: &serde_json::Value| summary["in_custody"] == 1 && summary["waiting_for_import"] == 0;
    let summary = fixture.until("/api/v1/ledger/summary", is_still).await;
    expect![[r#"
        {
          "as_of": "NOW",
          "at_beacons": 0,
          "duplicate_deliveries": 1,
          "expired": 0,
          "imported": 1,
          "in_custody": 1,
          "missing": 0,
          "next_import": null,
          "published": 5,
          "quarantined": 1,
          "refused": 0,
          "stale": 1,
          "superseded": 0,
          "waiting_for_import": 0
        }"#]]
    .assert_eq(&fixture.pretty(&summary, &names));

    let list = fixture.get("/api/v1/packages?sort=state").await;
    expect![[r#"
        {
          "items": [
            {
              "clock": null,
              "collected_at": null,
              "digest": "HELD",
              "epoch": "7",
              "first_received": "NOW",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "kind": "VdiAccess",
              "name": "u.xml.gz",
              "origin": "GUID-3",
              "reason": null,
              "received": "NOW",
              "sequence": 9,
              "settled": null,
              "size": 23,
              "state": "held",
              "stream": "VdiAccess//",
              "unproven": true
            },
            {
              "clock": "clock-bad",
              "collected_at": null,
              "digest": "IMPORTED",
              "epoch": "7",
              "first_received": "NOW",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "kind": "Inventories",
              "name": "root on h1 at 20250615T120000 (Full).ndi.gz",
              "origin": "GUID-1",
              "reason": null,
              "received": "NOW",
              "sequence": 3,
              "settled": "NOW",
              "size": 197,
              "state": "imported",
              "stream": "Inventories/root/Full",
              "unproven": true
            },
            {
              "clock": "clock-bad",
              "collected_at": null,
              "digest": "QUARANTINED",
              "epoch": "7",
              "first_received": "NOW",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "kind": "Inventories",
              "name": "root on h2 at 20250615T120000 (Full).ndi.gz",
              "origin": "GUID-2",
              "reason": "inventory gzip is refused: gzip member 1 is damaged: invalid gzip header",
              "received": "NOW",
              "sequence": 1,
              "settled": "NOW",
              "size": 10,
              "state": "quarantined",
              "stream": "Inventories/root/Full",
              "unproven": true
            },
            {
              "clock": "clock-bad",
              "collected_at": null,
              "digest": "STALE",
              "epoch": "7",
              "first_received": "NOW",
              "hops": [
                {
                  "name": "hq",
                  "node": "HQ",
                  "received": "NOW"
                }
              ],
              "kind": "Inventories",
              "name": "root on h1 at 20250615T120000 (Full).ndi.gz",
              "origin": "GUID-1",
              "reason": "a newer report of its stream is staged: IMPORTED",
              "received": "NOW",
              "sequence": 1,
              "settled": "NOW",
              "size": 196,
              "state": "stale",
              "stream": "Inventories/root/Full",
              "unproven": true
            }
          ],
          "next": null,
          "total": 4
        }"#]]
    .assert_eq(&fixture.pretty(&list, &names));

    for (query, expected) in [
        ("state=held", vec![&held]),
        ("state=imported", vec![&imported]),
        ("state=quarantined", vec![&quarantined]),
        ("state=expired", vec![]),
        ("kind=vdiaccess", vec![&held]),
        ("filter=name:u.xml", vec![&held]),
        ("filter=name:h2", vec![&quarantined]),
        (&format!("origin={}&sort=state", guid(1)), vec![&imported, &stale]),
        (&format!("origin={}&state=stale", guid(1)), vec![&stale]),
        ("state=held&filter=state:stale", vec![]),
        (&format!("filter=digest={stale}"), vec![&stale]),
    ] {
        let list = fixture.get(&format!("/api/v1/packages?{query}")).await;
        let digests: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|item| item["digest"].as_str().unwrap()).collect();
        assert_eq!(
            (digests, list["total"].as_u64()),
            (expected.iter().map(|d| d.as_str()).collect(), Some(expected.len() as u64)),
            "{query}"
        );
    }
    let one = fixture.get(&format!("/api/v1/packages/{held}")).await;
    expect![[r#"
        {
          "clock": null,
          "collected_at": null,
          "digest": "HELD",
          "epoch": "7",
          "first_received": "NOW",
          "hops": [
            {
              "name": "hq",
              "node": "HQ",
              "received": "NOW"
            }
          ],
          "kind": "VdiAccess",
          "name": "u.xml.gz",
          "origin": "GUID-3",
          "others": [],
          "reason": null,
          "received": "NOW",
          "sequence": 9,
          "settled": null,
          "size": 23,
          "state": "held",
          "stream": "VdiAccess//",
          "unproven": true
        }"#]]
    .assert_eq(&fixture.pretty(&one, &names));
    fixture.stop().await;
}

#[actix::test]
async fn the_bytes_of_a_package_are_handed_out_as_they_came_and_never_shown() {
    let fixture = Fixture::plain().await;
    // Whoever sends chooses the bytes and, within the rules of names, the name.
    let bytes = gzip::compress(b"<script>alert(1)</script>");
    let name = "Inventories/root%20on%20h1%20at%2020250615T120000%20(Full).ndi.gz";
    let digest = fixture.settle(package(1, 1, &bytes).named(name)).await;
    let answer = reqwest::get(fixture.operator(&format!("/api/v1/packages/{digest}/body"))).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.starts_with("attachment; filename=\"") && disposition.contains(".ndi.gz"), "{disposition}");
    assert_eq!(&answer.bytes().await.unwrap()[..], &bytes[..]);
    let (status, error) = fixture.refused(&format!("/api/v1/packages/{}/body", "0".repeat(64))).await;
    assert_eq!((status, &*error["message"].to_string()), (404, "\"no package of this digest has arrived here\""));
    fixture.stop().await;
}

#[actix::test]
async fn the_same_bytes_of_two_agents_are_one_answer_and_the_other_beside_it() {
    let fixture = Fixture::plain().await;
    let send = |agent| report(1, 1, &[MACHINE], &[]).from(agent);
    let digest = fixture.settle(send(1)).await;
    fixture.upload(send(2)).await;
    let path = format!("/api/v1/packages/{digest}");
    let is_done = |package: &serde_json::Value| {
        package["others"][0]["state"].is_string()
            && package["others"][0]["state"] != "held"
            && package["state"] != "held"
    };
    let package = fixture.until(&path, is_done).await;
    let mut origins = [&package["origin"], &package["others"][0]["origin"]].map(|origin| origin.as_str().unwrap());
    origins.sort_unstable();
    assert_eq!(origins, [guid(1).to_string(), guid(2).to_string()]);
    assert_eq!(package["others"].as_array().unwrap().len(), 1);
    fixture.stop().await;
}

#[actix::test]
async fn beacons_show_what_they_hold_and_name_the_hops_of_packages() {
    let fixture = Fixture::plain().await;
    let status = json!([{
        "id": guid(8), "name": "basel", "parent": "http://hq:7080", "version": "0.1.0", "at": NOW.0 - 60_000,
        "queue": { "waiting": { "Inventories": { "packages": 3, "bytes": 900, "oldest_ms": 61_000 } }, "quarantined": 2 },
    }]);
    fixture.report_status(8, status).await;
    expect![[r#"
        {
          "items": [
            {
              "endpoint": null,
              "id": "GUID-8",
              "last_seen": "NOW",
              "name": "basel",
              "overdue": false,
              "parent": "http://hq:7080",
              "policies_refused": 0,
              "policy_revision": null,
              "quarantined": 2,
              "queue": {
                "Inventories": {
                  "bytes": 900,
                  "oldest_ms": 61000,
                  "packages": 3,
                  "rejected": 0
                }
              },
              "silent": false,
              "site": null,
              "tenant": "default",
              "version": "0.1.0"
            }
          ],
          "next": null,
          "since": "NOW",
          "total": 1
        }"#]]
    .assert_eq(&fixture.pretty(&fixture.get("/api/v1/beacons").await, &[]));
    assert_eq!(fixture.get("/api/v1/ledger/summary").await["at_beacons"], 3);
    assert_eq!(fixture.get("/api/v1/beacons?filter=name:basel+packages=3").await["total"], 1);
    assert_eq!(fixture.get("/api/v1/beacons?filter=packages=4").await["total"], 0);

    let http = reqwest::Client::new();
    let url = format!("http://{}/ManageSoftRL/Inventories/a.ndi.gz", fixture.server.upload);
    let via = format!("{};{},{};{}", guid(8), NOW.0 - 5_000, guid(9), NOW.0 - 4_000);
    let body = muster::formats::gzip::compress(b"<Nonsense/>");
    let digest = muster::id::Digest::of(&body).to_string();
    let relayed = http.put(url).header("x-muster-via", via).header("x-muster-origin", guid(4).to_string()).body(body);
    assert_eq!(relayed.send().await.unwrap().status(), 200);
    let package = fixture.until(&format!("/api/v1/packages/{digest}"), |one| one["state"] == "quarantined").await;
    expect![[r#"
        [
          {
            "name": "basel",
            "node": "GUID-8",
            "received": "2025-06-15T15:06:35.000Z"
          },
          {
            "name": null,
            "node": "GUID-9",
            "received": "2025-06-15T15:06:36.000Z"
          },
          {
            "name": "hq",
            "node": "HQ",
            "received": "NOW"
          }
        ]"#]]
    .assert_eq(&fixture.pretty(&package["hops"], &[]));
    fixture.stop().await;
}

#[actix::test]
async fn exports_stand_newest_first() {
    let fixture = Fixture::plain().await;
    assert_eq!(fixture.get("/api/v1/exports").await, json!({ "items": [], "next": null, "total": 0 }));
    for number in 0..3 {
        let started = Timestamp(NOW.0 + number);
        fixture.server.api.reports.lock().unwrap().push_back(RunReport {
            exit: ExitCode::Success,
            exit_code: 0,
            message: "done".into(),
            warnings: vec![],
            started,
            finished: started,
            types: if number == 0 { vec![TypeReport::planned(DataType::Inventory)] } else { vec![] },
        });
    }
    let list = fixture.get("/api/v1/exports").await;
    let started: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| &item["started"].as_str().unwrap()[20..]).collect();
    assert_eq!(started, ["002Z", "001Z", "000Z"]);
    expect![[r#"
        {
          "exit": "success",
          "exit_code": 0,
          "finished": "NOW",
          "id": "1750000000000",
          "message": "done",
          "started": "NOW",
          "types": [
            {
              "import_run": "",
              "records": 0,
              "resumed": false,
              "run": null,
              "segments": 0,
              "since": null,
              "state": "planned",
              "tries": 0,
              "type": "inventory"
            }
          ],
          "warnings": []
        }"#]]
    .assert_eq(&fixture.pretty(&list["items"][2], &[]));
    assert_eq!(fixture.get("/api/v1/exports?limit=1&sort=started").await["items"][0], list["items"][2]);
    fixture.stop().await;
}

#[actix::test]
async fn the_pages_of_devices_and_packages_are_the_whole_list_each_item_once() {
    let fixture = Fixture::plain().await;
    for agent in 1..=7 {
        let (machine, os) = (format!("M{agent}"), if agent % 2 == 0 { "b" } else { "a" });
        fixture.settle(report(agent, 1, &[("MachineID", &machine), ("Model", os)], &[])).await;
    }
    fixture.until_devices("/api/v1/devices", 7).await;
    for path in [
        "/api/v1/devices?",
        "/api/v1/devices?sort=model",
        "/api/v1/devices?sort=-name",
        "/api/v1/devices?filter=model=a",
        "/api/v1/packages?",
        "/api/v1/packages?sort=-origin",
        "/api/v1/packages?state=imported",
        "/api/v1/software?",
    ] {
        let whole = fixture.get(path).await;
        let total = whole["total"].clone();
        assert!(whole["next"].is_null());
        assert_eq!(whole["items"].as_array().unwrap().len() as u64, total.as_u64().unwrap());
        for limit in [1, 3, 7, 1_000] {
            let (mut walked, mut after) = (Vec::new(), String::new());
            loop {
                let page = fixture.get(&format!("{path}&limit={limit}{after}").replace("?&", "?")).await;
                assert_eq!(page["total"], total);
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= limit);
                walked.extend(items.iter().cloned());
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!(json!(walked), whole["items"], "{path} by {limit}");
        }
    }
    fixture.stop().await;
}
