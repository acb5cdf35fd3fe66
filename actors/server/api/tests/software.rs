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
    fixture.until("/api/v1/devices", |list| list["total"] == 2).await;
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
                  "version": "15"
                }
              ],
              "next": null,
              "titles": 3,
              "total": 1,
              "unrecognised": 1
            }"#]],
        ),
        ("/api/v1/licenses", expect![[r#""#]]),
        ("/api/v1/licenses/pg%2F24x7", expect![[r#""#]]),
        ("/api/v1/licenses/pg%2F24x7/consumption", expect![[r#""#]]),
        ("/api/v1/licenses/pg%2F24x7/explain", expect![[r#""#]]),
        ("/api/v1/devices/1/licenses", expect![[r#""#]]),
    ] {
        expected.assert_eq(&fixture.pretty(&fixture.get(path).await, &[]));
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
