//! When senders that cannot be served now may come again: each gets a turn of its own.
//!
//! A node that says "come again in a second" to everybody is asked by everybody a second later. Here each refusal takes
//! the next free turn, and turns are as far apart as the node was seen to serve, so those that come back come at the
//! rate at which the node drains: no second peak, whatever the first one was. Beyond an hour, the longest that a sender
//! waits, they are spread over the last half of it and get a nearer turn when they come again.
//!
//! Source: delivery contract, section 5 (a loaded server answers 503 with a `Retry-After` drawn over the time it needs to
//! drain) and invariant I13 (peak after an outage at most 1.5 times the drain rate).

use crate::rng::RngStream;
use crate::time::{HOUR_MS, SECOND_MS, Timestamp};

/// Served in 1,000 seconds before anything was seen: ten a second.
const UNKNOWN_RATE: i64 = 10_000;
/// The least that is believed of a node that serves nothing: one in ten seconds.
const RATE_MIN: i64 = 100;
/// Served in 1,000 seconds by the fastest node: bounds the arithmetic.
const RATE_MAX: i64 = 1_000_000_000;
/// After so long without a refusal the load has gone.
const CALM_MS: i64 = 10 * SECOND_MS;
/// A rate is looked at no sooner than after this.
const LOOK_MS: i64 = SECOND_MS;

/// See the module's head.
#[derive(Clone, Debug)]
pub struct Turns {
    /// Served in 1,000 seconds while there was load.
    rate: i64,
    /// When the look at the rate began, and what had been served then.
    look: Option<(Timestamp, u64)>,
    /// How far the next free turn is ahead of the last refusal, in microseconds: fast nodes have turns of their own too.
    ahead_us: i64,
    /// The last refusal.
    seen: Timestamp,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { rate: UNKNOWN_RATE, look: None, ahead_us: 0, seen: Timestamp(0) }
    }
}

impl Turns {
    /// In how many milliseconds the sender that is refused at `now` may come again, 1 s to 1 h. `served` counts all that
    /// this node has served since its start; only its growth matters.
    pub fn come_again_ms(&mut self, now: Timestamp, served: u64, rng: &mut RngStream) -> i64 {
        let passed_ms = now.ms_since(self.seen);
        if now.0 < self.seen.0 {
            // A clock that was set back: what was served since tells no rate.
            self.look = None;
        }
        self.ahead_us = self.ahead_us.saturating_sub(passed_ms.saturating_mul(1_000)).max(0);
        self.seen = now;
        self.look_at_rate(now, served, passed_ms > CALM_MS);
        self.ahead_us += 1_000_000_000 / self.rate;
        let wait_ms = self.ahead_us / 1_000;
        if wait_ms >= HOUR_MS {
            // No turn is kept for it: who is told this has to ask again anyway.
            self.ahead_us = HOUR_MS * 1_000;
            return HOUR_MS / 2 + rng.below(HOUR_MS / 2);
        }
        // Headers tell whole seconds: where in its second a sender comes is for chance.
        (wait_ms + rng.below(SECOND_MS)).clamp(SECOND_MS, HOUR_MS)
    }

