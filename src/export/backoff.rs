//! How long to wait before the next try.

use std::time::Duration;

use crate::rng::RngStream;

/// Full jitter: uniform in 0 to `base` x 2^(tries - 1), at most `cap`; never shorter than what the endpoint asked for.
///
/// The `Retry-After` of an endpoint is believed up to one hour, so that a wrong one cannot park an export for ever.
pub fn delay(
    base: Duration,
    cap: Duration,
    tries: u32,
    retry_after: Option<Duration>,
    rng: &mut RngStream,
) -> Duration {
    let doublings = tries.saturating_sub(1).min(30);
    let ceiling = base.saturating_mul(1 << doublings).min(cap);
    let ceiling_ms = i64::try_from(ceiling.as_millis()).unwrap_or(i64::MAX - 1);
    let drawn = Duration::from_millis(rng.below(ceiling_ms + 1) as u64);
    drawn.max(retry_after.unwrap_or_default().min(RETRY_AFTER_LIMIT))
}

const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_its_cap_and_honours_retry_after() {
        let mut rng = RngStream::new(7, 7, 0);
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut longest =
            |tries| (0..500).map(|_| delay(base, cap, tries, None, &mut rng)).max().unwrap().as_secs_f64();
        assert!((0.9..=1.0).contains(&longest(1)));
        assert!((3.5..=4.0).contains(&longest(3)));
        assert!((55.0..=60.0).contains(&longest(10)));
        assert!((55.0..=60.0).contains(&longest(u32::MAX)));
        assert_eq!(delay(base, cap, 1, Some(Duration::from_secs(90)), &mut rng), Duration::from_secs(90));
        assert_eq!(delay(base, cap, 1, Some(Duration::MAX), &mut rng), RETRY_AFTER_LIMIT);
    }
}
