//! The server that a node stays with.

use std::sync::Arc;

use super::measure::MEASURE_AGE_MS;
use crate::rng::RngStream;
use crate::time::{MINUTE_MS, Timestamp};

/// After so long at another server the first is asked again; as much again is jitter.
/// Source: delivery contract, section 5, failover.
const RETURN_AFTER_MS: i64 = 10 * MINUTE_MS;

/// Why the list is ordered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reorder {
    /// The list is another one.
    ListChanged,
    /// The chosen server failed.
    ChosenFailed,
    /// What was measured is an hour old.
    MeasuresOld,
}

/// The server that took the last transfer stays chosen while it is healthy: the list is not ordered for each transfer.
/// One of another place than the first is left after 10 to 20 minutes for the first again.
///
/// Servers are places in the failover list. At most 48 bytes, because a million agents hold one each; the order itself
/// is shared by all that have the same.
///
/// Source: delivery contract, section 5, failover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    order: Arc<[u16]>,
    /// From then on the first server is asked first again; `NEVER` while the first is the chosen one.
    return_at: Timestamp,
    ordered_at: Timestamp,
    /// Number of the list that was ordered.
    list: u32,
    chosen: u16,
    has_failed: bool,
}

impl Sticky {
    /// Begins with the first server of `order` (see [`Order::servers`](super::Order::servers)), which was made from the
    /// list numbered `list` by the caller, with measures that were fresh at `now`. `None` when `order` is empty.
    pub fn new(order: Arc<[u16]>, list: u32, now: Timestamp) -> Option<Sticky> {
        let chosen = *order.first()?;
        Some(Sticky { order, return_at: Timestamp::NEVER, ordered_at: now, list, chosen, has_failed: false })
    }

    /// The server to ask first.
    pub fn first(&self, now: Timestamp) -> u16 {
        let first = self.order.first().copied().unwrap_or(self.chosen);
        if now >= self.return_at { first } else { self.chosen }
    }

