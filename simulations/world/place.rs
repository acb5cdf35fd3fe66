//! Where a node stands and what befalls it: its lives, its clock, and the faults that last.

use muster::time::{DAY_MS, Timestamp};

use super::Stage;
use super::event::{Body, Event, NodeId, Reply, What};
use crate::scenario::FaultKind;

/// How far a wrong clock is off.
const CLOCK_OFF_MS: i64 = DAY_MS;

/// Where a node is and what befalls it.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number.
    pub id: NodeId,
    /// Its lives so far.
    pub life: u32,
    is_installed: bool,
    /// Only while something befalls it: most nodes are well most of the time.
    troubles: Option<Box<Troubles>>,
}

/// The faults that last.
#[derive(Clone, Debug, Default)]
struct Troubles {
    /// How many of each kind.
    counts: [u8; FaultKind::ALL.len()],
    /// The life that stands still, and what waits for it.
    paused_life: Option<u32>,
    backlog: Vec<Event>,
}

/// What a fault or the installation makes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that it would notice by itself.
    Nothing,
    /// A life begins.
    Begins,
    /// A life ends.
    Ends,
    /// Its clock steps.
    ClockSteps,
    /// It goes on after a pause: what waited is in the backlog.
    GoesOn,
}

/// The kinds that befall a node at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Befallen(u32);

impl Befallen {
    /// Whether this kind does.
    pub fn has(self, kind: FaultKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }
}

impl Place {
    /// A node that is not installed yet.
    pub fn new(id: NodeId) -> Place {
        Place { id, life: 0, is_installed: false, troubles: None }
    }

    /// Whether a fault of this kind lasts.
    pub fn has(&self, kind: FaultKind) -> bool {
        self.troubles.as_ref().is_some_and(|troubles| troubles.counts[kind as usize] > 0)
    }

    /// All that last.
    pub fn befallen(&self) -> Befallen {
        let Some(troubles) = &self.troubles else { return Befallen(0) };
        let lasting = FaultKind::ALL.into_iter().filter(|kind| troubles.counts[*kind as usize] > 0);
        Befallen(lasting.fold(0, |kinds, kind| kinds | 1 << kind as u32))
    }

    /// Whether its disk is full.
    pub fn is_full(&self) -> bool {
        self.has(FaultKind::DiskFull)
    }

    /// Whether its disk is slow.
    pub fn is_slow(&self) -> bool {
        self.has(FaultKind::DiskSlow)
    }

    /// Whether its process is there.
    pub fn runs(&self) -> bool {
        let is_killed = |troubles: &Troubles| {
            FaultKind::ALL.into_iter().any(|kind| kind.kills() && troubles.counts[kind as usize] > 0)
        };
        self.is_installed && !self.troubles.as_deref().is_some_and(is_killed)
    }

    /// Whether its process stands still.
    pub fn is_paused(&self) -> bool {
        self.troubles.as_ref().is_some_and(|troubles| troubles.paused_life == Some(self.life)) && self.runs()
    }

    fn clock_off_ms(&self) -> i64 {
        let Some(troubles) = &self.troubles else { return 0 };
        let times = |kind: FaultKind| i64::from(troubles.counts[kind as usize]);
        (times(FaultKind::ClockAhead) - times(FaultKind::ClockBehind)) * CLOCK_OFF_MS
    }

    /// What its clock shows when it is `now`. While it stands still it does not look: nothing is ever due.
    pub fn local(&self, now: Timestamp) -> Timestamp {
        if self.is_paused() { Timestamp(0) } else { now.plus_ms(self.clock_off_ms()) }
    }

    /// When its clock shows this.
    pub fn world(&self, local: Timestamp) -> Timestamp {
        if local == Timestamp::NEVER { local } else { local.plus_ms(-self.clock_off_ms()) }
    }

    /// Whether an event is for this life.
    pub fn is_meant(&self, event: &Event) -> bool {
        event.life == self.life || matches!(event.body, Body::Request { .. })
    }

    /// A fault or its installation befalls it.
    pub fn befall(&mut self, event: &Event) -> Change {
        let (had_run, was_paused) = (self.runs(), self.is_paused());
        let mut steps = false;
        match event.body {
            Body::Installed => self.is_installed = true,
            Body::Gone => self.is_installed = false,
            Body::Fault { kind, begins } => {
                self.count(kind, begins);
                steps = kind.is_of_clock();
            }
            Body::Request { .. } | Body::Reply(_) | Body::Done => {}
        }
        let runs = self.runs();
        self.life += u32::from(!had_run && runs);
        match (had_run, runs) {
            (false, true) => Change::Begins,
            (true, false) => {
                if let Some(troubles) = &mut self.troubles {
                    (troubles.paused_life, troubles.backlog) = (None, Vec::new());
                }
                Change::Ends
            }
            (false, false) => Change::Nothing,
            (true, true) if was_paused && !self.is_paused() => Change::GoesOn,
            (true, true) if steps && !was_paused => Change::ClockSteps,
            (true, true) => Change::Nothing,
        }
    }

    fn count(&mut self, kind: FaultKind, begins: bool) {
        let (life, runs) = (self.life, self.runs());
        let troubles = self.troubles.get_or_insert_default();
        let count = &mut troubles.counts[kind as usize];
        *count = if begins { count.saturating_add(1) } else { count.saturating_sub(1) };
        if kind == FaultKind::Pause {
            // The process of a later life is another one.
            troubles.paused_life = if *count == 0 { None } else { troubles.paused_life.or(runs.then_some(life)) };
        }
        if troubles.counts == [0; FaultKind::ALL.len()] && troubles.backlog.is_empty() {
            self.troubles = None;
        }
    }

