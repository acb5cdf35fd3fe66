//! Recognition and the licence position, from reports to answers.

use expect_test::expect;

use super::fixture::{Fixture, report};

const LICENCES: &str = r#"
[[licence]]
id = "pg/24x7"
name = "PostgreSQL support"
publisher = "Example Support Ltd."
metric = "device"
applications = ["postgresql-15"]
entitlements = [{ quantity = 1 }]
allocations = [{ device = 2, kind = "allocated" }]

[[licence]]
id = "none"
name = "Nothing uses it"
publisher = "Example Support Ltd."
metric = "device"
applications = ["zsh"]
entitlements = [{ quantity = "unlimited" }]
"#;

#[actix::test]
async fn titles_become_applications_and_a_licence_position_with_its_working() {
    let licences = |folder: &std::path::Path| {
        let file = folder.join("licences.toml");
        std::fs::write(&file, LICENCES).unwrap();
        format!("licences_file = \"{}\"\n", file.display())
    };
    let fixture = Fixture::start(licences).await;
    for agent in 1..=2 {
        let machine = format!("M{agent}");
        let software = [("postgresql-15", "15.6-1"), ("libacl1", "1"), ("home-made", "0.1")];
        fixture.settle(report(agent, 1, &[("MachineID", &machine)], &software)).await;
    }
    fixture.until("/api/v1/devices", |list| list["total"] == 2).await;
    fixture.reconciled().await;
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
                  "applications": [
                    {
                      "id": "zsh",
                      "priority": null
                    }
                  ],
                  "available": null,
                  "consumed": 0,
                  "entitled": "unlimited",
                  "id": "none",
                  "metric": "Device",
                  "name": "Nothing uses it",
                  "publisher": "Example Support Ltd.",
                  "reason": "0 in use of any number",
                  "savings": 0,
                  "status": "Compliant",
                  "true_up_due": null
                },
                {
                  "applications": [
                    {
                      "id": "postgresql-15",
                      "priority": null
                    }
                  ],
                  "available": -1,
                  "consumed": 2,
                  "entitled": 1,
                  "id": "pg/24x7",
                  "metric": "Device",
                  "name": "PostgreSQL support",
                  "publisher": "Example Support Ltd.",
                  "reason": "1 more in use than owned: buy, or take off devices",
                  "savings": 0,
                  "status": "At Risk",
                  "true_up_due": null
                }
              ],
              "next": null,
              "total": 2
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
                  "arrived": false,
                  "consumed": 1,
                  "device": "1",
                  "name": "h1",
                  "raw": 1,
                  "reason": "counted",
                  "rejected": [],
                  "taken": [
                    {
                      "application": "postgresql-15",
                      "exemption": null,
                      "how": "overflow",
                      "title": {
                        "evidence": "deb",
                        "name": "postgresql-15",
                        "publisher": "Debian",
                        "version": "15.6-1"
                      }
                    }
                  ]
                },
                {
                  "arrived": false,
                  "consumed": 1,
                  "device": "2",
                  "name": "h2",
                  "raw": 1,
                  "reason": "counted",
                  "rejected": [],
                  "taken": [
                    {
                      "application": "postgresql-15",
                      "exemption": null,
                      "how": "allocated",
                      "title": {
                        "evidence": "deb",
                        "name": "postgresql-15",
                        "publisher": "Debian",
                        "version": "15.6-1"
                      }
                    }
                  ]
                }
              ],
              "licence": "pg/24x7",
              "next": null,
              "raw": 2,
              "total": 2,
              "truncated": false
            }"#]],
        ),
    ] {
        expected.assert_eq(&fixture.pretty(&fixture.get(path).await, &[]));
    }
    let list = fixture.get("/api/v1/licenses").await;
    assert_eq!(fixture.get("/api/v1/licenses/none").await, list["items"][0]);
    assert_eq!(fixture.get("/api/v1/software?filter=recognition=unrecognised").await["items"][0]["name"], "home-made");
    assert_eq!(fixture.get("/api/v1/software?filter=application=postgresql-15").await["total"], 1);
    assert_eq!(fixture.get("/api/v1/licenses?filter=status:risk").await["total"], 1);
    assert_eq!(fixture.get("/api/v1/licenses/none/consumption").await["items"], serde_json::json!([]));
    let page = fixture.get("/api/v1/licenses/pg%2F24x7/consumption?limit=1&sort=-device").await;
    assert_eq!((&page["items"][0]["device"], &page["total"]), (&"2".into(), &2.into()));
    fixture.stop().await;
}

#[actix::test]
async fn a_rule_file_that_is_broken_by_hand_leaves_the_answers_of_the_one_before() {
    let mut path = std::path::PathBuf::new();
    let licences = |folder: &std::path::Path| {
        path = folder.join("licences.toml");
        std::fs::write(&path, LICENCES).unwrap();
        format!("licences_file = \"{}\"\n", path.display())
    };
    let fixture = Fixture::start(licences).await;
    std::fs::write(&path, "[[licence]\n").unwrap();
    let (status, error) = fixture.refused("/api/v1/software").await;
    assert_eq!((status, error["code"].as_str()), (500, Some("rules")));
    assert!(error["message"].as_str().unwrap().contains("licences.toml"), "{error}");
    std::fs::write(&path, LICENCES).unwrap();
    assert_eq!(fixture.get("/api/v1/software").await["total"], 0);
    std::fs::write(&path, "[[licence]\n\n").unwrap();
    assert_eq!(fixture.get("/api/v1/software").await["total"], 0);
    fixture.stop().await;
}
