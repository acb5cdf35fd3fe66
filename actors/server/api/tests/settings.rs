//! What an operator sets, and what of it reaches agents.

use std::time::Duration;

use muster::formats::client_configuration::ClientConfiguration;
use muster::model::fact::FactKey;
use muster::policy::BeaconPolicy;
use serde_json::{Value, json};

use super::fixture::{Fixture, guid};
use crate::server::books::News;

async fn put(fixture: &Fixture, name: &str, value: &Value) -> (u16, Value) {
    let address = fixture.operator(&format!("/api/v1/settings/{name}"));
    let answer = reqwest::Client::new().put(address).body(value.to_string()).send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

async fn policy(fixture: &Fixture) -> BeaconPolicy {
    let address = fixture.upload_address("/inventory-beacons/x/policy");
    // A server hands its policy out a moment after its start.
    for _ in 0..1_000 {
        let answer = reqwest::get(&address).await.unwrap();
        if answer.status() == 200 {
            return BeaconPolicy::read(&answer.bytes().await.unwrap()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never a policy");
}

#[actix::test]
async fn what_is_set_is_there_after_a_restart_and_in_the_policy_of_agents() {
    let fixture = Fixture::plain().await;
    let before = fixture.get("/api/v1/settings").await;
    assert_eq!(before["client-configuration"]["usage_enabled"], false);
    let value = json!({ "usage_enabled": true, "usage_period_secs": 600 });
    let (status, answer) = put(&fixture, "client-configuration", &value).await;
    assert_eq!((status, &answer["value"]["usage_period_secs"]), (200, &json!(600)), "{answer}");
    let given = policy(&fixture).await;
    assert_eq!(answer["policy_revision"], given.revision.to_string());
    let (configuration, _) = ClientConfiguration::read(given.content.configuration.as_bytes()).unwrap();
    assert_eq!((configuration.is_usage_metered, configuration.usage_upload_secs), (true, 600));
    // Set to what it is, nothing changes.
    assert_eq!(put(&fixture, "client-configuration", &value).await.1["policy_revision"], answer["policy_revision"]);

    let again = fixture.restarted().await;
    assert_eq!(again.get("/api/v1/settings/client-configuration").await, answer["value"]);
    assert_eq!(policy(&again).await, given);
    again.stop().await;
}

#[actix::test]
async fn a_setting_that_is_none_is_refused_and_changes_nothing() {
    let fixture = Fixture::plain().await;
    let before = fixture.get("/api/v1/settings").await;
    for (name, value, wanted, part) in [
        ("agent-schedule", json!({ "inventory_start_secs": 99_999 }), 400, "inventory_start_secs"),
        ("agent-schedule", json!({ "inventory_strat_secs": 1 }), 400, "inventory_strat_secs"),
        ("agent-schedule", json!([]), 400, "agent-schedule"),
        ("agent-shedule", json!({}), 404, "agent-schedule"),
    ] {
        let (status, answer) = put(&fixture, name, &value).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == wanted && message.contains(part), "{name} {value}: {status} {message}");
    }
    let address = fixture.operator("/api/v1/settings/agent-schedule");
    let broken = reqwest::Client::new().put(address).body("{").send().await.unwrap();
    assert_eq!(broken.status().as_u16(), 400);
    let address = fixture.operator("/api/v1/settings/agent-schedule");
    let elsewhere = reqwest::Client::new().put(address).header("host", "evil.example").body("{}").send().await.unwrap();
    assert_eq!(elsewhere.status().as_u16(), 403);
    assert_eq!(fixture.get("/api/v1/settings").await, before);
    fixture.stop().await;
}

#[actix::test]
async fn a_stored_setting_that_is_not_understood_keeps_the_policy_as_it_is() {
    let fixture = Fixture::plain().await;
    let target = json!({ "on": true, "targets": [guid(1)] });
    assert_eq!(put(&fixture, "migration-mode", &target).await.0, 200);
    let given = policy(&fixture).await;
    let books = &fixture.server.books;
    let key = FactKey::Setting(format!("{}/migration-mode", books.tenant).into());
    let written = books.turn(move |draft| {
        draft.write(&key, &"{\"on\":\"of a later version\"}");
        Ok(((), News::default()))
    });
    written.await.unwrap();
    // Its default would tell the whole fleet.
    let (status, answer) = put(&fixture, "client-configuration", &json!({ "usage_enabled": true })).await;
    assert_eq!(status, 500);
    assert!(answer["error"]["message"].as_str().unwrap().contains("migration-mode"), "{answer}");
    let again = fixture.restarted().await;
    assert_eq!(policy(&again).await, given);
    let (status, answer) = put(&again, "migration-mode", &target).await;
    assert_eq!(status, 200, "{answer}");
    let given = policy(&again).await;
    assert_eq!((given.content.configuration.is_empty(), given.content.targets), (false, Some([guid(1)].into())));
    again.stop().await;
}

#[actix::test]
async fn the_times_of_tasks_are_set_at_once_and_for_good() {
    let fixture = Fixture::ticking("[schedules.SpoolMaintenance]", "[schedules.SpoolMaintenance]").await;
    assert_eq!(fixture.get("/api/v1/settings/task-schedules").await, json!({}), "as the file says");
    let (status, answer) = put(&fixture, "task-schedules", &json!({ "SpoolMaintenance": "yearly" })).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("`yearly` is no time of a task"), "{answer}");
    let value = json!({ "SpoolMaintenance": "every 1 s", "InventoryImport": null });
    let (status, answer) = put(&fixture, "task-schedules", &value).await;
    assert_eq!((status, &answer["value"]), (200, &value));
    fixture.until("/api/v1/tasks?type=SpoolMaintenance&status=Success", |list| list["total"].as_u64() > Some(1)).await;
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.get("/api/v1/settings").await["task-schedules"], value);
    let count = fixture.get("/api/v1/tasks?type=SpoolMaintenance&limit=1").await["total"].as_u64();
    fixture.until("/api/v1/tasks?type=SpoolMaintenance&limit=1", |list| list["total"].as_u64() > count).await;
    fixture.stop().await;
}
