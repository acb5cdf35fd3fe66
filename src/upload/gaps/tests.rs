use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::reports::REPORTS_BYTES_MAX;
use super::*;
use crate::formats::marks::{Mark, Told, marks_text, read_marks};
use crate::id::{Digest, Guid};
use crate::model::package::{Envelope, Kind, Origin, Sequence, Stream};
use crate::model::settlement::FinalState;
use crate::time::{DAY_MS, HOUR_MS, Timestamp};
use crate::upload::ledger::{Arrival, StreamLedger};

const NOW: Timestamp = Timestamp(1_750_000_000_000);
const LIMIT: i64 = DAY_MS;
const USAGE: &str = "UsageData/root/";
const STOCK: &str = "Inventories/root/Full";

fn guid(n: u8) -> Guid {
    Guid::from_random([n; 16])
}

fn told(published: &str, acked: &str) -> Told {
    Told { published: published.into(), acked: acked.into(), ..Told::default() }
}

fn mark(stream: &str, epoch: u64, first: u64, last: u64) -> Mark {
    Mark { stream: stream.into(), epoch, first, last }
}

fn package(stream: &str, epoch: u64, number: u64, at: Timestamp) -> Envelope {
    Envelope {
        origin: Origin("o".into()),
        kind: stream.split('/').next().unwrap().parse().unwrap(),
        stream: Some(Stream(stream.into())),
        file_name: "x".into(),
        size: 1,
        digest: Digest::of(format!("{stream}/{epoch}/{number}").as_bytes()),
        sequence: Some(Sequence { epoch, number }),
        collected_at: Some(at),
        first_received: at,
        unproven: true,
        hops: vec![],
    }
}

/// A server with one origin.
#[derive(Default)]
struct Books {
    ledgers: BTreeMap<Stream, StreamLedger>,
    gaps: OriginGaps,
    held: BTreeSet<(Stream, Sequence)>,
}

