//! Packages that leave the queue and are not delivered: what is superseded, what no server takes, and what is damaged. Of
//! the last two some are kept for people to look at; the numbers of all are told with the next policy question.

use muster::formats::marks::Mark;
use muster::model::package::Kind;
use muster::roles::agent::PackageNumber;
use muster::time::Timestamp;
use tracing::error;

use super::files::move_with_envelope;
use super::{DAMAGED_KEPT, Item, Outbox, REFUSED_KEPT};

impl Outbox {
    /// Deletes a package whose place a later one took.
    pub fn supersede(&mut self, package: PackageNumber) {
        if let Some(mark) = self.item(package).ok().and_then(mark) {
            self.state.abandoned.supersede(mark);
            self.note_state();
        }
        self.delete(package);
    }

    /// Moves a package that will never be taken to `refused/`, where the last 5 are kept.
    pub fn refuse(&mut self, package: PackageNumber, now: Timestamp) {
        let Some(item) = self.leave(package) else { return };
        self.give_up(&item);
        error!(file = item.name, digest = %item.envelope.digest, "report refused for good, kept in `refused`");
        let (disk, to) = (self.disk(item.queued.kind), self.disks.refused.clone());
        move_with_envelope(disk.as_ref(), to.as_ref(), &item.name, now, REFUSED_KEPT);
    }

    /// Moves a package whose bytes are not the published ones to `damaged/`.
    pub fn set_aside(&mut self, package: PackageNumber, now: Timestamp) {
        let Some(item) = self.leave(package) else { return };
        self.give_up(&item);
        error!(file = item.name, digest = %item.envelope.digest, "queued report is damaged, kept in `damaged`");
        if item.queued.kind == Kind::Discovery {
            // It may have been the one that takes back what was told before.
            self.must_tell_of_services();
        }
        let (disk, to) = (self.disk(item.queued.kind), self.disks.damaged.clone());
        move_with_envelope(disk.as_ref(), to.as_ref(), &item.name, now, DAMAGED_KEPT);
    }

    fn give_up(&mut self, item: &Item) {
        if let Some(mark) = mark(item) {
            self.state.abandoned.refuse(mark);
            self.note_state();
        }
    }
}

fn mark(item: &Item) -> Option<Mark> {
    let (stream, sequence) = (item.envelope.stream.as_ref()?, item.envelope.sequence?);
    Some(Mark::one(stream.0.clone(), sequence.epoch, sequence.number))
}
