//! What a server does with its deployed logs: groups of uploads, turns of those who commit, and a start from the disks.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use muster::model::package::Envelope;
use muster::roles::server::{PackageNumber, ServerInput, Task};
use muster::time::Timestamp;
use muster_actors::log::Taken;

use super::{COMMIT_MS, SYNC_FACTS, ServerHands, Work};
use crate::world::Stage;
use crate::world::custody::{Custody, Stored, reply};
use crate::world::event::{Body, Parcel};
use crate::world::place::Place;
use crate::world::settling::{Committed, EndedPackage, Settling};

/// The deployed logs of the server, and the turns of those who commit: one at a time, as deployed.
pub(super) struct ServerLogs {
    pub(super) inbox: Custody,
    pub(super) facts: Settling,
    pub(super) turns: VecDeque<u64>,
    /// Files of other tools up to then are settled, and up to when those of the commit under way are.
    pub(super) others: (Timestamp, Timestamp),
}

impl ServerHands {
    /// Tells those of the group that were answered.
    pub(super) fn answer(&mut self, now: Timestamp, stage: &mut Stage) {
        let answered = self.logs.as_mut().map(|logs| logs.inbox.answered()).unwrap_or_default();
        for (event, parcel, answer) in answered {
            let reply = reply(stage, parcel.id, &answer, "duplicate-at-server");
            if matches!(answer, Ok(Taken::New)) {
                self.arrived(now, parcel, stage);
            }
            stage.answer(now, &event, reply);
        }
    }

    pub(super) fn sync_inbox(&mut self, now: Timestamp, stage: &mut Stage) -> Vec<ServerInput> {
        let stored = self.logs.as_mut().map(|logs| logs.inbox.end(now)).unwrap_or_default();
        self.answer(now, stage);
        if let Some(logs) = &mut self.logs {
            logs.inbox.clear();
        }
        let is_settled = |parcel: &Parcel| self.logs.as_ref().is_some_and(|logs| logs.facts.is_settled(parcel));
        let open: Vec<Stored> = stored.into_iter().filter(|stored| !is_settled(&stored.parcel)).collect();
        let arrived = open.into_iter().filter(|stored| self.hold(stored.number, stored.parcel));
        let arrived: Vec<PackageNumber> = arrived.map(|stored| PackageNumber(stored.number)).collect();
        if arrived.is_empty() { Vec::new() } else { vec![ServerInput::Arrived(arrived)] }
    }

    /// What is on the disks after a death, in place of what was remembered.
    pub(super) fn reopen(&mut self, at: &Place, stage: &mut Stage) {
        let Some(logs) = &mut self.logs else { return };
        let opened = logs.facts.open(at.life).and_then(|()| logs.inbox.open(at.life));
        stage.book.checks.check("I5", opened.is_ok(), || format!("the server does not start again: {opened:?}"));
        (self.inbox, self.index, self.next) = (BTreeMap::new(), HashMap::new(), 0);
        self.state = logs.facts.state();
        let settled = logs.facts.settled();
        let stored: Vec<Stored> =
            opened.unwrap_or_default().into_iter().filter(|stored| !logs.facts.is_settled(&stored.parcel)).collect();
        for Stored { number, parcel } in stored {
            let bytes = stage.bytes_of(parcel.id);
            self.hold(number, Parcel { bytes, ..parcel });
            // What is on the disk is in custody, whether or not its sender heard so.
            stage.book.receipted(parcel.id);
        }
        // A commit that nobody was told of is one all the same when it is on the disk.
        let unknown = settled.into_iter().filter(|(id, _)| !stage.book.is_settled(*id)).collect::<Vec<EndedPackage>>();
        unknown.into_iter().for_each(|(id, ended)| self.ended(id, ended, stage));
    }

    /// Begins the next turn of those who commit, when none is under way.
    pub(super) fn turn(&mut self, at: &Place, now: Timestamp, stage: &mut Stage) -> Vec<ServerInput> {
        let Some(logs) = self.logs.as_mut().filter(|logs| !logs.facts.is_open) else { return Vec::new() };
        let Some(number) = logs.turns.pop_front() else { return Vec::new() };
        let local = at.local(now);
        match self.work.get(&number) {
            Some(Work::Load(numbers)) => {
                let read = numbers.iter().map(|number| logs.inbox.read(number.0)).collect::<Result<Vec<_>, String>>();
                let others = stage.contents.iter().flat_map(|contents| contents.others(logs.others.0, now));
                let others: Vec<(Envelope, Bytes)> = others.collect();
                logs.others.1 = now;
                stage.record.probe("reported-by-another-source", others.len() as u64);
                let settled = read.and_then(|packages| {
                    logs.facts.settle(number, packages.into_iter().chain(others).collect(), local)
                });
                stage.book.checks.check("I6", settled.is_ok(), || format!("packages {numbers:?}: {settled:?}"));
            }
            Some(Work::Run(Task::Import)) => logs.facts.import(number, local),
            Some(Work::Run(task)) => {
                logs.facts.note(number, &ServerHands::after(&logs.facts.state(), *task, local), local);
            }
            None => return Vec::new(),
        }
        logs.facts.is_open = true;
        stage.post(now.plus_ms(COMMIT_MS), at.id, at.id, SYNC_FACTS, at.life, Body::Done);
        let early = logs.facts.answered();
        self.committed(early, stage)
    }

    pub(super) fn committed(&mut self, answered: Vec<Committed>, stage: &mut Stage) -> Vec<ServerInput> {
        let mut inputs = Vec::new();
        for Committed { number, ended, is_durable } in answered {
            if !is_durable {
                // What other tools brought with it is brought again.
                if let Some(logs) = &mut self.logs {
                    logs.others.1 = logs.others.0;
                }
                inputs.extend(self.work.remove(&number).map(|work| ServerHands::failed(number, &work)));
                continue;
            }
            ended.into_iter().for_each(|(id, ended)| self.ended(id, ended, stage));
            if let Some(logs) = &mut self.logs {
                logs.others.0 = logs.others.1;
                self.state = logs.facts.state();
            }
            if let Some(work) = self.work.remove(&number) {
                inputs.push(self.done(number, work));
            }
        }
        inputs
    }
}
