//! When a sender tries again, and how many retries it may spend.
//!
//! Source: delivery contract, section 5, backoff.

use crate::rng::RngStream;
use crate::time::{HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};

/// Full jitter: a wait drawn uniformly from 0 to `min(cap, base * 2^tries)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure, in milliseconds.
    pub base_ms: i64,
    /// Longest wait of all, in milliseconds.
    pub cap_ms: i64,
}

impl Backoff {
    /// An agent's: base 30 s, cap 1 h.
    pub const AGENT: Backoff = Backoff { base_ms: 30 * SECOND_MS, cap_ms: HOUR_MS };
    /// A beacon's for one package: base 60 s, cap 15 min.
    pub const BEACON: Backoff = Backoff { base_ms: MINUTE_MS, cap_ms: 15 * MINUTE_MS };

    /// The wait after failure number `failures` (from 0), in milliseconds.
    pub fn wait_ms(self, failures: u32, rng: &mut RngStream) -> i64 {
        let longest = self.base_ms.saturating_mul(1i64.checked_shl(failures.min(40)).unwrap_or(i64::MAX));
        rng.below(longest.min(self.cap_ms).saturating_add(1))
    }
}

/// The retries of one node together: at most a tenth on top of first sends, and what time gives; ten saved up.
///
/// Only retries that fail use it up: one that is taken has told that others may go too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Tenths of a retry.
    tenths: u16,
}

/// Most tenths saved up: a burst of ten retries, so that an agent that sends once a day may still try again.
const TENTHS_MAX: u16 = 100;
/// In so long time gives a tenth of a retry.
const TENTH_MS: i64 = MINUTE_MS / 10;

impl Default for RetryBudget {
    fn default() -> RetryBudget {
        RetryBudget { tenths: TENTHS_MAX }
    }
}

impl RetryBudget {
    /// A first send earns a tenth of a retry.
    pub fn first_send(&mut self) {
        self.tenths = (self.tenths + 1).min(TENTHS_MAX);
    }

    /// Time has passed since `since`: a retry a minute, so that a node without first sends does not hold for ever what it
    /// has tried. The moment up to which this is paid.
    pub fn passed(&mut self, since: Timestamp, now: Timestamp) -> Timestamp {
        let tenths = now.ms_since(since) / TENTH_MS;
        self.tenths = self.tenths.saturating_add(tenths.min(i64::from(TENTHS_MAX)) as u16).min(TENTHS_MAX);
        since.plus_ms(tenths * TENTH_MS)
    }

    /// A retry was taken: it costs nothing.
    pub fn taken(&mut self) {
        self.tenths = (self.tenths + 10).min(TENTHS_MAX);
    }

    /// Whether a retry may be spent; it is, when it may.
    pub fn spend(&mut self) -> bool {
        let may = self.tenths >= 10;
        if may {
            self.tenths -= 10;
        }
        may
    }
}

/// A clock that steps back by more than this takes all that is planned with it.
pub const CLOCK_STEP_MS: i64 = 5 * MINUTE_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_use_the_whole_range() {
        let mut rng = RngStream::new(3, 3, 0);
        for (failures, longest) in
            [(0, 30_000), (1, 60_000), (6, 1_920_000), (7, 3_600_000), (4_000_000_000, 3_600_000)]
        {
            let waits: Vec<i64> = (0..2_000).map(|_| Backoff::AGENT.wait_ms(failures, &mut rng)).collect();
            assert!(waits.iter().all(|wait| (0..=longest).contains(wait)), "{failures}");
            assert!(*waits.iter().max().unwrap() > longest * 9 / 10 && *waits.iter().min().unwrap() < longest / 10);
        }
    }

    #[test]
    fn a_hundred_sends_earn_ten_retries() {
        let mut budget = RetryBudget::default();
        assert_eq!((0..50).filter(|_| budget.spend()).count(), 10, "the burst");
        (0..100).for_each(|_| budget.first_send());
        assert_eq!((0..50).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn a_minute_earns_a_retry_ten_are_saved_up_and_one_that_is_taken_costs_nothing() {
        let mut budget = RetryBudget::default();
        let spend = |budget: &mut RetryBudget| (0..50).filter(|_| budget.spend()).count();
        spend(&mut budget);
        let mut paid = budget.passed(Timestamp(0), Timestamp(59_999));
        assert_eq!((paid, budget.spend()), (Timestamp(54_000), false));
        paid = budget.passed(paid, Timestamp(60_000));
        assert!(budget.spend() && !budget.spend());
        budget.taken();
        assert_eq!(spend(&mut budget), 1);
        paid = budget.passed(paid, Timestamp(HOUR_MS * 1_000_000));
        assert_eq!(spend(&mut budget), 10);
        assert_eq!(
            (budget.passed(paid, Timestamp(i64::MIN)), spend(&mut budget)),
            (paid, 0),
            "a clock that was set back"
        );
    }
}
