//! How much one origin may upload at its first hop.
//!
//! Source: delivery contract, section 7: 60 uploads an hour with a burst of 10, 256 MiB a day.

use hashbrown::HashMap;

use crate::model::package::Origin;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};

/// What one origin may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Uploads an hour; 0 for no limit.
    pub uploads_per_hour: u32,
    /// Uploads at once.
    pub burst: u32,
    /// Bytes a day; 0 for no limit.
    pub bytes_per_day: u64,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { uploads_per_hour: 60, burst: 10, bytes_per_day: 256 << 20 }
    }
}

/// Most origins remembered; beyond, those that were silent longest are forgotten (and start with a full burst).
const ORIGINS_MAX: usize = 200_000;

#[derive(Clone, Copy)]
struct Meter {
    /// Milliseconds of the hour's allowance that are saved up.
    saved_ms: i64,
    seen: Timestamp,
    day: i64,
    day_bytes: u64,
}

/// Meters of all origins that were heard lately.
pub struct RateTable {
    rates: Rates,
    meters: HashMap<Origin, Meter>,
}

impl RateTable {
    /// An empty table.
    pub fn new(rates: Rates) -> RateTable {
        RateTable { rates, meters: HashMap::new() }
    }

    /// Takes one upload of `bytes` from `origin`, or tells in how many milliseconds to come again.
    pub fn admit(&mut self, now: Timestamp, origin: &Origin, bytes: u64) -> Result<(), i64> {
        if self.rates.uploads_per_hour == 0 && self.rates.bytes_per_day == 0 {
            return Ok(());
        }
        let cost_ms = match self.rates.uploads_per_hour {
            0 => 0,
            uploads => HOUR_MS / i64::from(uploads),
        };
        let full_ms = cost_ms * i64::from(self.rates.burst.max(1));
        if self.meters.len() >= ORIGINS_MAX && !self.meters.contains_key(origin) {
            self.forget_silent(now, full_ms);
        }
        let day = now.0.div_euclid(DAY_MS);
        let fresh = Meter { saved_ms: full_ms, seen: now, day, day_bytes: 0 };
        let meter = self.meters.entry(origin.clone()).or_insert(fresh);
        meter.saved_ms = meter.saved_ms.saturating_add(now.ms_since(meter.seen)).min(full_ms);
        meter.seen = now;
        if meter.day != day {
            (meter.day, meter.day_bytes) = (day, 0);
        }
        if meter.saved_ms < cost_ms {
            return Err(cost_ms - meter.saved_ms);
        }
        let day_bytes = meter.day_bytes.saturating_add(bytes);
        if self.rates.bytes_per_day > 0 && day_bytes > self.rates.bytes_per_day {
            return Err((day + 1) * DAY_MS - now.0);
        }
        meter.saved_ms -= cost_ms;
        meter.day_bytes = day_bytes;
        Ok(())
    }

    /// Drops meters that stand as a fresh one would; if that is not enough, the longest silent half.
    fn forget_silent(&mut self, now: Timestamp, full_ms: i64) {
        let today = now.0.div_euclid(DAY_MS);
        self.meters.retain(|_, meter| meter.saved_ms + now.ms_since(meter.seen) < full_ms || meter.day == today);
        if self.meters.len() >= ORIGINS_MAX {
            let mut seen: Vec<Timestamp> = self.meters.values().map(|meter| meter.seen).collect();
            let middle = seen.len() / 2;
            let (_, &mut median, _) = seen.select_nth_unstable(middle);
            self.meters.retain(|_, meter| meter.seen > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::MINUTE_MS;

    fn origin(number: usize) -> Origin {
        Origin(number.to_string().into())
    }

    #[test]
    fn ten_uploads_come_in_at_once_and_then_one_a_minute() {
        let mut table = RateTable::new(Rates::default());
        let now = Timestamp(1_000_000);
        let admitted = (0..20).filter(|_| table.admit(now, &origin(1), 1).is_ok()).count();
        assert_eq!(admitted, 10);
        assert_eq!(table.admit(now, &origin(1), 1), Err(MINUTE_MS));
        assert_eq!(table.admit(now, &origin(2), 1), Ok(()), "others are not touched");
        assert_eq!(table.admit(now.plus_ms(MINUTE_MS), &origin(1), 1), Ok(()));
        assert!(table.admit(now.plus_ms(MINUTE_MS), &origin(1), 1).is_err());
    }

    #[test]
    fn a_day_has_its_bytes_and_the_next_day_new_ones() {
        let mut table = RateTable::new(Rates { uploads_per_hour: 0, burst: 0, bytes_per_day: 100 });
        let evening = Timestamp(DAY_MS - 5);
        assert_eq!(table.admit(evening, &origin(1), 100), Ok(()));
        assert_eq!(table.admit(evening, &origin(1), 1), Err(5));
        assert_eq!(table.admit(Timestamp(DAY_MS), &origin(1), 100), Ok(()));
    }

    #[test]
    fn without_limits_nobody_is_remembered() {
        let mut table = RateTable::new(Rates { uploads_per_hour: 0, burst: 0, bytes_per_day: 0 });
        assert!((0..100).all(|number| table.admit(Timestamp(0), &origin(number % 2), u64::MAX).is_ok()));
        assert!(table.meters.is_empty());
    }

    #[test]
    fn any_number_of_origins_takes_bounded_memory() {
        let mut table = RateTable::new(Rates::default());
        for number in 0..ORIGINS_MAX * 2 {
            let now = Timestamp(number as i64);
            assert!(table.admit(now, &origin(number), 1).is_ok());
        }
        assert!(table.meters.len() <= ORIGINS_MAX);
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_allowance() {
        let mut table = RateTable::new(Rates::default());
        for _ in 0..10 {
            let _ = table.admit(Timestamp(DAY_MS), &origin(1), 1);
        }
        assert!(table.admit(Timestamp(0), &origin(1), 1).is_err());
    }
}
