//! Whether a server may be asked: its circuit breaker, as operators see it.
#![doc = ""]
#![doc = include_str!("health.md")]
//!
//! `Fail` is a transfer without a usable answer, `Trip` the third of them in a row or the fifth final refusal in a row,
//! `Answer` what tells that the server works although it took nothing (429, 503 and 507 among them), `Abandon` a
//! transfer that was not tried after all. A late answer to a transfer that began earlier changes no wait.
//!
//! Source: delivery contract, section 5, backoff.

use std::fmt;

use crate::rng::RngStream;
use crate::time::{SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;

/// Failures in a row that open the circuit.
const FAILURES_MAX: u8 = 3;
/// Final refusals in a row, without a success, after which the link is at fault and not the packages.
const REFUSALS_MAX: u8 = 5;
/// A wait may be drawn as nothing; this keeps it from being a hot loop.
const WAIT_MIN_MS: i64 = SECOND_MS;

/// Where a circuit stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Circuit {
    /// The server is asked as it comes.
    #[default]
    Closed,
    /// It is down: nothing is sent until the wait is over.
    Open,
    /// One probe is on its way.
    HalfOpen,
}

/// What happens to a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitEvent {
    /// A transfer failed.
    Fail,
    /// A transfer failed, and that is enough.
    Trip,
    /// The server answered, and took nothing.
    Answer,
    /// A transfer succeeded.
    Succeed,
    /// The wait is over and one transfer is sent.
    Probe,
    /// The transfer was not tried.
    Abandon,
}

impl Circuit {
    /// Every state.
    pub const ALL: [Circuit; 3] = [Circuit::Closed, Circuit::Open, Circuit::HalfOpen];

    /// The state after `event`, or `None` when the event is illegal here.
    pub fn next(self, event: CircuitEvent) -> Option<Circuit> {
        use {Circuit::*, CircuitEvent::*};
        match (self, event) {
            (Closed, Fail | Answer | Succeed | Abandon) => Some(Closed),
            (Open | HalfOpen, Succeed) => Some(Closed),
            // It works: whether it takes anything is for its own `Retry-After` to say.
            (HalfOpen, Answer) => Some(Closed),
            (Closed | Open | HalfOpen, Trip) => Some(Open),
            (Open, Fail | Answer | Abandon) => Some(Open),
            (HalfOpen, Fail | Abandon) => Some(Open),
            (Open, Probe) => Some(HalfOpen),
            (Closed | HalfOpen, Probe) => None,
        }
    }
}

impl CircuitEvent {
    /// Every event, in the order of the table.
    pub const ALL: [CircuitEvent; 6] = [
        CircuitEvent::Fail,
        CircuitEvent::Trip,
        CircuitEvent::Answer,
        CircuitEvent::Succeed,
        CircuitEvent::Probe,
        CircuitEvent::Abandon,
    ];
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The health of one server: 16 bytes, because a million agents hold a few each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// End of the wait; means something only while the circuit is open.
    until: Timestamp,
    circuit: Circuit,
    /// Transfers that failed in a row.
    failures: u8,
    /// Final refusals in a row.
    refusals: u8,
    /// How often in a row the circuit opened: the exponent of the next wait.
    openings: u8,
}

impl Health {
    /// Where the circuit stands.
    pub fn circuit(&self) -> Circuit {
        self.circuit
    }

    /// Whether something may be sent now: always while closed, one probe per wait while open, nothing while that probe
    /// is on its way.
    pub fn lets_pass(&self, now: Timestamp) -> bool {
        match self.circuit {
            Circuit::Closed => true,
            Circuit::Open => now >= self.until,
            Circuit::HalfOpen => false,
        }
    }

    /// When a probe may be sent; `None` unless the circuit is open.
    pub fn next_probe(&self) -> Option<Timestamp> {
        (self.circuit == Circuit::Open).then_some(self.until)
    }

    /// A transfer was sent. Sent into an open circuit, it is the probe.
    pub fn sent(&mut self) {
        if let Some(circuit) = self.circuit.next(CircuitEvent::Probe) {
            self.circuit = circuit;
        }
    }

    /// A transfer was answered, or not. `false` when a final refusal is the link's fault and not the package's: the
    /// package is then kept, as it is after a failure.
    pub fn answered(&mut self, now: Timestamp, verdict: Verdict, backoff: Backoff, rng: &mut RngStream) -> bool {
        match verdict {
            Verdict::Delivered => *self = Health::default(),
            Verdict::Later { broken: true, .. } => {
                self.failures = self.failures.saturating_add(1);
                let is_last = self.failures >= FAILURES_MAX;
                let event = if is_last { CircuitEvent::Trip } else { CircuitEvent::Fail };
                self.follow(event, now, backoff, rng);
            }
            Verdict::Refused => {
                self.refusals = self.refusals.saturating_add(1);
                let is_link = self.refusals >= REFUSALS_MAX;
                self.follow(if is_link { CircuitEvent::Trip } else { CircuitEvent::Answer }, now, backoff, rng);
                return !is_link;
            }
            Verdict::Later { broken: false, .. }
            | Verdict::Full
            | Verdict::Loop
            | Verdict::Unidentified
            | Verdict::Revoked => self.follow(CircuitEvent::Answer, now, backoff, rng),
        }
        true
    }

