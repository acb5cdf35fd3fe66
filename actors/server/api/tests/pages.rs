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
    fixture.until("/api/v1/devices", |list| list["total"] == 1).await;
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