impl Books {
    fn settle(&mut self, envelope: &Envelope) {
        let stream = envelope.stream.clone().unwrap();
        self.held.remove(&(stream.clone(), envelope.sequence.unwrap()));
        let ledger = self.ledgers.entry(stream).or_default();
        match ledger.assess(envelope, envelope.first_received) {
            Arrival::Newest => ledger.settle(envelope, FinalState::Imported),
            Arrival::Older if envelope.kind == Kind::Inventories => ledger.settle(envelope, FinalState::Stale),
            Arrival::Older => ledger.settle(envelope, FinalState::Imported),
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, acked: &[Mark], now: Timestamp) {
        self.gaps.note(acked, guid(9), &self.ledgers, now);
    }

    fn look(&mut self, now: Timestamp) -> Vec<Gap> {
        self.gaps.close(&self.ledgers, now);
        self.gaps.call_missing(&self.held, now, LIMIT)
    }

    fn missing(&self) -> Vec<Mark> {
        self.gaps.missing().map(Gap::mark).collect()
    }
}

#[test]
fn what_a_dead_beacon_took_is_missing_after_the_limit_told_once_and_closed_when_it_comes() {
    let mut books = Books::default();
    books.report(&[mark(USAGE, 1, 1, 3), mark(STOCK, 1, 1, 1)], NOW);
    books.settle(&package(USAGE, 1, 2, NOW));
    assert!(books.look(NOW.plus_ms(LIMIT - 1)).is_empty());
    let called = books.look(NOW.plus_ms(LIMIT));
    assert!(called.iter().all(|gap| gap.beacon == guid(9)));
    assert_eq!(books.missing(), [mark(USAGE, 1, 1, 1), mark(USAGE, 1, 3, 3), mark(STOCK, 1, 1, 1)]);
    // The agent tells again at each question: the alarm is not repeated.
    books.report(&[mark(USAGE, 1, 1, 3), mark(STOCK, 1, 1, 1)], NOW.plus_ms(LIMIT + 1));
    assert!(books.look(NOW.plus_ms(3 * LIMIT)).is_empty());
    let later = NOW.plus_ms(LIMIT + 2);
    books.settle(&package(USAGE, 1, 3, later));
    books.settle(&package(STOCK, 1, 2, later));
    books.look(later);
    assert_eq!(books.missing(), [mark(USAGE, 1, 1, 1)]);
}

#[test]
fn what_waits_in_the_inbox_is_not_missing() {
    let mut books = Books::default();
    books.report(&[mark(USAGE, 1, 1, 3)], NOW);
    books.held.insert((Stream(USAGE.into()), Sequence { epoch: 1, number: 2 }));
    assert_eq!(books.look(NOW.plus_ms(LIMIT)).len(), 2);
    assert_eq!(books.missing(), [mark(USAGE, 1, 1, 1), mark(USAGE, 1, 3, 3)]);
    books.held.clear();
    assert_eq!(books.look(NOW.plus_ms(LIMIT + 1)).len(), 1);
}

#[test]
fn a_daily_report_does_not_put_off_the_alarm_of_the_day_before() {
    let mut books = Books::default();
    for day in 1..=3 {
        books.report(&[mark(STOCK, 1, day, day)], NOW.plus_ms(day as i64 * 20 * HOUR_MS));
    }
    books.look(NOW.plus_ms((20 + 24) * HOUR_MS));
    assert_eq!(books.missing(), [mark(STOCK, 1, 1, 1)]);
}

#[test]
fn a_new_epoch_makes_up_for_the_old_one_only_by_what_is_settled_of_it() {
    let mut books = Books::default();
    books.report(&[mark(STOCK, 1, 5, 5), mark(USAGE, 1, 5, 5)], NOW);
    // The agent has lost its state: it tells of a new epoch, and nothing of the old one.
    books.report(&[mark(STOCK, 2, 1, 1)], NOW.plus_ms(HOUR_MS));
    books.look(NOW.plus_ms(2 * LIMIT));
    assert_eq!(books.missing().len(), 3);
    books.settle(&package(STOCK, 2, 1, NOW.plus_ms(2 * LIMIT)));
    books.look(NOW.plus_ms(2 * LIMIT));
    assert_eq!(books.missing(), [mark(USAGE, 1, 5, 5)], "an inventory makes up for no usage");
    // One of an epoch that was there before the lost one was taken makes up for nothing.
    let mut books = Books::default();
    books.settle(&package(STOCK, 7, 1, NOW.plus_ms(-HOUR_MS)));
    books.report(&[mark(STOCK, 8, 1, 1)], NOW);
    books.look(NOW.plus_ms(LIMIT));
    assert_eq!(books.missing(), [mark(STOCK, 8, 1, 1)]);
}

#[test]
fn a_gap_is_given_up_when_no_copy_can_live_any_more_and_a_clock_that_was_ahead_does_not_keep_it() {
    let mut books = Books::default();
    books.report(&[mark(USAGE, 1, 1, 4)], NOW.plus_ms(400 * DAY_MS));
    assert_eq!(books.gaps.close(&books.ledgers, NOW), 0);
    books.look(NOW.plus_ms(LIMIT));
    assert_eq!(books.missing(), [mark(USAGE, 1, 1, 4)]);
    assert_eq!(books.gaps.close(&books.ledgers, NOW.plus_ms(GIVEN_UP_MS + 1)), 4);
    assert!(books.gaps.is_empty());
}

#[test]
fn a_hostile_report_stays_small() {
    let mut books = Books::default();
    for round in 0..100 {
        let marks: Vec<Mark> = (1..=64).map(|n| mark(USAGE, round, n * 2, n * 2)).collect();
        books.report(&marks, NOW);
    }
    books.report(&[mark(USAGE, 0, 1, u64::MAX)], NOW);
    assert!(books.gaps.iter().count() <= 64);
    for number in 1..200 {
        books.held.insert((Stream(USAGE.into()), Sequence { epoch: 0, number }));
    }
    books.look(NOW.plus_ms(LIMIT));
    assert!(books.gaps.iter().count() <= 64);
}

#[test]
fn a_report_is_kept_to_what_its_agent_published() {
    let (report, bad) = GapReport::heard(
        guid(1),
        guid(2),
        &told("UsageData/root/=1:5,x", "UsageData/root/=1:2-5,UsageData/root/=1:5-6,UsageData/root/=7:9,="),
    );
    let report = report.unwrap();
    assert_eq!((report.acked(), bad), (vec![mark(USAGE, 1, 2, 5), mark(USAGE, 7, 9, 9)], 3));
    assert_eq!(report.passed_on(), (Some(report), 0));
    assert_eq!(GapReport::heard(guid(1), guid(2), &told("UsageData/root/=1:5", "")), (None, 0));
}

fn report(agent: u64, acked: &str) -> GapReport {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&agent.to_be_bytes());
    GapReport::heard(Guid::from_random(bytes), guid(2), &told("", acked)).0.unwrap()
}

