//! `PUT /inventory-beacons/{guid}/status`: the statuses that come up.

use std::sync::{Mutex, OnceLock};

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use muster::formats::wire::Refusal;
use muster::id::Guid;
use muster::model::beacon_status::{BeaconStatus, BeaconStatuses, is_circle};
use muster::time::Timestamp;

use crate::clock::SharedClock;
use crate::intake::refuse;

/// Most bytes of one report.
const REPORT_BYTES_MAX: usize = 4 << 20;

/// The statuses of all beacons below a node; in memory only, they come anew every minute.
pub struct Statuses {
    node: Guid,
    clock: SharedClock,
    known: Mutex<BeaconStatuses>,
    /// Called when agents can reach another beacon than before.
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Statuses {
    /// None yet of those below `node`.
    pub fn new(node: Guid, clock: SharedClock) -> Statuses {
        Statuses { node, clock, known: Mutex::default(), changed: OnceLock::new() }
    }

    /// Has `changed` called from now on, whenever agents can reach another beacon than before, or one in another way.
    pub fn tell(&self, changed: impl Fn() + Send + Sync + 'static) {
        // The first one stays: a node tells one actor.
        let _ = self.changed.set(Box::new(changed));
    }

    /// Every beacon below, by id.
    pub fn list(&self) -> Vec<BeaconStatus> {
        self.known.lock().expect("no holder of this lock panics").iter().cloned().collect()
    }

    /// Every beacon below with when it was heard last.
    pub fn heard(&self) -> Vec<(Timestamp, BeaconStatus)> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.heard().map(|(at, status)| (at, status.clone())).collect()
    }

    fn take(&self, report: Vec<BeaconStatus>) {
        let has_changed = self.known.lock().expect("no holder of this lock panics").take(report, self.clock.now());
        if let (true, Some(changed)) = (has_changed, self.changed.get()) {
            changed();
        }
    }
}

/// The route for reports.
pub fn statuses(config: &mut ServiceConfig, statuses: Data<Statuses>) {
    config.service(
        web::resource("/inventory-beacons/{guid}/status")
            .app_data(statuses)
            .app_data(web::PayloadConfig::new(REPORT_BYTES_MAX))
            .route(web::put().to(put)),
    );
}

async fn put(guid: Path<String>, body: Bytes, statuses: Data<Statuses>) -> HttpResponse {
    let wrong = |message: &str| refuse(&Refusal::new(400, "status", message), None);
    let Ok(guid) = guid.parse::<Guid>() else { return wrong("the address names no GUID") };
    match serde_json::from_slice::<Vec<BeaconStatus>>(&body) {
        Ok(report) if report.first().is_some_and(|own| own.id == guid) => {
            if is_circle(&report, statuses.node, statuses.clock.now()) {
                let what = "this node has reported to the sender itself: one of the two has a wrong parent";
                return refuse(&Refusal::new(508, "loop", what), None);
            }
            statuses.take(report);
            HttpResponse::NoContent().finish()
        }
        Ok(_) => wrong("the first status of a report is that of its sender"),
        Err(error) => wrong(&format!("not a list of statuses: {error}")),
    }
}
