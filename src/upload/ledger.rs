//! The ledger of one stream at the server: which packages reached a final state, and which of them is the newest.
//!
//! A stream is (origin, kind/account/type). Settled sequence numbers are kept as ranges per epoch, for ever: about 16
//! bytes while nothing is missing. Packages without a sequence are known by their digest for longer than any copy of
//! them may live. Source: delivery contract, sections 1, 2 and 4.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::few::Few;
use super::recent::{RECENT_MAX, Recent, beginning};
use crate::id::Digest;
use crate::model::package::{Envelope, Sequence};
use crate::model::settlement::{ClockFlag, FinalState};
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

/// A package that is older than this, counted from its first custody, ends as expired.
pub const PACKAGE_LIFETIME_MS: i64 = 30 * DAY_MS;
/// Digests of packages without a sequence are remembered this long: longer than any copy can live.
pub const DIGEST_WINDOW_MS: i64 = PACKAGE_LIFETIME_MS + 5 * DAY_MS;
/// A collection time further ahead than this is flagged.
const CLOCK_AHEAD_MS: i64 = 10 * MINUTE_MS;
/// 2000-01-01: a collection time before it is no collection time.
pub const CLOCK_BAD_BEFORE: Timestamp = Timestamp(946_684_800_000);
/// Most settled ranges of one epoch; beyond, the oldest gap is closed (and what was missing there counts as settled).
const RANGES_MAX: usize = 4_096;
/// Most epochs of one stream; beyond, the oldest is forgotten.
const EPOCHS_MAX: usize = 64;
/// Most digests without a sequence; beyond, the oldest are forgotten.
const DIGESTS_MAX: usize = 20_000;

/// The date a package counts from: when it was collected, but never later than its first custody.
pub fn effective_date(collected_at: Option<Timestamp>, first_received: Timestamp) -> (Timestamp, Option<ClockFlag>) {
    match collected_at {
        Some(at) if at.ms_since(first_received) > CLOCK_AHEAD_MS => (first_received, Some(ClockFlag::ClockAhead)),
        Some(at) if at >= CLOCK_BAD_BEFORE => (at.min(first_received), None),
        _ => (first_received, Some(ClockFlag::ClockBad)),
    }
}

/// Whether a package is older than any may live. Two clocks have to say so: that of the node that first took it and,
/// where it tells, that of the agent that collected. One that stood wrong must not end what it passed on.
pub fn has_expired(envelope: &Envelope, now: Timestamp) -> bool {
    let is_old = |at: Timestamp| now.ms_since(at) > PACKAGE_LIFETIME_MS;
    let collected = envelope.collected_at.filter(|at| *at >= CLOCK_BAD_BEFORE);
    envelope.first_received >= CLOCK_BAD_BEFORE && is_old(envelope.first_received) && collected.is_none_or(is_old)
}

/// What the ledger says of a package before its content is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Settled before: count the delivery and let the bytes go.
    Duplicate,
    /// Too old.
    Expired,
    /// Its number was used by other bytes.
    SequenceReused,
    /// Not seen yet, and newer than everything that is.
    Newest,
    /// Not seen yet, but older than what is there.
    Older,
}

/// How many packages of a stream ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Staged.
    pub imported: u64,
    /// Overtaken.
    pub stale: u64,
    /// Set aside.
    pub quarantined: u64,
    /// Too old.
    pub expired: u64,
    /// Deliveries of what was settled already.
    pub duplicate_deliveries: u64,
}

impl Counts {
    /// Adds another stream's counts.
    pub fn add(&mut self, other: Counts) {
        self.imported += other.imported;
        self.stale += other.stale;
        self.quarantined += other.quarantined;
        self.expired += other.expired;
        self.duplicate_deliveries += other.duplicate_deliveries;
    }

