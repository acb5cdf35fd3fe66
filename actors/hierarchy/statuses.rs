//! `PUT /inventory-beacons/{guid}/status`: the statuses that come up.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock};

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use muster::formats::wire::Refusal;
use muster::id::Guid;
use muster::model::aside::{AsideReport, StatusAnswer};
use muster::model::beacon_status::{BeaconStatus, BeaconStatuses, is_circle};
use muster::time::Timestamp;

use crate::clock::SharedClock;
use crate::intake::refuse;

/// Most bytes of one report: room for as many beacons as are known, each with all its queues.
const REPORT_BYTES_MAX: usize = 16 << 20;

/// The statuses of all beacons below a node; in memory only, they come anew every minute.
pub struct Statuses {
    node: Guid,
    clock: SharedClock,
    known: Mutex<BeaconStatuses>,
    /// Called when agents can reach another beacon than before.
    changed: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// What the parent said of packages that those below set aside, until they report again.
    answer: Mutex<StatusAnswer>,
    /// Where there is no parent: notes such packages, and says which it has an entry for.
    record: OnceLock<Record>,
}

/// Packages that were set aside, by the beacon that keeps them.
pub type SetAside = Vec<(Guid, Vec<AsideReport>)>;
/// See [`Statuses::record_by`].
pub type Record = Box<dyn Fn(SetAside) -> Pin<Box<dyn Future<Output = StatusAnswer>>> + Send + Sync>;

impl Statuses {
    /// None yet of those below `node`.
    pub fn new(node: Guid, clock: SharedClock) -> Statuses {
        Statuses {
            node,
            clock,
            known: Mutex::default(),
            changed: OnceLock::new(),
            answer: Mutex::default(),
            record: OnceLock::new(),
        }
    }

    /// Has `changed` called from now on, whenever agents can reach another beacon than before, or one in another way.
    pub fn tell(&self, changed: impl Fn() + Send + Sync + 'static) {
        // The first one stays: a node tells one actor.
        let _ = self.changed.set(Box::new(changed));
    }

    /// Has `record` note from now on what beacons set aside: this node has the ledger.
    pub fn record_by(&self, record: Record) {
        // The first one stays: a node has one ledger.
        let _ = self.record.set(record);
    }

    /// Keeps the parent's answer for those below. It repeats itself as long as they ask, so only the last one counts.
    pub fn pass_on(&self, answer: StatusAnswer) {
        *self.answer.lock().expect("no holder of this lock panics") = answer;
    }

    /// What the report of `beacons` is answered.
    async fn answer(&self, beacons: &[Guid]) -> StatusAnswer {
        let Some(record) = self.record.get() else {
            let mut kept = self.answer.lock().expect("no holder of this lock panics");
            let given = beacons.iter().filter_map(|beacon| kept.acknowledged.remove_entry(beacon));
            return StatusAnswer { acknowledged: given.collect() };
        };
        let aside: SetAside = {
            let known = self.known.lock().expect("no holder of this lock panics");
            let of = |beacon: &Guid| known.get(*beacon).map(|status| (*beacon, status.aside.clone()));
            beacons.iter().filter_map(of).filter(|(_, aside)| !aside.is_empty()).collect()
        };
        if aside.is_empty() { StatusAnswer::default() } else { record(aside).await }
    }

    /// Every beacon below, by id.
    pub fn list(&self) -> Vec<BeaconStatus> {
        self.known.lock().expect("no holder of this lock panics").iter().cloned().collect()
    }

    /// Every beacon below with when it was heard last.
    pub fn heard(&self) -> Vec<(Timestamp, BeaconStatus)> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.iter().map(|status| (status.at, status.clone())).collect()
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
            if is_circle(&report, statuses.node) {
                let what = "this node has reported to the sender itself: one of the two has a wrong parent";
                return refuse(&Refusal::new(508, "loop", what), None);
            }
            let beacons: Vec<Guid> = report.iter().map(|status| status.id).collect();
            statuses.take(report);
            HttpResponse::Ok().json(statuses.answer(&beacons).await)
        }
        Ok(_) => wrong("the first status of a report is that of its sender"),
        Err(error) => wrong(&format!("not a list of statuses: {error}")),
    }
}
