//! A beacon whose parent hands out policies that are cut off or damaged.

use std::sync::Mutex;

use actix_web::web::{self, Data, Path as Segments};
use actix_web::{App, HttpResponse, HttpServer};
use muster::policy::BeaconPolicy;
use muster::policy::beacon_policy::Content;
use muster::schedule::{AgentSchedule, standard_schedule};
use muster::time::Timestamp;
use serde_json::{Value, json};

use super::*;

/// What a parent hands out, and what it was given.
#[derive(Default)]
struct Given {
    policy: Mutex<Vec<u8>>,
    status: Mutex<Value>,
    packages: Mutex<usize>,
}

impl Given {
    fn told(&self, field: &str) -> u64 {
        self.status.lock().unwrap()[0][field].as_u64().unwrap_or_default()
    }
}

async fn policy(given: Data<Given>) -> HttpResponse {
    HttpResponse::Ok().body(given.policy.lock().unwrap().clone())
}

/// Takes a status and says nothing of it: only what becomes of policies is to tell how the parent does.
async fn status(given: Data<Given>, body: web::Bytes) -> HttpResponse {
    *given.status.lock().unwrap() = serde_json::from_slice(&body).unwrap();
    HttpResponse::ServiceUnavailable().finish()
}

async fn package(given: Data<Given>, _: Segments<(String, String)>, body: web::Bytes) -> HttpResponse {
    *given.packages.lock().unwrap() += 1;
    let receipt = json!({ "digest": Digest::of(&body), "size": body.len(), "node": Guid::NIL, "state": "held" });
    HttpResponse::Ok().json(receipt)
}

fn policy_of(revision: u64) -> Vec<u8> {
    let mut schedule = Vec::new();
    standard_schedule(&AgentSchedule::default(), Timestamp(0)).write(&mut schedule).unwrap();
    let content = Content { schedule: String::from_utf8(schedule).unwrap(), ..Content::default() };
    BeaconPolicy::new(revision, Timestamp(0), content).unwrap().write()
}

#[actix::test]
async fn bad_policies_are_kept_out_and_counted_and_packages_go_on() {
    let given = Data::new(Given::default());
    *given.policy.lock().unwrap() = policy_of(7);
    let app = given.clone();
    let parent = HttpServer::new(move || {
        App::new()
            .app_data(app.clone())
            .route("/inventory-beacons/{guid}/policy", web::get().to(policy))
            .route("/inventory-beacons/{guid}/status", web::put().to(status))
            .route("/ManageSoftRL/{kind}/{name}", web::put().to(package))
    });
    let parent = parent.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = parent.addrs()[0];
    let running = parent.run();
    let parent = running.handle();
    actix::spawn(running);
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path(), &[format!("http://{address}")]);
    (options.policy_every_ms, options.status_every_ms) = (20, 20);
    let no_fatal = Arc::new(|reason: &str| panic!("{reason}"));
    let child = start(options, Arc::new(WallClock), no_fatal).await.unwrap();
    wait_for("the good one is in use", || given.told("policy_revision") == 7).await;
    assert_eq!(given.told("policies_refused"), 0);
    let whole = policy_of(8);
    let damaged = String::from_utf8(whole.clone()).unwrap().replace("Generate", "Degenerate").into_bytes();
    for (bad, name) in [(whole[..whole.len() / 2].to_vec(), "cut off"), (damaged, "damaged")] {
        let before = given.told("policies_refused");
        *given.policy.lock().unwrap() = bad;
        wait_for(name, || given.told("policies_refused") >= before + 5).await;
        let packages = *given.packages.lock().unwrap();
        let path = format!("/ManageSoftRL/Inventories/{before}.ndi.gz");
        assert_eq!(put(&child, &path).body(gzip::compress(name.as_bytes())).send().await.unwrap().status(), 200);
        wait_for("the package is with the parent", || *given.packages.lock().unwrap() > packages).await;
    }
    assert_eq!(given.told("policy_revision"), 7, "the last good one stays in use");
    *given.policy.lock().unwrap() = whole;
    wait_for("the next good one is in use", || given.told("policy_revision") == 8).await;
    child.stop().await;
    parent.stop(true).await;
}