#[test]
fn a_report_waits_until_the_parent_has_it_and_only_the_newest_of_each_agent() {
    let mut reports = GapReports::default();
    for acked in ["UsageData/a/=1:1", "UsageData/a/=1:2"] {
        reports.take(report(1, acked));
        reports.take(report(2, acked));
    }
    let (numbers, page) = reports.page(1);
    assert_eq!((page.len(), page[0].clone()), (1, report(1, "UsageData/a/=1:2")));
    // What its agent tells while the page is under way is not lost with it.
    reports.take(report(1, "UsageData/a/=1:3"));
    reports.passed(&numbers);
    let (numbers, page) = reports.page(1 << 20);
    assert_eq!(page, [report(2, "UsageData/a/=1:2"), report(1, "UsageData/a/=1:3")]);
    reports.passed(&numbers);
    assert!(reports.is_empty());
}

#[test]
fn strangers_cannot_fill_the_memory() {
    let mut reports = GapReports::default();
    for agent in 0..REPORTS_MAX as u64 + 10 {
        reports.take(report(agent, "UsageData/a/=1:1"));
    }
    assert_eq!((reports.len(), reports.page(1).1), (REPORTS_MAX, vec![report(10, "UsageData/a/=1:1")]));
}

#[test]
fn a_list_reads_back_and_an_equal_one_has_the_same_tag() {
    let mut list = Resends::default();
    assert!(list.add(guid(1), &[mark(USAGE, 1, 2, 3), mark(STOCK, 1, 1, 1)]));
    assert!(list.add(guid(2), &[]), "nothing is nothing");
    let json = list.write();
    let read = Resends::read(&json).unwrap();
    assert_eq!((read.of(guid(1)), read.of(guid(2)), read.len()), (list.of(guid(1)), None, 1));
    assert_eq!(read_marks(read.of(guid(1)).unwrap()).0, [mark(USAGE, 1, 2, 3), mark(STOCK, 1, 1, 1)]);
    assert_eq!(Resends::etag(&read.write()), Resends::etag(&json));
    assert_ne!(Resends::etag(&Resends::default().write()), Resends::etag(&json));
}

#[test]
fn a_parents_list_is_bounded_and_what_does_not_read_of_it_is_left_out() {
    let odd = format!("{{\"agents\":{{\"{}\":\"\\n,UsageData/root/=1:1\",\"{}\":\"x\"}}}}", guid(1), guid(2));
    let read = Resends::read(odd.as_bytes()).unwrap();
    assert_eq!((read.of(guid(1)), read.of(guid(2))), (Some("UsageData/root/=1:1"), None));
    for bad in [&b""[..], b"[]", b"{", b"{\"agents\":{\"x\":\"\"}}", &vec![b' '; RESENDS_BYTES_MAX + 1]] {
        Resends::read(bad).unwrap_err();
    }
    let long: Vec<Mark> = (0..64).map(|n| mark(&format!("UsageData/{}{n}/", "x".repeat(50)), 1, 1, 1)).collect();
    let mut list = Resends::default();
    let full = (0..).find(|n: &u64| !list.add(report(*n, "UsageData/a/=1:1").agent, &long)).unwrap();
    assert!(list.write().len() <= RESENDS_BYTES_MAX && full > 1_000);
}