    /// Packages in a final state.
    pub fn settled(&self) -> u64 {
        self.imported + self.stale + self.quarantined + self.expired
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Epoch {
    epoch: u64,
    /// When a node first took custody of a package of it: epochs are ordered by that, not by what an agent that has lost
    /// its state believes the time to be.
    since: Timestamp,
    /// Greatest effective date seen in it, for epochs that begin in the same millisecond.
    latest: Timestamp,
    /// Settled numbers as ranges (first, last), ascending, apart.
    settled: Few<(u64, u64)>,
    /// The beginnings of the digests of the last numbers, each at its number's remainder; 0 where none is known. A million
    /// ledgers hold one each.
    #[serde(default)]
    recent: Recent,
}

/// The newest imported package of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Its place, when it had one.
    pub sequence: Option<Sequence>,
    /// The date it counts from.
    pub effective: Timestamp,
    /// Its digest.
    pub digest: Digest,
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLedger {
    epochs: Few<Epoch>,
    newest: Option<Newest>,
    digests: BTreeMap<Digest, Timestamp>,
    /// Here stood the digests of all epochs' last numbers, in ledgers of earlier versions.
    #[serde(with = "no_longer_kept")]
    no_longer_kept: (),
    counts: Counts,
}

/// The place of a field that stored values have and this version does not read.
mod no_longer_kept {
    use serde::de::{Deserialize, Deserializer, IgnoredAny};
    use serde::ser::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(_: &(), to: S) -> Result<S::Ok, S::Error> {
        <[u8; 0]>::serialize(&[], to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(from).map(|_| ())
    }
}

impl StreamLedger {
    /// How many ended how.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The newest imported package.
    pub fn newest(&self) -> Option<Newest> {
        self.newest
    }

    /// Numbers that were published (a higher one was seen) and have not been settled here.
    pub fn gaps(&self) -> u64 {
        let of = |epoch: &Epoch| {
            let highest = epoch.settled.last().map_or(0, |range| range.1);
            // Numbers are a sender's word: their sums must not run over.
            let settled = epoch.settled.iter().map(|range| (range.1 - range.0).saturating_add(1));
            highest - settled.fold(0, u64::saturating_add).min(highest)
        };
        self.epochs.iter().map(of).fold(0, u64::saturating_add)
    }

    /// The parts of `first..=last` in `epoch` that have no final state here, ascending.
    pub fn unsettled(&self, epoch: u64, first: u64, last: u64) -> Vec<(u64, u64)> {
        let settled = self.epoch(epoch).map_or(&[][..], |epoch| &epoch.settled[..]);
        let (mut next, mut parts) = (first, Vec::new());
        for range in &settled[settled.partition_point(|range| range.1 < first)..] {
            if range.0 > last {
                break;
            }
            if range.0 > next {
                parts.push((next, range.0 - 1));
            }
            match range.1.checked_add(1) {
                Some(behind) => next = behind,
                None => return parts,
            }
        }
        if next <= last {
            parts.push((next, last));
        }
        parts
    }

    /// Of these numbers of `epoch`, which their agent gave up, how many have no final state here all the same, and how many
    /// of those lie above every settled one. A lost answer can leave a number in custody that its agent gave up.
    pub fn given_up(&self, epoch: u64, first: u64, last: u64) -> (u64, u64) {
        let highest = self.epoch(epoch).and_then(|epoch| epoch.settled.last()).map_or(0, |range| range.1);
        self.unsettled(epoch, first, last).into_iter().fold((0u64, 0u64), |(all, above), (first, last)| {
            let count = (last - first).saturating_add(1);
            let is_above = first > highest;
            (all.saturating_add(count), above.saturating_add(if is_above { count } else { 0 }))
        })
    }

    /// Whether the newest package is later than that of `sequence`, of which is known that a node had taken it at
    /// `taken`. Epochs that are known here stand in their order; one that is not is only as old as that.
    pub fn has_later(&self, sequence: Sequence, taken: Timestamp) -> bool {
        let Some(newest) = self.newest else { return false };
        let order = |number: u64| self.epoch(number).map(|known| (known.since, known.latest, known.epoch));
        match newest.sequence {
            Some(theirs) if theirs.epoch == sequence.epoch => theirs.number > sequence.number,
            Some(theirs) => match (order(sequence.epoch), order(theirs.epoch)) {
                (Some(own), Some(theirs)) => theirs > own,
                (None, Some(theirs)) => theirs.0 > taken || newest.effective > taken,
                (_, None) => newest.effective > taken,
            },
            None => newest.effective > taken,
        }
    }

    /// What to do with a package, judged by its envelope.
    pub fn assess(&self, envelope: &Envelope, now: Timestamp) -> Arrival {
        let known = match envelope.sequence {
            Some(sequence) => {
                let epoch = self.epoch(sequence.epoch);
                if epoch.is_some_and(|epoch| epoch.has_other(sequence.number, envelope.digest)) {
                    return Arrival::SequenceReused;
                }
                epoch.is_some_and(|epoch| epoch.holds(sequence.number))
            }
            None => self.digests.contains_key(&envelope.digest),
        };
        if known {
            return Arrival::Duplicate;
        }
        if has_expired(envelope, now) {
            return Arrival::Expired;
        }
        if self.is_newest(envelope) { Arrival::Newest } else { Arrival::Older }
    }

    fn is_newest(&self, envelope: &Envelope) -> bool {
        let Some(newest) = self.newest else { return true };
        let (effective, _) = effective_date(envelope.collected_at, envelope.first_received);
        match (envelope.sequence, newest.sequence) {
            (Some(mine), Some(theirs)) if mine.epoch == theirs.epoch => mine.number > theirs.number,
            (Some(mine), Some(theirs)) => {
                let first = envelope.first_received;
                let own = self
                    .epoch(mine.epoch)
                    .map_or((first, effective), |known| (known.since.min(first), known.latest.max(effective)));
                let theirs_known = self.epoch(theirs.epoch).map(|known| (known.since, known.latest));
                (own, mine.epoch) > (theirs_known.unwrap_or((first, newest.effective)), theirs.epoch)
            }
            _ => (effective, envelope.digest) > (newest.effective, newest.digest),
        }
    }

    /// Notes that the package reached a final state. Call it once, for what [`StreamLedger::assess`] did not know.
    pub fn settle(&mut self, envelope: &Envelope, state: FinalState) {
        let (effective, _) = effective_date(envelope.collected_at, envelope.first_received);
        // What adds to others is imported although it is older; that does not make it the newest.
        if state == FinalState::Imported && self.is_newest(envelope) {
            let (sequence, digest) = (envelope.sequence, envelope.digest);
            self.newest = Some(Newest { sequence, effective, digest });
        }
        match envelope.sequence {
            Some(sequence) => {
                let epoch = self.epoch_mut(sequence.epoch, envelope.first_received, effective);
                epoch.remember(sequence.number, envelope.digest);
                epoch.settle(sequence.number);
            }
            None => {
                self.digests.insert(envelope.digest, envelope.first_received);
                let newest = envelope.first_received;
                self.digests.retain(|_, first| newest.ms_since(*first) <= DIGEST_WINDOW_MS);
                if self.digests.len() > DIGESTS_MAX {
                    let oldest = self.digests.iter().min_by_key(|(digest, first)| (**first, **digest)).map(|(d, _)| *d);
                    oldest.map(|digest| self.digests.remove(&digest));
                }
            }
        }
        let count = match state {
            FinalState::Imported => &mut self.counts.imported,
            FinalState::Stale => &mut self.counts.stale,
            FinalState::Quarantined => &mut self.counts.quarantined,
            FinalState::Expired => &mut self.counts.expired,
        };
        *count += 1;
    }

    /// Notes a delivery of what was settled already.
    pub fn count_duplicate(&mut self) {
        self.counts.duplicate_deliveries += 1;
    }

    fn epoch(&self, epoch: u64) -> Option<&Epoch> {
        self.epochs.iter().find(|known| known.epoch == epoch)
    }

    fn epoch_mut(&mut self, epoch: u64, first: Timestamp, effective: Timestamp) -> &mut Epoch {
        if self.epoch(epoch).is_none() {
            let (settled, recent) = (Few::default(), Recent::default());
            self.epochs.push(Epoch { epoch, since: first, latest: effective, settled, recent });
            if self.epochs.len() > EPOCHS_MAX {
                let oldest = (0..self.epochs.len()).min_by_key(|&at| (self.epochs[at].since, self.epochs[at].epoch));
                oldest.map(|at| self.epochs.remove(at));
            }
        }
        let at = self.epochs.iter().position(|known| known.epoch == epoch).unwrap_or(0);
        let known = &mut self.epochs[at];
        known.since = known.since.min(first);
        known.latest = known.latest.max(effective);
        known
    }
}

impl Epoch {
    fn highest(&self) -> u64 {
        self.settled.last().map_or(0, |range| range.1)
    }

    /// Whether `number` is one of the last and belongs to other bytes.
    fn has_other(&self, number: u64, digest: Digest) -> bool {
        let is_recent = number <= self.highest() && self.highest() - number < RECENT_MAX;
        let known = self.recent.of(number);
        is_recent && known != 0 && known != beginning(digest)
    }

    /// Notes the digest of a number that is about to be settled.
    fn remember(&mut self, number: u64, digest: Digest) {
        let highest = self.highest();
        if number <= highest && highest - number >= RECENT_MAX {
            return;
        }
        // The places of numbers that are passed over belong to none of them.
        let first = number.saturating_sub(RECENT_MAX).max(highest);
        (first..number).skip(1).for_each(|passed| self.recent.note(passed, 0));
        self.recent.note(number, beginning(digest));
    }

    fn holds(&self, number: u64) -> bool {
        let at = self.settled.partition_point(|range| range.1 < number);
        self.settled.get(at).is_some_and(|range| range.0 <= number)
    }

    fn settle(&mut self, number: u64) {
        let at = self.settled.partition_point(|range| range.1 < number);
        if self.settled.get(at).is_some_and(|range| range.0 <= number) {
            return;
        }
        let joins_before = at > 0 && self.settled[at - 1].1 + 1 == number;
        let joins_after = self.settled.get(at).is_some_and(|range| number + 1 == range.0);
        match (joins_before, joins_after) {
            (true, true) => {
                self.settled[at - 1].1 = self.settled[at].1;
                self.settled.remove(at);
            }
            (true, false) => self.settled[at - 1].1 = number,
            (false, true) => self.settled[at].0 = number,
            (false, false) => self.settled.insert(at, (number, number)),
        }
        if self.settled.len() > RANGES_MAX {
            self.settled[1].0 = self.settled[0].0;
            self.settled.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Guid;
    use crate::model::package::{Hop, Kind, Origin};
    use crate::model::stored;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn package(epoch: u64, number: u64, collected: i64) -> Envelope {
        let digest = Digest::of(format!("{epoch}/{number}").as_bytes());
        let sequence = (number > 0).then_some(Sequence { epoch, number });
        let collected_at = Some(NOW.plus_ms(collected));
        Envelope {
            origin: Origin("o".into()),
            kind: Kind::Inventories,
            stream: None,
            file_name: "x.ndi.gz".into(),
            size: 1,
            digest,
            sequence,
            collected_at,
            first_received: NOW,
            unproven: true,
            hops: vec![Hop { node: Guid::NIL, received: NOW }],
        }
    }

    /// What the loader does with readable packages.
    fn import(ledger: &mut StreamLedger, envelope: &Envelope) -> Arrival {
        let arrival = ledger.assess(envelope, NOW);
        match arrival {
            Arrival::Duplicate => ledger.count_duplicate(),
            Arrival::Newest => ledger.settle(envelope, FinalState::Imported),
            Arrival::Older => ledger.settle(envelope, FinalState::Stale),
            Arrival::Expired => ledger.settle(envelope, FinalState::Expired),
            Arrival::SequenceReused => ledger.settle(envelope, FinalState::Quarantined),
        }
        arrival
    }

    #[test]
    fn a_package_is_settled_once_however_often_it_comes() {
        let mut ledger = StreamLedger::default();
        assert_eq!(import(&mut ledger, &package(1, 1, 0)), Arrival::Newest);
        assert_eq!(import(&mut ledger, &package(1, 1, 0)), Arrival::Duplicate);
        assert_eq!(ledger.counts(), Counts { imported: 1, duplicate_deliveries: 1, ..Counts::default() });
    }

    #[test]
    fn a_gap_is_known_and_closes_when_the_late_one_comes() {
        let mut ledger = StreamLedger::default();
        import(&mut ledger, &package(1, 3, 30));
        assert_eq!(ledger.gaps(), 2);
        assert_eq!(import(&mut ledger, &package(1, 1, 10)), Arrival::Older);
        assert_eq!(ledger.gaps(), 1);
        assert_eq!(import(&mut ledger, &package(1, 2, 20)), Arrival::Older);
        assert_eq!((ledger.gaps(), ledger.newest().unwrap().sequence.unwrap().number), (0, 3));
    }

    #[test]
    fn a_new_epoch_is_newer_although_it_counts_from_one_and_an_old_one_stays_old() {
        let mut ledger = StreamLedger::default();
        import(&mut ledger, &package(9, 50, -500));
        assert_eq!(import(&mut ledger, &package(4, 1, -400)), Arrival::Newest);
        assert_eq!(import(&mut ledger, &package(9, 51, -450)), Arrival::Older);
        let mut late = StreamLedger::default();
        import(&mut late, &package(4, 1, -400));
        assert_eq!(import(&mut late, &package(9, 50, -500)), Arrival::Older, "the epoch before, delivered later");
    }

    #[test]
    fn an_agent_that_begins_a_new_epoch_before_its_clock_is_set_is_not_locked_out() {
        let mut ledger = StreamLedger::default();
        let at = |first: i64, envelope: Envelope| Envelope { first_received: NOW.plus_ms(first), ..envelope };
        assert_eq!(import(&mut ledger, &at(0, package(11, 9, -10))), Arrival::Newest);
        let reset = Envelope { collected_at: Some(NOW.plus_ms(-10 * 365 * DAY_MS)), ..package(12, 1, 0) };
        assert_eq!(import(&mut ledger, &at(50, reset)), Arrival::Newest, "it is the later word of this machine");
        for number in 2..5 {
            assert_eq!(import(&mut ledger, &at(50 + number as i64, package(12, number, 60))), Arrival::Newest);
        }
        assert_eq!(import(&mut ledger, &at(60, package(11, 10, 70))), Arrival::Older, "the epoch before");
    }

    #[test]
    fn numbers_at_the_end_of_their_range_neither_wrap_nor_panic() {
        let mut ledger = StreamLedger::default();
        import(&mut ledger, &package(1, u64::MAX, 0));
        import(&mut ledger, &package(2, u64::MAX, 1));
        import(&mut ledger, &package(2, u64::MAX - 1, 1));
        assert_eq!(ledger.gaps(), u64::MAX);
    }

    #[test]
    fn a_package_expires_only_when_two_clocks_say_that_it_is_old() {
        let held = |first: i64, collected: Option<i64>| Envelope {
            first_received: NOW.plus_ms(first * DAY_MS),
            collected_at: collected.map(|days| NOW.plus_ms(days * DAY_MS)),
            ..package(1, 1, 0)
        };
        for (envelope, expired) in [
            (held(-31, Some(-31)), true),
            (held(-31, None), true),
            (held(-40, Some(0)), false),
            (held(0, Some(-40)), false),
            (held(-20_000, None), false),
        ] {
            assert_eq!(has_expired(&envelope, NOW), expired, "{envelope:?}");
        }
    }

    #[test]
    fn a_number_used_twice_is_no_duplicate() {
        let mut ledger = StreamLedger::default();
        import(&mut ledger, &package(1, 1, 0));
        let clone = Envelope { digest: Digest::of(b"of the clone"), ..package(1, 1, 0) };
        assert_eq!(ledger.assess(&clone, NOW), Arrival::SequenceReused);
        // Up to sixteen numbers back, and not for a number that was passed over.
        for number in [2, 3, 19] {
            import(&mut ledger, &package(1, number, 0));
        }
        let other = |number| Envelope { digest: Digest::of(b"other"), ..package(1, number, 0) };
        assert_eq!(ledger.assess(&other(3), NOW), Arrival::Duplicate, "too long ago to tell");
        assert_eq!(ledger.assess(&other(4), NOW), Arrival::Older);
        assert_eq!(ledger.assess(&other(18), NOW), Arrival::Older, "3 had its place and is not it");
        assert_eq!(ledger.assess(&other(19), NOW), Arrival::SequenceReused);
    }

    #[test]
    fn a_ledger_of_an_earlier_version_reads() {
        let epoch = (7u64, NOW, NOW, vec![(1u64, 3u64)]);
        let sequence = Sequence { epoch: 7, number: 3 };
        let newest = Newest { sequence: Some(sequence), effective: NOW, digest: Digest::of(b"3") };
        let digests = BTreeMap::<Digest, Timestamp>::new();
        let counts = Counts { imported: 3, ..Counts::default() };
        let earlier = stored::pack(&(vec![epoch], Some(newest), digests, vec![(sequence, newest.digest)], counts));
        let ledger: StreamLedger = stored::unpack(&earlier).unwrap();
        assert_eq!((ledger.counts(), ledger.newest(), ledger.unsettled(7, 1, 4)), (counts, Some(newest), vec![(4, 4)]));
        assert_eq!(ledger.assess(&package(7, 3, 0), NOW), Arrival::Duplicate);
        assert_eq!(stored::unpack::<StreamLedger>(&stored::pack(&ledger)).unwrap(), ledger);
    }

    #[test]
    fn without_sequences_the_date_decides_and_the_digest_is_remembered() {
        let mut ledger = StreamLedger::default();
        let (old, new) = (package(1, 0, -200), Envelope { digest: Digest::of(b"new"), ..package(1, 0, -100) });
        assert_eq!(import(&mut ledger, &new), Arrival::Newest);
        assert_eq!(import(&mut ledger, &old), Arrival::Older);
        assert_eq!(import(&mut ledger, &old), Arrival::Duplicate);
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_lock_out_the_future() {
        let first = NOW;
        assert_eq!(effective_date(Some(first.plus_ms(DAY_MS)), first), (first, Some(ClockFlag::ClockAhead)));
        assert_eq!(effective_date(Some(first.plus_ms(MINUTE_MS)), first), (first, None));
        assert_eq!(effective_date(Some(first.plus_ms(-5)), first), (first.plus_ms(-5), None));
        assert_eq!(effective_date(Some(Timestamp(5)), first), (first, Some(ClockFlag::ClockBad)));
        assert_eq!(effective_date(None, first), (first, Some(ClockFlag::ClockBad)));
    }

    #[test]
    fn a_package_older_than_its_lifetime_expires_unless_it_was_settled() {
        let mut ledger = StreamLedger::default();
        let envelope = package(1, 1, 0);
        let late = NOW.plus_ms(PACKAGE_LIFETIME_MS + 1);
        assert_eq!(ledger.assess(&envelope, late), Arrival::Expired);
        import(&mut ledger, &envelope);
        assert_eq!(ledger.assess(&envelope, late), Arrival::Duplicate);
    }

    #[test]
    fn a_hostile_sequence_takes_bounded_memory() {
        let mut ledger = StreamLedger::default();
        for number in 1..=RANGES_MAX as u64 * 3 {
            import(&mut ledger, &package(1, number * 2, 0));
        }
        for epoch in 0..EPOCHS_MAX as u64 * 3 {
            import(&mut ledger, &package(epoch, u64::MAX, 0));
        }
        assert!(ledger.epochs.len() <= EPOCHS_MAX);
        assert!(ledger.epochs.iter().all(|epoch| epoch.settled.len() <= RANGES_MAX));
    }

    proptest! {
        /// I8: the newest wins in any order of arrival, and every key is settled once.
        #[test]
        fn the_order_of_arrival_does_not_matter(order in Just((0..12u64).collect::<Vec<_>>()).prop_shuffle()) {
            let of = |at: u64| if at < 5 { (7, at + 1) } else { (3, at - 4) };
            let sent: Vec<Envelope> = (0..12).map(|at| package(of(at).0, of(at).1, at as i64 - 100)).collect();
            let mut ledger = StreamLedger::default();
            for &at in order.iter().chain(&order) {
                import(&mut ledger, &sent[at as usize]);
            }
            prop_assert_eq!(ledger.newest().unwrap().digest, sent[11].digest);
            prop_assert_eq!(ledger.counts().settled(), 12);
            prop_assert_eq!(ledger.counts().duplicate_deliveries, 12);
            prop_assert_eq!(ledger.gaps(), 0);
        }

        #[test]
        fn settled_ranges_are_the_set_of_what_was_settled(numbers in prop::collection::vec(1u64..60, 0..80)) {
            let mut epoch = Epoch { epoch: 1, since: NOW, latest: NOW, settled: Few::default(), recent: Recent::default() };
            numbers.iter().for_each(|&number| epoch.settle(number));
            for number in 0..70 {
                prop_assert_eq!(epoch.holds(number), numbers.contains(&number), "{}", number);
            }
            prop_assert!(epoch.settled.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
