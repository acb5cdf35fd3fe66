//! How a beacon takes uploads: into its map, or into its deployed log.

use std::collections::HashMap;

use muster::time::Timestamp;
use muster::upload::spool::Room;

use super::{BeaconHands, Held, SYNC};
use crate::world::Stage;
use crate::world::content::origin;
use crate::world::custody::{Stored, reply};
use crate::world::event::{Event, PackageId, Parcel, Reply};
use crate::world::place::Place;

impl BeaconHands {
    /// Whether there is room for an upload. Error: what is answered.
    pub(super) fn admit(
        &mut self,
        at: &Place,
        now: Timestamp,
        parcel: &Parcel,
        stage: &mut Stage,
    ) -> Result<(), Reply> {
        let bytes = u64::from(parcel.bytes);
        if parcel.hops == 0
            && (self.rules.rates.uploads_per_hour > 0 || self.rules.rates.bytes_per_day > 0)
            && let Err(wait_ms) =
                self.rates.admit(at.local(now), &origin(stage.layout.machines.origin_of(parcel.id.agent)), bytes)
        {
            stage.record.probe("agent-over-its-rate", 1);
            return Err(Reply::Status { status: 429, retry_after_ms: Some(wait_ms) });
        }
        let disk_bytes = stage.scenario.beacons.disk_bytes;
        let has_room = disk_bytes == 0 || self.rules.reserve.is_kept(disk_bytes.saturating_sub(self.bytes), disk_bytes);
        if at.is_full() || !has_room {
            stage.record.probe("disk-full", 1);
            return Err(Reply::Status { status: 507, retry_after_ms: None });
        }
        match self.limit.room(self.held.len() as u64, self.bytes) {
            Room::Free => Ok(()),
            Room::Tight => {
                stage.record.probe("beacon-busy", 1);
                let retry_after_ms = Some(self.turns.come_again_ms(now, self.released, &mut self.rng));
                Err(Reply::Status { status: 503, retry_after_ms })
            }
            Room::Full => {
                stage.record.probe("beacon-full", 1);
                Err(Reply::Status { status: 507, retry_after_ms: None })
            }
        }
    }

    /// Takes an upload into custody. `None`: it is answered when its group is synced.
    pub(super) fn take(
        &mut self,
        at: &Place,
        now: Timestamp,
        event: &Event,
        parcel: Parcel,
        stage: &mut Stage,
    ) -> Option<Reply> {
        if let Err(reply) = self.admit(at, now, &parcel, stage) {
            return Some(reply);
        }
        let id = parcel.id;
        let hops = parcel.hops + 1;
        stage.book.checks.check("I14", hops <= 8, || format!("{id} has passed {hops} nodes"));
        let parcel = Parcel { hops, ..parcel.taken_at(now, at.local(now)) };
        if let Some(custody) = &mut self.custody {
            custody.take(at, now, event, parcel, SYNC, stage);
            self.answer(now, stage);
            return None;
        }
        if self.index.contains_key(&id) {
            stage.record.probe("duplicate-at-beacon", 1);
            stage.book.delivered_again(id);
            return Some(Reply::Receipt(id));
        }
        self.hold(self.next, parcel);
        stage.book.receipted(id);
        Some(Reply::Receipt(id))
    }

    pub(super) fn hold(&mut self, number: u64, parcel: Parcel) {
        if self.index.insert(parcel.id, number).is_none() {
            self.held.insert(number, Held { parcel, was_sent: false, is_aside: false });
            self.next = self.next.max(number + 1);
            self.bytes += u64::from(parcel.bytes);
        }
    }

    /// Tells those of the group that were answered.
    pub(super) fn answer(&mut self, now: Timestamp, stage: &mut Stage) {
        for (event, parcel, answer) in self.custody.iter_mut().flat_map(|custody| custody.answered()) {
            let reply = reply(stage, parcel.id, &answer, "duplicate-at-beacon");
            stage.answer(now, &event, reply);
        }
    }

    pub(super) fn sync(&mut self, now: Timestamp, stage: &mut Stage) {
        let stored = self.custody.as_mut().map(|custody| custody.end(now)).unwrap_or_default();
        self.answer(now, stage);
        stored.into_iter().for_each(|Stored { number, parcel }| self.hold(number, parcel));
        if let Some(custody) = &mut self.custody {
            custody.clear();
        }
    }

    /// What is on the disk after a death, in place of what was remembered.
    pub(super) fn reopen(&mut self, at: &Place, stage: &mut Stage) {
        let Some(custody) = &mut self.custody else { return };
        let (before, id) = (std::mem::take(&mut self.held), at.id);
        let of_id: HashMap<PackageId, Held> = before.into_values().map(|held| (held.parcel.id, held)).collect();
        (self.index, self.bytes, self.next) = (HashMap::new(), 0, 0);
        let opened = custody.open(at.life);
        let name = stage.layout.name(id);
        stage.book.checks.check("I5", opened.is_ok(), || format!("{name} does not start again: {opened:?}"));
        for Stored { number, parcel } in opened.unwrap_or_default() {
            // What only the simulation knows of it: its size, whether it was sent, and why it is aside.
            let known = of_id.get(&parcel.id);
            let bytes = stage.bytes_of(parcel.id);
            let parcel =
                known.map_or(parcel, |known| Parcel { made: known.parcel.made, taken: known.parcel.taken, ..parcel });
            self.hold(number, Parcel { bytes, ..parcel });
            // What is on the disk is in custody, whether or not its sender heard so.
            stage.book.receipted(parcel.id);
            if let (Some(known), Some(held)) = (known, self.held.get_mut(&number)) {
                (held.was_sent, held.is_aside) = (known.was_sent, known.is_aside);
            }
        }
    }
}