/// What becomes of one acknowledged package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Lost with a beacon.
    Lost,
    /// Settled so many hours after it was acknowledged.
    Settled(i64),
    /// In the inbox from then on, and never settled.
    Held(i64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![Just(Fate::Lost), (0i64..60).prop_map(Fate::Settled), (0i64..60).prop_map(Fate::Held)]
}

proptest! {
    /// A stream of packages, one an hour, each acknowledged at once, with a policy question every few hours and a look
    /// every hour: nothing that is settled, made up for, or in custody is ever missing, everything lost is in the end,
    /// and once it was sent again nothing is left.
    #[test]
    fn everything_lost_is_missing_after_the_limit_and_nothing_else_ever(
        fates in prop::collection::vec(fate(), 1..40),
        asks_every in 1i64..13,
        is_usage in any::<bool>(),
    ) {
        let stream = if is_usage { USAGE } else { STOCK };
        let mut books = Books::default();
        let count = fates.len() as i64;
        let envelope = |number: i64| package(stream, 1, number as u64, NOW.plus_ms(number * HOUR_MS));
        let end = count + 60 + 13 + 25;
        for hour in 1..=end {
            let now = NOW.plus_ms(hour * HOUR_MS);
            for number in 1..=hour.min(count) {
                match fates[number as usize - 1] {
                    Fate::Settled(after) if number + after == hour => books.settle(&envelope(number)),
                    Fate::Held(after) if number + after == hour => {
                        books.held.insert((Stream(stream.into()), Sequence { epoch: 1, number: number as u64 }));
                    }
                    _ => {}
                }
            }
            if hour % asks_every == 0 {
                let acked = hour.min(count) as u64;
                // A stock tells the last one only: that is all it could make good.
                books.report(&[mark(stream, 1, if is_usage { 1 } else { acked }, acked)], now);
            }
            books.look(now);
            for gap in books.gaps.missing() {
                for number in gap.first..=gap.last {
                    let age = hour - number as i64;
                    match fates[number as usize - 1] {
                        Fate::Lost => {}
                        Fate::Settled(after) | Fate::Held(after) => prop_assert!(age < after, "{number} at {hour}"),
                    }
                    let is_made_up_for = !is_usage && (number as usize..fates.len())
                        .any(|later| matches!(fates[later], Fate::Settled(after) if later as i64 + 1 + after <= hour));
                    prop_assert!(!is_made_up_for, "{number} at {hour}");
                }
            }
        }
        let lost: BTreeSet<u64> = (1..=count as u64).filter(|n| fates[*n as usize - 1] == Fate::Lost).collect();
        let missing: BTreeSet<u64> = books.gaps.missing().flat_map(|gap| gap.first..=gap.last).collect();
        match is_usage {
            true => prop_assert_eq!(&missing, &lost),
            // The last one was told of at the end at the latest.
            false => prop_assert!(!lost.contains(&(count as u64)) || missing.contains(&(count as u64))),
        }
        let sent_again = if is_usage { missing } else { BTreeSet::from([count as u64 + 1]) };
        sent_again.into_iter().for_each(|number| books.settle(&envelope(number as i64)));
        books.look(NOW.plus_ms(end * HOUR_MS));
        prop_assert_eq!(books.missing(), vec![]);
    }
}

#[test]
fn reports_that_wait_take_a_bounded_room_and_the_newest_stay() {
    let mut reports = GapReports::default();
    let long = "x".repeat(200);
    let acked = marks_text(&(1..16).map(|n| mark(&format!("UsageData/{long}/"), n, 1, 1)).collect::<Vec<_>>());
    for agent in 0..20_000 {
        reports.take(report(agent, &acked));
    }
    let bytes = |page: &[GapReport]| page.iter().map(|report| report.acked.len()).sum::<usize>();
    let (numbers, page) = reports.page(usize::MAX);
    assert!(bytes(&page) < REPORTS_BYTES_MAX && bytes(&page) > REPORTS_BYTES_MAX / 2, "{}", page.len());
    assert_eq!(page.last().unwrap(), &report(19_999, &acked));
    reports.passed(&numbers);
    reports.take(report(1, &acked));
    assert_eq!(reports.page(usize::MAX).1.len(), 1);
}
