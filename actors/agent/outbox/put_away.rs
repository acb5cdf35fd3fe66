//! Packages that leave the queue and are not delivered: what no server takes, and what is damaged. The last ones are kept for
//! people to look at.

use muster::model::package::Kind;
use muster::roles::agent::PackageNumber;
use muster::time::Timestamp;
use tracing::error;

use super::files::move_with_envelope;
use super::{DAMAGED_KEPT, Outbox, REFUSED_KEPT};

impl Outbox {
    /// Moves a package that will never be taken to `refused/`, where the last 5 are kept.
    pub fn refuse(&mut self, package: PackageNumber, now: Timestamp) {
        let Some(item) = self.leave(package) else { return };
        error!(file = item.name, digest = %item.envelope.digest, "report refused for good, kept in `refused`");
        let (disk, to) = (self.disk(item.queued.kind), self.disks.refused.clone());
        move_with_envelope(disk.as_ref(), to.as_ref(), &item.name, now, REFUSED_KEPT);
    }

    /// Moves a package whose bytes are not the published ones to `damaged/`.
    pub fn set_aside(&mut self, package: PackageNumber, now: Timestamp) {
        let Some(item) = self.leave(package) else { return };
        error!(file = item.name, digest = %item.envelope.digest, "queued report is damaged, kept in `damaged`");
        if item.queued.kind == Kind::Discovery {
            // It may have been the one that takes back what was told before.
            self.must_tell_of_services();
        }
        let (disk, to) = (self.disk(item.queued.kind), self.disks.damaged.clone());
        move_with_envelope(disk.as_ref(), to.as_ref(), &item.name, now, DAMAGED_KEPT);
    }
}