    /// One pass: the server to ask first, then the others in order, each once.
    pub fn pass(&self, now: Timestamp) -> impl Iterator<Item = u16> + '_ {
        let first = self.first(now);
        std::iter::once(first).chain(self.order.iter().copied().filter(move |server| *server != first))
    }

    /// The server that took the last transfer, or the first one.
    pub fn chosen(&self) -> u16 {
        self.chosen
    }

    /// A transfer to `server` succeeded. One that is not in the order (any more) changes nothing.
    pub fn succeeded(&mut self, now: Timestamp, server: u16, rng: &mut RngStream) {
        if !self.order.contains(&server) {
            return;
        }
        if self.chosen != server || now >= self.return_at {
            self.return_at = self.return_from(server, now, rng);
        }
        (self.chosen, self.has_failed) = (server, false);
    }

    /// The circuit of `server` opened. Only the chosen one's failure is a reason to order anew.
    pub fn failed(&mut self, server: u16) {
        self.has_failed |= server == self.chosen;
    }

    /// Why the list has to be ordered anew before the next transfer, if it has to. `list` is the caller's number of the
    /// present list.
    pub fn reorder(&self, now: Timestamp, list: u32) -> Option<Reorder> {
        if list != self.list {
            Some(Reorder::ListChanged)
        } else if self.has_failed {
            Some(Reorder::ChosenFailed)
        } else if now.ms_since(self.ordered_at) >= MEASURE_AGE_MS {
            Some(Reorder::MeasuresOld)
        } else {
            None
        }
    }

    /// Takes a new order. `keep` is the place that the chosen server has in the list numbered `list`; `None` when it is
    /// gone. A healthy server that is still there stays chosen, and is left for the new first one in 10 to 20 minutes.
    pub fn reordered(&mut self, order: Arc<[u16]>, list: u32, keep: Option<u16>, now: Timestamp, rng: &mut RngStream) {
        let Some(&first) = order.first() else {
            self.kept(list, now);
            return;
        };
        let kept = keep.filter(|server| !self.has_failed && order.contains(server));
        let had_other_plan = self.return_at != Timestamp::NEVER;
        self.order = order;
        let chosen = kept.unwrap_or(first);
        if chosen == first {
            self.return_at = Timestamp::NEVER;
        } else if !had_other_plan {
            self.return_at = self.return_from(chosen, now, rng);
        }
        self.chosen = chosen;
        self.kept(list, now);
    }

    /// The list numbered `list` gives no usable order: the present one is kept, and so must be, by the caller, the list
    /// whose places it names. The next order is asked for when one of the reasons comes up again.
    pub fn kept(&mut self, list: u32, now: Timestamp) {
        (self.list, self.ordered_at, self.has_failed) = (list, now, false);
    }

    /// The clock was set back by so many milliseconds.
    pub fn step_back(&mut self, ms: i64) {
        let back = ms.saturating_neg();
        self.ordered_at = self.ordered_at.plus_ms(back);
        if self.return_at != Timestamp::NEVER {
            self.return_at = self.return_at.plus_ms(back);
        }
    }

    fn return_from(&self, server: u16, now: Timestamp, rng: &mut RngStream) -> Timestamp {
        if self.order.first() == Some(&server) {
            return Timestamp::NEVER;
        }
        now.plus_ms(RETURN_AFTER_MS + rng.below(RETURN_AFTER_MS))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::HOUR_MS;

    fn rng() -> RngStream {
        RngStream::new(5, 5, 0)
    }

    fn sticky(order: &[u16]) -> Sticky {
        Sticky::new(order.into(), 1, Timestamp(0)).unwrap()
    }

    fn pass(sticky: &Sticky, now: i64) -> Vec<u16> {
        sticky.pass(Timestamp(now)).collect()
    }

    #[test]
    fn the_server_that_took_the_last_transfer_is_asked_first() {
        let mut sticky = sticky(&[2, 0, 1]);
        assert_eq!(pass(&sticky, 0), [2, 0, 1]);
        sticky.succeeded(Timestamp(0), 1, &mut rng());
        assert_eq!(pass(&sticky, 1), [1, 2, 0]);
    }

    #[test]
    fn the_first_is_asked_again_after_ten_to_twenty_minutes_elsewhere() {
        let mut rng = rng();
        let mut returns = Vec::new();
        for _ in 0..200 {
            let mut sticky = sticky(&[2, 0, 1]);
            sticky.succeeded(Timestamp(0), 1, &mut rng);
            // More successes there do not put the return off.
            sticky.succeeded(Timestamp(9 * MINUTE_MS), 1, &mut rng);
            let back = (0..=20 * MINUTE_MS).step_by(5_000).find(|now| sticky.first(Timestamp(*now)) == 2).unwrap();
            returns.push(back);
        }
        let (least, most) = (*returns.iter().min().unwrap(), *returns.iter().max().unwrap());
        assert!((10 * MINUTE_MS..11 * MINUTE_MS).contains(&least), "{least}");
        assert!((19 * MINUTE_MS..=20 * MINUTE_MS).contains(&most), "{most}");
    }

    #[test]
    fn a_first_that_fails_again_is_left_for_another_ten_to_twenty_minutes() {
        let (mut sticky, mut rng) = (sticky(&[2, 0, 1]), rng());
        sticky.succeeded(Timestamp(0), 1, &mut rng);
        let again = Timestamp(20 * MINUTE_MS);
        assert_eq!(sticky.first(again), 2);
        sticky.succeeded(again, 1, &mut rng);
        assert_eq!(sticky.first(again.plus_ms(10 * MINUTE_MS - 1)), 1);
        assert_eq!(sticky.first(again.plus_ms(20 * MINUTE_MS)), 2);
        sticky.succeeded(again.plus_ms(20 * MINUTE_MS), 2, &mut rng);
        assert_eq!(sticky.first(Timestamp(i64::MAX - 1)), 2, "back for good");
    }

    #[test]
    fn the_list_is_ordered_anew_for_three_reasons_and_no_other() {
        let (mut sticky, mut rng) = (sticky(&[2, 0, 1]), rng());
        assert_eq!(sticky.reorder(Timestamp(HOUR_MS - 1), 1), None);
        assert_eq!(sticky.reorder(Timestamp(HOUR_MS), 1), Some(Reorder::MeasuresOld));
        assert_eq!(sticky.reorder(Timestamp(0), 2), Some(Reorder::ListChanged));
        sticky.failed(0);
        sticky.succeeded(Timestamp(5), 0, &mut rng);
        sticky.failed(2);
        assert_eq!(sticky.reorder(Timestamp(5), 1), None, "another one's failure is none");
        sticky.failed(0);
        assert_eq!(sticky.reorder(Timestamp(5), 1), Some(Reorder::ChosenFailed));
        sticky.succeeded(Timestamp(6), 1, &mut rng);
        assert_eq!(sticky.reorder(Timestamp(6), 1), None, "another took its place");
    }

    #[test]
    fn a_healthy_server_stays_chosen_through_a_new_order_and_gives_way_to_the_new_first_later() {
        let (mut sticky, mut rng) = (sticky(&[2, 0, 1]), rng());
        sticky.reordered([0, 1, 2].into(), 1, Some(2), Timestamp(HOUR_MS), &mut rng);
        assert_eq!(pass(&sticky, HOUR_MS), [2, 0, 1]);
        assert_eq!(sticky.first(Timestamp(HOUR_MS + 20 * MINUTE_MS)), 0);
        assert_eq!(sticky.reorder(Timestamp(2 * HOUR_MS - 1), 1), None);
        // A later order does not put off a return that is planned already.
        sticky.reordered([1, 0, 2].into(), 1, Some(2), Timestamp(HOUR_MS + 9 * MINUTE_MS), &mut rng);
        assert_eq!(sticky.first(Timestamp(HOUR_MS + 20 * MINUTE_MS)), 1);
    }

    #[test]
    fn a_server_that_failed_or_is_gone_gives_way_at_once() {
        let mut rng = rng();
        let mut failed = sticky(&[2, 0, 1]);
        failed.failed(2);
        failed.reordered([2, 1, 0].into(), 1, Some(2), Timestamp(1), &mut rng);
        assert_eq!((failed.chosen(), failed.reorder(Timestamp(1), 1)), (2, None), "the order has the last word");
        failed.failed(2);
        failed.reordered([1, 2, 0].into(), 1, Some(2), Timestamp(1), &mut rng);
        assert_eq!(failed.chosen(), 1);
        let mut gone = sticky(&[2, 0, 1]);
        gone.reordered([1, 0].into(), 2, None, Timestamp(1), &mut rng);
        assert_eq!(pass(&gone, 1), [1, 0]);
        let mut discarded = sticky(&[2, 0, 1]);
        discarded.reordered([1, 0].into(), 1, Some(2), Timestamp(1), &mut rng);
        assert_eq!(discarded.chosen(), 1);
    }

    #[test]
    fn without_a_usable_order_the_old_one_is_kept_and_not_asked_for_again() {
        let mut sticky = sticky(&[2, 0, 1]);
        sticky.failed(2);
        sticky.reordered(Arc::new([]), 1, Some(2), Timestamp(7), &mut rng());
        assert_eq!(pass(&sticky, 7), [2, 0, 1]);
        assert_eq!(sticky.reorder(Timestamp(7), 1), None);
        assert_eq!(Sticky::new(Arc::new([]), 1, Timestamp(0)), None);
    }

    #[test]
    fn a_late_success_of_a_server_that_is_gone_changes_nothing() {
        let mut sticky = sticky(&[2, 0]);
        let before = sticky.clone();
        sticky.succeeded(Timestamp(1), 1, &mut rng());
        assert_eq!(sticky, before);
    }

    #[test]
    fn plans_go_back_with_the_clock() {
        let (mut sticky, mut rng) = (sticky(&[2, 0, 1]), rng());
        sticky.succeeded(Timestamp(0), 1, &mut rng);
        sticky.step_back(HOUR_MS);
        assert_eq!(sticky.first(Timestamp(20 * MINUTE_MS - HOUR_MS)), 2);
        assert_eq!(sticky.reorder(Timestamp(0), 1), Some(Reorder::MeasuresOld));
        sticky.step_back(i64::MIN);
        sticky.step_back(i64::MAX);
    }

    #[test]
    fn what_an_agent_holds_is_small_and_the_order_is_shared() {
        assert!(size_of::<Sticky>() <= 48);
        let order: Arc<[u16]> = [1, 0].into();
        let sticky = Sticky::new(order.clone(), 1, Timestamp(0)).unwrap();
        assert_eq!(Arc::strong_count(&order), 2);
        drop(sticky);
    }

    proptest! {
        #[test]
        fn a_pass_asks_every_server_once_whatever_happened(
            steps in prop::collection::vec((0..5u8, 0..6u16, 0..2_000_000i64), 0..60), seed: u64
        ) {
            let (mut sticky, mut rng, mut now) = (sticky(&[3, 1, 0, 2]), RngStream::new(seed, 0, 0), Timestamp(0));
            let mut size = 4;
            for (step, server, ms) in steps {
                now = now.plus_ms(ms);
                match step {
                    0 => sticky.succeeded(now, server, &mut rng),
                    1 => sticky.failed(server),
                    2 => sticky.step_back(ms),
                    _ => {
                        let order: Vec<u16> = (0..server).rev().collect();
                        size = if order.is_empty() { size } else { order.len() };
                        sticky.reordered(order.into(), 1, Some(server / 2), now, &mut rng);
                    }
                }
                let mut asked: Vec<u16> = sticky.pass(now).collect();
                asked.sort_unstable();
                asked.dedup();
                prop_assert_eq!(asked.len(), size);
                prop_assert_eq!(sticky.pass(now).count(), size);
            }
        }
    }
}