    /// Whether what reaches it now is for its hands; otherwise it is done with, or waits for the end of the pause.
    pub fn lets_in(&mut self, now: Timestamp, event: &Event, stage: &mut Stage) -> bool {
        let Body::Request { back_ms, is_cut_short, what, .. } = event.body else {
            return !self.waits(event);
        };
        let given_up = now.plus_ms(stage.scenario.network.timeout_ms());
        let hears_nothing = |at: Timestamp, stage: &mut Stage| {
            if back_ms.is_some() {
                stage.post(at, event.from, event.to, event.number, event.life, Body::Reply(Reply::Nothing));
            }
        };
        if self.has(FaultKind::Swizzle) {
            stage.record.probe("connections-clogged", 1);
            hears_nothing(given_up, stage);
            return false;
        }
        if is_cut_short {
            // Nothing of it is kept: it is shorter than its header says.
            stage.record.probe("body-cut-short", 1);
            stage.answer(now, event, Reply::Status { status: 502, retry_after_ms: None });
            return false;
        }
        if self.waits(event) {
            hears_nothing(given_up, stage);
            return false;
        }
        if self.has(FaultKind::Rejects) && matches!(what, What::Upload(_)) {
            stage.record.probe("upload-rejected", 1);
            stage.answer(now, event, Reply::Status { status: 413, retry_after_ms: None });
            return false;
        }
        true
    }

    fn waits(&mut self, event: &Event) -> bool {
        let is_paused = self.is_paused();
        if let (true, Some(troubles)) = (is_paused, &mut self.troubles) {
            troubles.backlog.push(*event);
        }
        is_paused
    }

    /// What waited for the end of the pause, in the order in which it came. Callers who lost patience hear no answer.
    pub fn take_backlog(&mut self, now: Timestamp, stage: &mut Stage) -> Vec<Event> {
        let Some(troubles) = &mut self.troubles else { return Vec::new() };
        let mut backlog = std::mem::take(&mut troubles.backlog);
        if troubles.counts == [0; FaultKind::ALL.len()] {
            self.troubles = None;
        }
        let timeout_ms = stage.scenario.network.timeout_ms();
        for event in &mut backlog {
            if let Body::Request { back_ms, .. } = &mut event.body
                && event.at.plus_ms(timeout_ms) <= now
            {
                *back_ms = None;
            }
        }
        stage.record.probe("went-on-after-a-pause", 1);
        stage.record.probe("went-on-with-a-backlog", u64::from(!backlog.is_empty()));
        backlog
    }
}

/// Nobody is there to answer a request.
pub fn refuse(now: Timestamp, event: &Event, stage: &mut Stage) {
    if matches!(event.body, Body::Request { .. }) {
        stage.record.probe("connection-refused", 1);
        stage.answer(now, event, Reply::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind, begins: bool, at: i64) -> Event {
        let node = NodeId(1);
        let body = Body::Fault { kind, begins };
        Event { at: Timestamp(at), to: node, from: node, number: 0, life: 0, body }
    }

    fn installed() -> Place {
        let mut place = Place::new(NodeId(1));
        let event = Event { body: Body::Installed, ..fault(FaultKind::Crash, true, 0) };
        assert_eq!(place.befall(&event), Change::Begins);
        place
    }

    #[test]
    fn a_node_is_well_when_every_fault_has_ended() {
        let mut place = installed();
        for kind in FaultKind::ALL {
            for begins in [true, true, false, false] {
                place.befall(&fault(kind, begins, 5));
                assert!(kind.kills() || place.runs(), "{kind:?}");
            }
            assert!(place.runs() && place.troubles.is_none(), "{kind:?}");
        }
        assert_eq!(place.life, 3, "an outage and a crash");
    }

    #[test]
    fn a_pause_ends_with_its_process() {
        let mut place = installed();
        assert_eq!(place.befall(&fault(FaultKind::Pause, true, 5)), Change::Nothing);
        assert_eq!((place.is_paused(), place.local(Timestamp(9))), (true, Timestamp(0)));
        assert_eq!(place.befall(&fault(FaultKind::Crash, true, 10)), Change::Ends);
        assert_eq!(place.befall(&fault(FaultKind::Crash, false, 20)), Change::Begins);
        assert_eq!((place.is_paused(), place.local(Timestamp(21))), (false, Timestamp(21)));
        assert_eq!(place.befall(&fault(FaultKind::Pause, false, 30)), Change::Nothing);
        assert_eq!(place.befall(&fault(FaultKind::Pause, true, 40)), Change::Nothing);
        assert_eq!(place.befall(&fault(FaultKind::Pause, false, 50)), Change::GoesOn);
    }

    #[test]
    fn a_clock_that_is_wrong_shows_another_day() {
        let mut place = installed();
        assert_eq!(place.befall(&fault(FaultKind::ClockBehind, true, 5)), Change::ClockSteps);
        assert_eq!(place.local(Timestamp(DAY_MS)), Timestamp(0));
        assert_eq!(place.world(Timestamp(0)), Timestamp(DAY_MS));
        assert_eq!(place.world(Timestamp::NEVER), Timestamp::NEVER);
        assert_eq!(place.befall(&fault(FaultKind::ClockBehind, false, 9)), Change::ClockSteps);
        assert_eq!(place.local(Timestamp(7)), Timestamp(7));
    }
}
