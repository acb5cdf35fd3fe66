//! How fast bytes may go when policy limits them: the rate of a transfer, and the wait before each part of it.
//!
//! A limit bounds what the agent takes of a link over all its transfers, one after the other. It yields where the other
//! side would give up: an upload that a receiver cuts off for being slow would be sent again and again, and never be
//! there. So an upload is never slower than the receiver's time for its size allows; with the contract's 60 s and 1 s
//! per 64 KiB that concerns limits below 64 KiB/s only, and of those only large packages.
//!
//! Source: delivery contract, section 7 (time for a whole body); `agent-beacon-batch` reference, section 3.4.

/// Slowest upload, bytes a second: a receiver waits 15 s between two bytes, and a report must come through in its time.
pub const UPLOAD_FLOOR: u64 = 4 << 10;
/// Slowest download, bytes a second: whoever hands out files ends the connection of one that takes nothing for 25 s,
/// and what an HTTP client reads at once can be 400 KiB.
pub const DOWNLOAD_FLOOR: u64 = 16 << 10;
/// What of a receiver's 60 s an upload may use beside 1 s per 64 KiB; the rest is for the link.
const RECEIVER_SECS: u64 = 45;
/// Bytes for which a receiver gives one more second.
const RECEIVER_BYTES_PER_SECOND: u64 = 64 << 10;
/// What a late timer has cost is made good up to this much, in microseconds.
const SAVED_US_MAX: u64 = 100_000;
/// Parts of a second's bytes that go at once.
const PARTS: u64 = 4;
/// Fewest and most bytes that go at once.
const PART_BYTES: (u64, u64) = (256, 64 << 10);

/// Bytes a second at which a body of `bytes` is uploaded under `limit`; `None` for as fast as it goes (a limit of 0).
pub fn upload_rate(limit: u64, bytes: u64) -> Option<u64> {
    let time = RECEIVER_SECS + bytes / RECEIVER_BYTES_PER_SECOND;
    (limit > 0).then(|| limit.max(bytes.div_ceil(time)).max(UPLOAD_FLOOR))
}

/// Bytes a second of downloads under `limit`; `None` for as fast as it goes (a limit of 0).
pub fn download_rate(limit: u64) -> Option<u64> {
    (limit > 0).then(|| limit.max(DOWNLOAD_FLOOR))
}

/// Bytes that are sent at once at `rate` bytes a second: a quarter of a second's, 256 bytes to 64 KiB.
pub fn part_bytes(rate: u64) -> usize {
    (rate / PARTS).clamp(PART_BYTES.0, PART_BYTES.1) as usize
}

/// Whole seconds that `bytes` take at `rate`, rounded up; 0 without a rate.
pub fn secs(bytes: u64, rate: Option<u64>) -> u64 {
    rate.map_or(0, |rate| bytes.div_ceil(rate.max(1)))
}

/// What has gone in one direction. Times are microseconds of a clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// When all that has gone is paid for.
    paid_at_us: u64,
}

impl Pace {
    /// Takes `bytes` that go at `rate` bytes a second, and tells how many microseconds to wait before they do.
    pub fn take(&mut self, now_us: u64, bytes: u64, rate: u64) -> u64 {
        let from = self.paid_at_us.max(now_us.saturating_sub(SAVED_US_MAX));
        let cost_us = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
        self.paid_at_us = from.saturating_add(u64::try_from(cost_us).unwrap_or(u64::MAX));
        from.saturating_sub(now_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;

    /// Sends `bytes` in parts at `rate`, each as soon as it may go, and gives the time at which the last one went.
    fn send(pace: &mut Pace, mut now_us: u64, mut bytes: u64, rate: u64) -> u64 {
        while bytes > 0 {
            let part = bytes.min(part_bytes(rate) as u64);
            now_us += pace.take(now_us, part, rate);
            bytes -= part;
        }
        now_us
    }

    #[test]
    fn a_body_takes_the_time_of_its_bytes() {
        for rate in [4 << 10, 64 << 10, 1 << 20, 100 << 20] {
            let took = send(&mut Pace::default(), SECOND_US, 10 * rate, rate) - SECOND_US;
            assert!((9_600_000..=10_000_000).contains(&took), "{rate}: {took}");
        }
    }

    #[test]
    fn the_next_body_pays_for_the_last_part_of_the_one_before() {
        let mut pace = Pace::default();
        assert_eq!(pace.take(SECOND_US, 1_000, 4_000), 0);
        assert_eq!(pace.take(SECOND_US, 1_000, 4_000), 150_000, "100 ms were saved up");
        assert_eq!(pace.take(SECOND_US + 150_000, 1, 4_000), 250_000);
        assert_eq!(pace.take(20 * SECOND_US, 1, 4_000), 0, "nothing is saved up over a pause but 100 ms");
        assert_eq!(pace.take(20 * SECOND_US, 4_000, 4_000), 0);
        assert_eq!(pace.take(20 * SECOND_US, 1, 4_000), 900_250);
    }

    #[test]
    fn a_timer_that_is_always_late_does_not_halve_the_rate() {
        let (rate, mut pace, mut now_us) = (64 << 20, Pace::default(), SECOND_US);
        for _ in 0..1_000 {
            let wait = pace.take(now_us, part_bytes(rate) as u64, rate);
            now_us += wait + if wait > 0 { 900 } else { 0 };
        }
        let took = now_us - SECOND_US;
        assert!((850_000..1_100_000).contains(&took), "62.5 MiB at 64 MiB/s took {took} us");
    }

    #[test]
    fn no_limit_is_no_rate_and_a_limit_yields_to_the_receivers_time() {
        assert_eq!((upload_rate(0, 1 << 20), download_rate(0)), (None, None));
        assert_eq!(upload_rate(100_000, 32 << 20), Some(100_000), "above 64 KiB/s a limit holds for every size");
        assert_eq!(upload_rate(8 << 10, 100 << 10), Some(8 << 10), "a small package keeps to it");
        assert_eq!((upload_rate(1, 1), download_rate(1)), (Some(UPLOAD_FLOOR), Some(DOWNLOAD_FLOOR)));
        for limit in [1, 4 << 10, 16 << 10, 65_535, 65_536, 1 << 30] {
            for bytes in [1, 1 << 10, 64 << 10, 1 << 20, 8 << 20, 32 << 20] {
                let rate = upload_rate(limit, bytes).unwrap();
                let time = RECEIVER_SECS + bytes / RECEIVER_BYTES_PER_SECOND;
                assert!(bytes <= rate * time, "{bytes} bytes at {rate} within the receiver's time");
                assert!(rate <= limit.max(64 << 10), "never faster than 64 KiB/s for its sake");
                assert!(part_bytes(rate) as u64 <= rate * 2, "something goes every two seconds at least");
            }
        }
    }

    #[test]
    fn absurd_numbers_neither_panic_nor_wait_for_ever() {
        let mut pace = Pace::default();
        assert_eq!(pace.take(u64::MAX, u64::MAX, 0), 0);
        assert_eq!(pace.take(u64::MAX, 1, 1), 0);
        assert_eq!(upload_rate(u64::MAX, u64::MAX), Some(u64::MAX));
        assert_eq!((secs(10, Some(3)), secs(10, None), secs(1, Some(0))), (4, 0, 1));
    }
}