    /// Something else tells that the server is there again: the next transfer may be sent now, and is the probe. What
    /// came before still counts for the wait after it.
    pub fn hurry(&mut self, now: Timestamp) {
        self.until = self.until.min(now);
    }

    /// Whether nothing failed since the last success.
    pub fn is_sound(&self) -> bool {
        self.circuit == Circuit::Closed && self.failures == 0
    }

    /// A transfer that was sent was not tried after all: the next one may be.
    pub fn abandoned(&mut self) {
        if let Some(circuit) = self.circuit.next(CircuitEvent::Abandon) {
            // The wait that let the probe pass is still over.
            self.circuit = circuit;
        }
    }

    /// The clock was set back by so many milliseconds.
    pub fn step_back(&mut self, ms: i64) {
        self.until = self.until.plus_ms(ms.saturating_neg());
    }

    fn follow(&mut self, event: CircuitEvent, now: Timestamp, backoff: Backoff, rng: &mut RngStream) {
        let Some(circuit) = self.circuit.next(event) else { return };
        if circuit == Circuit::Open && self.circuit != Circuit::Open {
            let wait = backoff.wait_ms(u32::from(self.openings), rng).max(WAIT_MIN_MS);
            self.until = now.plus_ms(wait);
            self.openings = self.openings.saturating_add(1);
        }
        self.circuit = circuit;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BROKEN: Verdict = Verdict::Later { retry_after_ms: None, broken: true };
    const BUSY: Verdict = Verdict::Later { retry_after_ms: Some(1_000), broken: false };
    const NOW: Timestamp = Timestamp(1_000_000);

    fn rng() -> RngStream {
        RngStream::new(3, 3, 0)
    }

    fn after(verdicts: &[Verdict]) -> Health {
        let (mut health, mut rng) = (Health::default(), rng());
        for verdict in verdicts {
            health.answered(NOW, *verdict, Backoff::BEACON, &mut rng);
        }
        health
    }

    #[test]
    fn the_table_is_what_the_code_does() {
        let cells = |line: &str| {
            let inner = line.trim().trim_matches('|').to_owned();
            inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        };
        let mut lines = include_str!("health.md").lines();
        assert_eq!(cells(lines.next().unwrap())[1..], CircuitEvent::ALL.map(|event| format!("{event:?}")));
        let rows: Vec<Vec<String>> = lines.skip(1).map(cells).collect();
        assert_eq!(rows.len(), Circuit::ALL.len());
        for (circuit, row) in Circuit::ALL.into_iter().zip(&rows) {
            assert_eq!(row[0], circuit.to_string());
            for (event, cell) in CircuitEvent::ALL.into_iter().zip(&row[1..]) {
                let next = circuit.next(event).map_or("-".to_owned(), |next| next.to_string());
                assert_eq!(next, *cell, "{circuit} after {event:?}");
            }
        }
    }

    #[test]
    fn the_third_failure_in_a_row_opens_the_circuit_and_a_success_closes_it() {
        assert!(after(&[BROKEN; 2]).lets_pass(NOW));
        let mut health = after(&[BROKEN; 3]);
        assert_eq!(health.circuit(), Circuit::Open);
        assert!(!health.lets_pass(NOW));
        health.answered(NOW, Verdict::Delivered, Backoff::BEACON, &mut rng());
        assert_eq!(health, Health::default());
        assert!(after(&[BROKEN, BROKEN, Verdict::Delivered, BROKEN, BROKEN]).lets_pass(NOW));
    }

    #[test]
    fn an_open_circuit_lets_one_probe_pass_per_wait() {
        let mut health = after(&[BROKEN; 3]);
        let due = health.next_probe().unwrap();
        assert!(!health.lets_pass(due.plus_ms(-1)) && health.lets_pass(due));
        health.sent();
        assert_eq!(health.circuit(), Circuit::HalfOpen);
        assert!(!health.lets_pass(Timestamp::NEVER));
        assert_eq!(health.next_probe(), None);
        health.answered(due, BROKEN, Backoff::BEACON, &mut rng());
        assert_eq!(health.circuit(), Circuit::Open);
        assert!(health.next_probe().unwrap() > due);
    }

    #[test]
    fn a_server_that_is_busy_full_or_choosy_is_not_down() {
        for verdict in [BUSY, Verdict::Full, Verdict::Loop, Verdict::Unidentified, Verdict::Revoked] {
            assert_eq!(after(&[verdict; 20]).circuit(), Circuit::Closed, "{verdict:?}");
            assert!(after(&[BROKEN, BROKEN, verdict]).lets_pass(NOW), "{verdict:?}");
            assert!(!after(&[BROKEN, BROKEN, verdict, BROKEN]).lets_pass(NOW), "{verdict:?} is no success either");
            let mut health = after(&[BROKEN; 3]);
            health.sent();
            health.answered(NOW, verdict, Backoff::BEACON, &mut rng());
            assert_eq!(health.circuit(), Circuit::Closed, "{verdict:?}");
        }
    }

    #[test]
    fn five_final_refusals_in_a_row_are_the_links_fault_and_keep_the_package() {
        let (mut health, mut rng) = (Health::default(), rng());
        let mut refuse = || health.answered(NOW, Verdict::Refused, Backoff::BEACON, &mut rng);
        assert_eq!(
            [refuse(), refuse(), refuse(), refuse(), refuse(), refuse()],
            [true, true, true, true, false, false]
        );
        assert_eq!(health.circuit(), Circuit::Open);
        let with_success = [[Verdict::Refused; 4].as_slice(), &[Verdict::Delivered], &[Verdict::Refused; 4]].concat();
        assert_eq!(after(&with_success).circuit(), Circuit::Closed);
    }

    #[test]
    fn waits_grow_to_a_quarter_of_an_hour_and_use_their_whole_range() {
        let mut rng = rng();
        let mut longest = [0; 8];
        for _ in 0..400 {
            let mut health = after(&[BROKEN; 2]);
            for longest in &mut longest {
                health.answered(NOW, BROKEN, Backoff::BEACON, &mut rng);
                let wait = health.next_probe().unwrap().ms_since(NOW);
                assert!(wait >= WAIT_MIN_MS);
                *longest = wait.max(*longest);
                health.sent();
            }
        }
        for (met, most) in longest.into_iter().zip([60, 120, 240, 480, 900, 900, 900, 900]) {
            let most = most * SECOND_MS;
            assert!(met <= most && met > most * 9 / 10, "{longest:?}");
        }
    }

    #[test]
    fn late_answers_move_no_wait() {
        let mut health = after(&[BROKEN; 3]);
        let due = health.next_probe();
        let later = NOW.plus_ms(500);
        for verdict in [BROKEN, BUSY, Verdict::Full, Verdict::Refused] {
            health.answered(later, verdict, Backoff::BEACON, &mut rng());
            assert_eq!(health.next_probe(), due, "{verdict:?}");
        }
    }

    #[test]
    fn a_probe_that_was_not_tried_may_be_sent_again() {
        let mut health = after(&[BROKEN; 3]);
        let due = health.next_probe().unwrap();
        health.sent();
        health.abandoned();
        assert!(health.lets_pass(due));
        let mut healthy = Health::default();
        healthy.abandoned();
        assert_eq!(healthy, Health::default());
    }

    #[test]
    fn a_hurried_circuit_lets_one_probe_pass_and_its_failure_makes_the_wait_longer() {
        let mut health = after(&[BROKEN; 3]);
        health.hurry(NOW);
        assert!(health.lets_pass(NOW) && !health.is_sound());
        health.sent();
        assert!(!health.lets_pass(NOW), "one");
        health.answered(NOW, BROKEN, Backoff::BEACON, &mut rng());
        assert!(!health.lets_pass(NOW));
        assert_eq!(health.openings, 2);
    }

    #[test]
    fn a_wait_goes_back_with_the_clock() {
        let mut health = after(&[BROKEN; 3]);
        let due = health.next_probe().unwrap();
        health.step_back(900);
        assert_eq!(health.next_probe(), Some(due.plus_ms(-900)));
        health.step_back(i64::MIN);
    }

    #[test]
    fn the_health_of_a_server_is_small() {
        assert!(size_of::<Health>() <= 16);
    }

    proptest! {
        #[test]
        fn whatever_happens_a_server_is_asked_again_within_a_quarter_of_an_hour(
            events in prop::collection::vec((0..8usize, 0..1_000_000i64), 0..200), seed: u64
        ) {
            let verdicts = [BROKEN, BUSY, Verdict::Full, Verdict::Refused, Verdict::Delivered, Verdict::Loop];
            let (mut health, mut rng, mut now) = (Health::default(), RngStream::new(seed, 0, 0), NOW);
            for (event, ms) in events {
                now = now.plus_ms(ms);
                match verdicts.get(event) {
                    Some(verdict) => {
                        health.answered(now, *verdict, Backoff::BEACON, &mut rng);
                    }
                    None if event == 6 && health.lets_pass(now) => health.sent(),
                    None => health.abandoned(),
                }
                if let Some(due) = health.next_probe() {
                    prop_assert!(due.ms_since(now) <= Backoff::BEACON.cap_ms);
                }
            }
        }
    }
}