    fn look_at_rate(&mut self, now: Timestamp, served: u64, is_calm: bool) {
        let (began, before) = *self.look.get_or_insert((now, served));
        let ms = now.ms_since(began);
        if ms < LOOK_MS {
            return;
        }
        let count = i64::try_from(served.saturating_sub(before)).unwrap_or(i64::MAX);
        let seen = (count.saturating_mul(1_000_000) / ms).min(RATE_MAX);
        let rate = match is_calm {
            // What is served without load is what was asked for: it shows only that a node is no slower.
            true => self.rate.max(seen),
            false => (self.rate * 3 + seen) / 4,
        };
        let rate = rate.clamp(RATE_MIN, RATE_MAX);
        // The turns that were given come as much sooner or later in effect.
        self.ahead_us = (i128::from(self.ahead_us) * i128::from(self.rate) / i128::from(rate)) as i64;
        self.ahead_us = self.ahead_us.min(HOUR_MS * 1_000);
        (self.rate, self.look) = (rate, Some((now, served)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    /// `senders` come within the first second to a node that serves `capacity` a second. Arrivals by second until nobody
    /// is left. One that is warm has refused before, while it served as much as it can.
    fn outage_ends(senders: u64, capacity: u64, is_warm: bool) -> Vec<u64> {
        let (mut turns, mut rng, mut served) = (Turns::default(), RngStream::new(1, 2, 3), 0u64);
        for second in (0..if is_warm { 60 } else { 0 }).rev() {
            turns.come_again_ms(NOW.plus_ms(-second * 1_000), served, &mut rng);
            served += capacity;
        }
        let mut due: BTreeMap<i64, u64> = BTreeMap::new();
        for sender in 0..senders {
            *due.entry(NOW.0 + (sender * 1_000 / senders) as i64).or_default() += 1;
        }
        let (mut second, mut room, mut arrivals) = (NOW.0, capacity, Vec::new());
        let mut came = 0;
        while let Some((at, count)) = due.pop_first() {
            while at >= second + 1_000 {
                (second, room) = (second + 1_000, capacity);
                arrivals.push(std::mem::take(&mut came));
            }
            came += count;
            let taken = count.min(room);
            (room, served) = (room - taken, served + taken);
            for _ in taken..count {
                let wait = turns.come_again_ms(Timestamp(at), served, &mut rng);
                // Senders round up to whole seconds and are spread by the network.
                *due.entry(at + (wait + 999) / 1_000 * 1_000 - rng.below(999)).or_default() += 1;
            }
        }
        arrivals.push(came);
        arrivals
    }

    #[test]
    fn after_an_outage_no_second_peak_is_higher_than_one_and_a_half_times_what_the_node_serves() {
        let cases = [(100_000, 200, true), (100_000, 200, false), (20_000, 50, false), (5_000, 1_000, true)];
        for (senders, capacity, is_warm) in cases {
            let arrivals = outage_ends(senders, capacity, is_warm);
            // By ten seconds: the first refusals come before a rate was seen.
            let later: Vec<u64> =
                arrivals[1..].chunks(10).map(|ten| ten.iter().sum::<u64>() / ten.len() as u64).collect();
            let peak = later.iter().copied().max().unwrap();
            assert!(peak <= capacity * 3 / 2, "{senders} senders, {capacity}/s: {peak}/s");
            // A node that does not know yet how fast it is spreads them over an hour rather than be overrun.
            let most = senders / capacity * 3 / 2 + if is_warm { 10 } else { 3_600 };
            assert!(arrivals.len() as u64 <= most, "{senders} senders took {} s", arrivals.len());
        }
    }

    #[test]
    fn a_node_that_serves_nothing_asks_for_the_longest_wait_and_spreads_it() {
        let (mut turns, mut rng) = (Turns::default(), RngStream::new(1, 2, 3));
        let waits: Vec<i64> =
            (0..200_000).map(|sender| turns.come_again_ms(NOW.plus_ms(sender), 0, &mut rng)).collect();
        let late = &waits[100_000..];
        let (least, most) = (late.iter().min().unwrap(), late.iter().max().unwrap());
        assert!((HOUR_MS / 2..=HOUR_MS / 2 + 2_000).contains(least) && (HOUR_MS - 2_000..=HOUR_MS).contains(most));
    }

    #[test]
    fn turns_pass_with_time_and_faster_when_the_node_does() {
        let (mut turns, mut rng) = (Turns::default(), RngStream::new(1, 2, 3));
        for _ in 0..1_000 {
            turns.come_again_ms(NOW, 0, &mut rng);
        }
        let mut slow = turns.clone();
        let wait = slow.come_again_ms(NOW.plus_ms(60 * SECOND_MS), 0, &mut rng);
        assert!((40 * SECOND_MS..42 * SECOND_MS).contains(&wait), "100 s of turns, 60 of them gone: {wait}");
        let wait = turns.come_again_ms(NOW.plus_ms(60 * SECOND_MS), 60_000, &mut rng);
        assert!(wait < 2 * SECOND_MS, "a thousand a second were served meanwhile: {wait}");
        assert!(turns.come_again_ms(NOW.plus_ms(-HOUR_MS), 0, &mut rng) < 2 * SECOND_MS, "a clock that was set back");
    }

    proptest! {
        #[test]
        fn whatever_clock_and_counter_say_a_wait_is_a_second_to_an_hour(
            steps in prop::collection::vec((any::<i64>(), any::<u64>()), 1..50), small in prop::collection::vec(0..3_000i64, 0..50)
        ) {
            let (mut turns, mut rng) = (Turns::default(), RngStream::new(1, 2, 3));
            for (at, served) in steps {
                let mut now = Timestamp(at / 1_000);
                prop_assert!((SECOND_MS..=HOUR_MS).contains(&turns.come_again_ms(now, served, &mut rng)));
                for step in &small {
                    now = now.plus_ms(*step);
                    prop_assert!((SECOND_MS..=HOUR_MS).contains(&turns.come_again_ms(now, served, &mut rng)));
                }
            }
        }
    }
}
