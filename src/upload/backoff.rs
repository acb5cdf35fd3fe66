//! When a sender tries again, and how many retries it may spend.
//!
//! Source: delivery contract, section 5, backoff.

use crate::rng::RngStream;
use crate::time::{HOUR_MS, MINUTE_MS, SECOND_MS};

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

/// The retries of one node together: at most a tenth on top of first sends, ten saved up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Tenths of a retry.
    tenths: u16,
}

/// Most tenths saved up: a burst of ten retries, so that an agent that sends once a day may still try again.
const TENTHS_MAX: u16 = 100;

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
}
