//! Recognition and the licence position, from reports to answers.

use expect_test::expect;

use super::fixture::{Fixture, report};

const TABLES: &str = r#"{"tables": {
    "licenses": "license,name,type,multiple_use\npg/24x7,PostgreSQL support,2,yes\nnone,Nothing uses it,2,yes\n",
    "license_applications": "license,application\npg/24x7,postgresql-15\nnone,zsh\n",
    "entitlements": "license,quantity\npg/24x7,1\nnone,unlimited\n",
    "allocations": "license,device\npg/24x7,H2\n"
}}"#;

#[actix::test]
async fn titles_become_applications_and_a_licence_position_with_its_working() {
    let fixture = Fixture::plain().await;
    for agent in 1..=2 {
        let machine = format!("M{agent}");
        let software = [("postgresql-15", "15.6-1"), ("libacl1", "1"), ("home-made", "0.1")];
        fixture.settle(report(agent, 1, &[("MachineID", &machine)], &software)).await;
    }
    fixture.until_devices("/api/v1/devices", 2).await;
    let (status, changes) = fixture.post("/api/v1/licensing", TABLES).await;
    assert_eq!((status, &changes["findings"]), (200, &serde_json::json!([])), "{changes}");
    fixture.run_reconcile().await;
    for (path, expected) in [
        (
            "/api/v1/software",
            expect![[r#"
            {
              "items": [
                {
                  "applications": [],
                  "evidence": "deb",
                  "name": "home-made",
                  "publisher": "Debian",
                  "recognition": "unrecognised",
                  "rules": [],
                  "version": "0.1"
                },
                {
                  "applications": [],
                  "evidence": "deb",
                  "name": "libacl1",
                  "publisher": "Debian",
                  "recognition": "ignored",
                  "rules": [
                    "ignored#1"
                  ],
                  "version": "1"
                },
                {
                  "applications": [
                    "postgresql-15"
                  ],
                  "evidence": "deb",
                  "name": "postgresql-15",
                  "publisher": "Debian",
                  "recognition": "recognised",
                  "rules": [
                    "postgresql-15#1"
                  ],
                  "version": "15.6-1"
                }
              ],
              "next": null,
              "total": 3
            }"#]],
        ),
        (
            "/api/v1/applications",
            expect![[r#"
                {
                  "at": "NOW",
                  "ignored": 1,
                  "items": [
                    {
                      "classification": "open-source",
                      "covered": true,
                      "devices": 2,
                      "edition": "",
                      "id": "postgresql-15",
                      "licensable": true,
                      "name": "PostgreSQL 15",
                      "publisher": "PostgreSQL Global Development Group",
                      "unlicensed": 0,
                      "version": "15"
                    }
                  ],
                  "next": null,
                  "titles": 3,
                  "total": 1,
                  "unrecognised": 1
                }"#]],
        ),
        (
            "/api/v1/licenses",
            expect![[r#"
            {
              "as_of": "2025-06-15",
              "at": "NOW",
              "items": [
                {
                  "available": null,
                  "consumed": 0,
                  "entitled": "unlimited",
                  "exempt": 0,
                  "id": "none",
                  "manual_status": null,
                  "metric": "Device",
                  "missing": 0,
                  "name": "Nothing uses it",
                  "raw": 0,
                  "reason": "any number may be used",
                  "savings": 0,
                  "status": "Compliant",
                  "status_id": 1,
                  "today": 0,
                  "true_up_due": null,
                  "type": 2
                },
                {
                  "available": -1,
                  "consumed": 2,
                  "entitled": 1,
                  "exempt": 0,
                  "id": "pg/24x7",
                  "manual_status": null,
                  "metric": "Device",
                  "missing": 0,
                  "name": "PostgreSQL support",
                  "raw": 2,
                  "reason": "1 more used than owned: buy more, or take it off where it is not needed",
                  "savings": 0,
                  "status": "At Risk",
                  "status_id": 2,
                  "today": 2,
                  "true_up_due": null,
                  "type": 2
                }
              ],
              "next": null,
              "run": "RUN",
              "total": 2
            }"#]],
        ),
        (
            "/api/v1/licenses/pg%2F24x7",
            expect![[r#"
                {
                  "applications": [
                    {
                      "devices": 2,
                      "id": "postgresql-15",
                      "priority": null,
                      "supplementary": false
                    }
                  ],
                  "as_of": "2025-06-15",
                  "at": "NOW",
                  "available": -1,
                  "consumed": 2,
                  "entitled": 1,
                  "entitlements": [
                    {
                      "quantity": "1",
                      "source": "operator"
                    }
                  ],
                  "exempt": 0,
                  "id": "pg/24x7",
                  "manual_status": null,
                  "metric": "Device",
                  "missing": 0,
                  "name": "PostgreSQL support",
                  "raw": 2,
                  "reason": "1 more used than owned: buy more, or take it off where it is not needed",
                  "run": "RUN",
                  "savings": 0,
                  "status": "At Risk",
                  "status_id": 2,
                  "today": 2,
                  "true_up_due": null,
                  "type": 2,
                  "warnings": []
                }"#]],
        ),
        (
            "/api/v1/licenses/pg%2F24x7/consumption",
            expect![[r#"
                {
                  "as_of": "2025-06-15",
                  "at": "NOW",
                  "consumed": 2,
                  "exempt": 0,
                  "items": [
                    {
                      "consumed": 1,
                      "exemption": null,
                      "id": "1",
                      "installations": [
                        {
                          "application": "postgresql-15",
                          "counted": true,
                          "evidence": "postgresql-15 15.6-1 (deb, Debian)",
                          "exemption": null,
                          "how": "overflow"
                        }
                      ],
                      "name": "h1",
                      "raw": 1,
                      "reason": "counted",
                      "unit": "device",
                      "words": "device `1` counts 1: 1 installation"
                    },
                    {
                      "consumed": 1,
                      "exemption": null,
                      "id": "2",
                      "installations": [
                        {
                          "application": "postgresql-15",
                          "counted": true,
                          "evidence": "postgresql-15 15.6-1 (deb, Debian)",
                          "exemption": null,
                          "how": "allocated"
                        }
                      ],
                      "name": "h2",
                      "raw": 1,
                      "reason": "counted",
                      "unit": "device",
                      "words": "device `2` counts 1: 1 installation"
                    }
                  ],
                  "license": "pg/24x7",
                  "next": null,
                  "raw": 2,
                  "run": "RUN",
                  "total": 2
                }"#]],
        ),
        (
            "/api/v1/licenses/pg%2F24x7/explain",
            expect![[r#"
                {
                  "as_of": "2025-06-15",
                  "at": "NOW",
                  "id": "pg/24x7",
                  "lines": [
                    "`pg/24x7`, Device (2): 2 used, 1 owned, At Risk",
                    "  1 more used than owned: buy more, or take it off where it is not needed",
                    "  bought: 1 row of the table of entitlements",
                    "  `h1`, device `1` counts 1: 1 installation",
                    "    postgresql-15 by postgresql-15 15.6-1 (deb, Debian)",
                    "  `h2`, device `2` counts 1: 1 installation",
                    "    postgresql-15 by postgresql-15 15.6-1 (deb, Debian)"
                  ],
                  "run": "RUN"
                }"#]],
        ),
        (
            "/api/v1/devices/1/licenses",
            expect![[r#"
                {
                  "as_of": "2025-06-15",
                  "at": "NOW",
                  "device": "1",
                  "facts": [
                    {
                      "fact": "name",
                      "inventory_date": "NOW",
                      "source": "agent",
                      "value": "h1"
                    },
                    {
                      "fact": "kind",
                      "inventory_date": null,
                      "source": null,
                      "value": "physical"
                    }
                  ],
                  "items": [
                    {
                      "application": "postgresql-15",
                      "evidence": "postgresql-15 15.6-1 (deb, Debian)",
                      "license": "pg/24x7",
                      "outcome": "consumed",
                      "reason": "overflow",
                      "words": [
                        "`postgresql-15` on `1` is on licence `pg/24x7`: every licence that could take it is used up, and this one stands first",
                        "  1. `pg/24x7` took it: every licence that could take it is used up, and this one stands first"
                      ]
                    }
                  ],
                  "name": "h1",
                  "next": null,
                  "run": "RUN",
                  "total": 1
                }"#]],
        ),
    ] {
        let mut answer = fixture.get(path).await;
        // How many imports came before depends on when the reports were settled.
        if answer["run"].is_string() {
            answer["run"] = "RUN".into();
        }
        expected.assert_eq(&fixture.pretty(&answer, &[]));
    }
    assert_eq!(fixture.get("/api/v1/software?filter=recognition=unrecognised").await["items"][0]["name"], "home-made");
    assert_eq!(fixture.get("/api/v1/software?filter=application=postgresql-15").await["total"], 1);
    assert_eq!(fixture.get("/api/v1/licenses?filter=status:risk").await["total"], 1);
    assert_eq!(fixture.get("/api/v1/licenses/none/consumption").await["items"], serde_json::json!([]));
    let page = fixture.get("/api/v1/licenses/pg%2F24x7/consumption?limit=1&sort=-unit_id").await;
    assert_eq!((&page["items"][0]["id"], &page["total"]), (&"2".into(), &2.into()));
    let (status, page) = fixture.raw(reqwest::Method::GET, "/licenses/pg%2F24x7").await;
    assert_eq!(status, 200);
    for told in ["PostgreSQL support", "At Risk", "1 more used than owned", "postgresql-15 15.6-1 (deb, Debian)"] {
        assert!(page.contains(told), "{told} in {page}");
    }
    // Evidence that somebody changed on the disk is told, not shown.
    let run = fixture.get("/api/v1/licenses").await["run"].as_str().unwrap().to_owned();
    let kept = fixture.folder().join(format!("data/reconciles/default/{run}/installations.csv.gz"));
    let mut bytes = std::fs::read(&kept).unwrap();
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    let (status, error) = fixture.refused("/api/v1/licenses/pg%2F24x7/explain").await;
    assert_eq!(status, 500);
    assert!(error["message"].as_str().unwrap().contains("installations.csv.gz` is not what was written"), "{error}");
    fixture.stop().await;
}

#[actix::test]
async fn a_rule_file_that_is_broken_by_hand_leaves_the_answers_of_the_one_before() {
    const RULES: &str = "[[application]]\nid = 'a'\npublisher = 'p'\nproduct = 'a'\nrules = [{ name = 'a' }]\n";
    let mut path = std::path::PathBuf::new();
    let rules = |folder: &std::path::Path| {
        path = folder.join("rules.toml");
        std::fs::write(&path, RULES).unwrap();
        format!("recognition_file = \"{}\"\n", path.display())
    };
    let fixture = Fixture::start(rules).await;
    std::fs::write(&path, "[[application]\n").unwrap();
    let (status, error) = fixture.refused("/api/v1/software").await;
    assert_eq!((status, error["code"].as_str()), (500, Some("rules")));
    assert!(error["message"].as_str().unwrap().contains("rules.toml"), "{error}");
    std::fs::write(&path, RULES).unwrap();
    assert_eq!(fixture.get("/api/v1/software").await["total"], 0);
    std::fs::write(&path, "[[application]\n\n").unwrap();
    assert_eq!(fixture.get("/api/v1/software").await["total"], 0);
    fixture.stop().await;
}

#[actix::test]
async fn a_slip_in_a_table_does_not_end_the_period_of_a_peak() {
    let fixture = Fixture::plain().await;
    let peaks = "license,region,peak,since\ngone,,5,2025-06-15\npvu,,6400,2025-06-15\n";
    for licenses in ["license,type,true_up_date\npvu,25,2025-13-01\n", "license,type\npvu,25\n"] {
        let tables = match licenses.contains("13-01") {
            true => serde_json::json!({ "tables": { "licenses": licenses, "peaks": peaks } }),
            false => serde_json::json!({ "tables": { "licenses": licenses } }),
        };
        let (status, answer) = fixture.post("/api/v1/licensing", &tables.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        fixture.run_reconcile().await;
        let kept = fixture.get("/api/v1/licensing/peaks?sort=license").await;
        let kept: Vec<&str> =
            kept["items"].as_array().unwrap().iter().map(|row| row["peak"].as_str().unwrap()).collect();
        assert_eq!(kept, ["5", "6400"], "{licenses}");
    }
    assert_eq!(fixture.get("/api/v1/licenses").await["items"][0]["consumed"], 6400);
    // A bad row among them costs no other one: all stay until it is mended.
    let slip = "license,region,peak,since\npvu,americas,1200,2025-06-15\npvu,europe,x,2025-06-15\n";
    let tables = serde_json::json!({ "tables": { "peaks": slip } });
    assert_eq!(fixture.post("/api/v1/licensing", &tables.to_string()).await.0, 200);
    fixture.run_reconcile().await;
    let kept = fixture.get("/api/v1/licensing/peaks?sort=region").await;
    let kept: Vec<&str> = kept["items"].as_array().unwrap().iter().map(|row| row["peak"].as_str().unwrap()).collect();
    assert_eq!(kept, ["1200", "x"]);
    fixture.stop().await;
}
