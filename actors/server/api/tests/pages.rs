//! What people see in a browser.

use serde_json::json;

use super::fixture::{Fixture, NOW, guid, report};

#[actix::test]
async fn an_empty_server_says_what_to_do_next() {
    let fixture = Fixture::plain().await;
    let page = fixture.text("/").await;
    for part in [
        "No machine has reported yet",
        "muster up",
        "No beacon has reported since this server started at 2025-06-15 15:06:40",
        "No export is set up",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    fixture.stop().await;
}

#[actix::test]
async fn texts_of_reports_are_shown_and_never_run() {
    let fixture = Fixture::plain().await;
    let evil = "<script>alert(1)</script>\"'&";
    let properties = [("Manufacturer", evil), ("Name", evil), ("MachineID", "M1")];
    fixture.settle(report(1, 1, &properties, &[("<img src=x>", "1"), ("postgresql-15", "15.6")])).await;
    // Its parent says that it has not heard of it for ten minutes.
    let above = json!({
        "id": guid(7), "name": "hq", "parent": "", "version": "", "at": NOW,
        "queue": { "waiting": {}, "quarantined": 0 },
    });
    let status = json!([above, {
        "id": guid(8), "name": evil, "parent": "javascript:alert(1)", "version": evil, "at": NOW.0 - 600_000,
        "queue": { "waiting": { "Inventories": { "packages": 2, "bytes": 9, "oldest_ms": 7_200_000 } }, "quarantined": 0 },
    }]);
    fixture.report_status(7, status).await;
    fixture.until_devices("/api/v1/devices", 1).await;
    fixture.reconciled().await;
    let (home, device) = (fixture.text("/").await, fixture.text("/devices/1").await);
    for page in [&home, &device] {
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("href=\"javascript"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    }
    assert!(home.contains("href=\"/api/v1/packages?state=quarantined\""), "{home}");
    let id = format!("<span class=\"dim\">{}</span>", guid(8));
    for part in ["2 Inventories, oldest 2 h", "silent for 10 min", &id, "href=\"/devices/1\""] {
        assert!(home.contains(part), "{part} in {home}");
    }
    for part in ["PostgreSQL 15", "MachineID", "none: it was the only record", "hq at 2025-06-15 15:06:40"] {
        assert!(device.contains(part), "{part} in {device}");
    }
    fixture.stop().await;
}

#[actix::test]
async fn runs_show_their_position_what_changed_and_what_each_device_had() {
    let fixture = Fixture::plain().await;
    let empty = fixture.text("/reconciles").await;
    assert!(empty.contains("None yet: the first follows the first import"), "{empty}");
    let tables = r#"{"tables": {
        "licenses": "license,name,type\npg/24x7,PostgreSQL support,2\n",
        "license_applications": "license,application\npg/24x7,postgresql-15\n",
        "entitlements": "license,quantity,expiry\npg/24x7,1,2030-01-31\n",
        "devices": "device,cluster\nh2,<c1>\n"
    }}"#;
    let (status, answer) = fixture.post("/api/v1/licensing", tables).await;
    assert_eq!(status, 200, "{answer}");
    fixture.settle(report(1, 1, &[("MachineID", "M1")], &[("postgresql-15", "15.6")])).await;
    fixture.settle(report(2, 1, &[("MachineID", "M2")], &[("home-made", "1")])).await;
    fixture.until_devices("/api/v1/devices", 2).await;
    fixture.reconciled().await;
    fixture.run_reconcile().await;
    let since = fixture.get("/api/v1/reconciles/newest").await["run"].as_str().unwrap().to_owned();
    fixture.settle(report(2, 2, &[("MachineID", "M2")], &[("postgresql-15", "15.6")])).await;
    fixture.reconciled().await;
    fixture.run_reconcile().await;
    let number = fixture.get("/api/v1/reconciles/newest").await["run"].as_str().unwrap().to_owned();
    let list = fixture.text("/reconciles").await;
    let (run, changes, licence, device) = (
        fixture.text(&format!("/reconciles/{number}")).await,
        fixture.text(&format!("/reconciles/{number}/changes?since={since}")).await,
        fixture.text("/licenses/pg%2F24x7").await,
        fixture.text("/devices/2").await,
    );
    assert!(list.contains(&format!("href=\"/reconciles/{number}\"")), "{list}");
    for part in ["At Risk", "PostgreSQL support", &format!("/licenses/pg%2F24x7?run={number}"), "since the one before"]
    {
        assert!(run.contains(part), "{part} in {run}");
    }
    for part in [
        "1 -&#62; 2 used",
        "device `2` +1",
        "`postgresql-15` is newly installed, shown by postgresql-15 15.6 (deb, Debian)",
    ] {
        assert!(changes.contains(part), "{part} in {changes}");
    }
    for part in ["2030-01-31", "operator"] {
        assert!(licence.contains(part), "{part} in {licence}");
    }
    for part in ["cluster &#60;c1&#62; (operator)", "name h2 (agent)", "href=\"/licenses/pg%2F24x7\"", "took it"] {
        assert!(device.contains(part), "{part} in {device}");
    }
    let first = fixture.text("/reconciles/1").await;
    assert!(!first.contains("since the one before"), "{first}");
    let (status, error) = fixture.refused("/reconciles/1/changes").await;
    assert_eq!((status, error["code"].as_str()), (400, Some("since")));
    fixture.stop().await;
}
