//! What is staged of the usage that one agent reported: its periods, each once.
//!
//! A period is named by its GUID: the same GUID again replaces, it never adds. Sessions and the weekly summary tell of
//! the same samples, so the summary of a week takes the place of the sessions of its user that began in that week. The
//! result does not depend on the order in which the reports arrive.
//!
//! What a wrong clock dated is kept as well: a period that would begin after it was reported, or before the year 2000,
//! counts from when it was reported, which is never later than its first custody. What its agent called it is
//! remembered, so that the summary of such a week still takes the place of its own sessions, and of no others: when the
//! week comes that the clock ran ahead to, nothing of it is covered.
//!
//! Source: agent-beacon-batch reference, section 5.2 (GUID); 13 weeks, a quarter, is a choice of this project.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::usage::{Application, Usage, WEEK_MS, week_of};
use crate::formats::mmi::{self, PeriodType};
use crate::id::Guid;
use crate::time::Timestamp;

/// How long a period is kept, from its start.
pub const KEPT_MS: i64 = 13 * WEEK_MS;
/// Periods of one agent at most. Beyond it the oldest goes.
pub const PERIODS_MAX: usize = 4_096;
/// Rows of all periods of one agent at most. Beyond it the oldest period goes.
pub const ROWS_MAX: usize = 40_000;
/// Bytes of all periods of one agent at most, so that they fit a commit. Beyond it the oldest period goes.
pub const BYTES_MAX: usize = 8 << 20;
/// Bytes that a row or a period takes beside its texts, at most.
const OVERHEAD_BYTES: usize = 64;
/// 2000-01-01: no period that was metered began before it.
const CLOCK_BAD_BEFORE: Timestamp = Timestamp(946_684_800_000);

/// One user in one period, as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsagePeriod {
    /// When the package that brought it was collected. Of two of one GUID the later one counts.
    pub reported: Timestamp,
    /// The account.
    pub user: Box<str>,
    /// Its domain.
    pub domain: Box<str>,
    /// How long the period is.
    pub kind: PeriodType,
    /// When it began, never later than it was reported.
    pub start: Timestamp,
    /// Ascending, each application once.
    rows: Vec<(Application, Usage)>,
    /// When it began by a clock that was wrong; `None` when that can be believed.
    #[serde(default)]
    misdated: Option<Timestamp>,
}

impl UsagePeriod {
    /// The period as a usage file tells it that was collected at `reported`. Rows of one application are summed.
    pub fn new(period: &mmi::Period, reported: Timestamp) -> UsagePeriod {
        let mut rows = BTreeMap::<Application, Usage>::new();
        for row in &period.applications {
            let application = Application {
                name: row.name.as_str().into(),
                version: row.version.as_str().into(),
                publisher: row.file_company.as_str().into(),
                file_name: row.file_name.as_str().into(),
                product: row.file_product_name.as_str().into(),
                evidence: row.evidence.as_str().into(),
            };
            let usage = Usage {
                runs: row.runs.into(),
                run_secs: row.run_secs.into(),
                active_secs: row.active_secs.min(row.run_secs).into(),
                // Nothing was used after it was reported.
                last_used: row.last_used.map(|at| at.min(reported)),
            };
            let sum = rows.entry(application.bounded()).or_default();
            *sum = sum.plus(usage);
        }
        let mut bytes = 0;
        let fits = |row: &(Application, Usage)| {
            bytes += row_bytes(row);
            bytes <= BYTES_MAX / 2
        };
        let rows = rows.into_iter().take(ROWS_MAX).take_while(fits).collect();
        let (user, domain) = (period.user.as_str().into(), period.domain.as_str().into());
        let misdated = Some(period.start).filter(|start| *start > reported || *start < CLOCK_BAD_BEFORE);
        let start = if misdated.is_some() { reported } else { period.start };
        UsagePeriod { reported, user, domain, kind: period.kind, start, rows, misdated }
    }

    /// Whether a wrong clock dated it.
    pub fn is_misdated(&self) -> bool {
        self.misdated.is_some()
    }

    /// What was used, ascending by application.
    pub fn rows(&self) -> &[(Application, Usage)] {
        &self.rows
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.user.len() + self.domain.len() + self.rows.iter().map(row_bytes).sum::<usize>()
    }

    /// Whether `session` tells nothing that this does not.
    fn covers(&self, session: &UsagePeriod) -> bool {
        (self.kind, session.kind) == (PeriodType::WeeklySummary, PeriodType::Session)
            && (&self.user, &self.domain) == (&session.user, &session.domain)
            && self.week() == session.week()
            // A summary begins days before it is reported, so it may seem well dated where its sessions do not.
            && (session.is_misdated() || !self.is_misdated())
    }

    /// The week that it is of, as its agent has it.
    fn week(&self) -> Timestamp {
        week_of(self.misdated.unwrap_or(self.start))
    }
}

fn row_bytes((application, _): &(Application, Usage)) -> usize {
    let Application { name, version, publisher, file_name, product, evidence } = application;
    let texts = [name, version, publisher, file_name, product, evidence];
    OVERHEAD_BYTES + texts.map(|text| text.len()).iter().sum::<usize>()
}

/// What became of a period that was staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is the first of its GUID.
    Taken,
    /// It took the place of what was told before under its GUID.
    Replaced,
    /// What is there was reported later, or is the same.
    Older,
    /// A session of a week that is summed up already.
    Covered,
    /// It began longer ago than is kept.
    Expired,
}

/// What became of the periods of a usage file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlacedFile {
    /// Those that have a place now.
    pub placed: usize,
    /// Those of them that a wrong clock dated: they count from when they were reported.
    pub misdated: usize,
}

/// All periods of one agent record that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UsagePeriods(BTreeMap<Guid, UsagePeriod>);

impl UsagePeriods {
    /// Puts `period` in the place of its GUID. `now` is when it is staged.
    pub fn stage(&mut self, guid: Guid, period: UsagePeriod, now: Timestamp) -> Placed {
        self.expire(now);
        let placed = self.place(guid, period, now);
        self.hold_to_bounds();
        placed
    }

    /// Stages the periods of one usage file that was collected at `reported`.
    ///
    /// Of more than [`PERIODS_MAX`] only the latest are looked at, so that no file costs more than that squared.
    pub fn stage_file(&mut self, file: &[mmi::Period], reported: Timestamp, now: Timestamp) -> PlacedFile {
        let mut latest: Vec<&mmi::Period> = file.iter().collect();
        latest.sort_by_key(|period| Reverse((period.start, period.guid)));
        latest.truncate(PERIODS_MAX);
        self.expire(now);
        let mut all = PlacedFile::default();
        for told in latest {
            let period = UsagePeriod::new(told, reported);
            let is_misdated = period.is_misdated();
            if matches!(self.place(told.guid, period, now), Placed::Taken | Placed::Replaced) {
                all.placed += 1;
                all.misdated += usize::from(is_misdated);
            }
        }
        self.hold_to_bounds();
        all
    }

    fn place(&mut self, guid: Guid, period: UsagePeriod, now: Timestamp) -> Placed {
        if is_expired(&period, now) {
            return Placed::Expired;
        }
        if self.0.values().any(|known| known.covers(&period)) {
            return Placed::Covered;
        }
        let placed = match self.0.get(&guid) {
            // By content last, so that two of one moment have one answer.
            Some(known) if *known >= period => return Placed::Older,
            Some(_) => Placed::Replaced,
            None => Placed::Taken,
        };
        self.0.retain(|_, known| !period.covers(known));
        self.0.insert(guid, period);
        placed
    }

    /// Lets go what began longer ago than is kept.
    pub fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, period| !is_expired(period, now));
    }

    /// What is kept, ascending by GUID.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Guid, &UsagePeriod)> {
        self.0.iter().map(|(guid, period)| (*guid, period))
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn hold_to_bounds(&mut self) {
        let mut rows: usize = self.0.values().map(|period| period.rows.len()).sum();
        let mut bytes: usize = self.0.values().map(UsagePeriod::bytes).sum();
        while self.0.len() > PERIODS_MAX || rows > ROWS_MAX || bytes > BYTES_MAX {
            let oldest = self.0.iter().min_by_key(|(guid, period)| (period.start, **guid)).map(|(guid, _)| *guid);
            let Some(gone) = oldest.and_then(|oldest| self.0.remove(&oldest)) else { return };
            rows -= gone.rows.len();
            bytes -= gone.bytes();
        }
    }
}

fn is_expired(period: &UsagePeriod, now: Timestamp) -> bool {
    now.ms_since(period.start) >= KEPT_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mmi::AppUsage;
    use crate::model::stored;
    use crate::time::{DAY_MS, HOUR_MS};
    use proptest::prelude::*;

    fn monday() -> Timestamp {
        Timestamp::from_stamp("20250310T000000").unwrap()
    }

    fn guid(n: u8) -> Guid {
        Guid::from_random([n; 16])
    }

    fn period(user: &str, kind: PeriodType, start: Timestamp, runs: u32) -> UsagePeriod {
        let row = AppUsage { name: "draw".into(), runs, run_secs: 60 * runs, ..AppUsage::default() };
        let file = mmi::Period {
            user: user.into(),
            domain: "lab".into(),
            kind,
            start,
            guid: guid(0),
            applications: vec![row],
        };
        UsagePeriod::new(&file, start.plus_ms(8 * HOUR_MS))
    }

    fn session(user: &str, hours: i64, runs: u32) -> UsagePeriod {
        period(user, PeriodType::Session, monday().plus_ms(hours * HOUR_MS), runs)
    }

    fn week(user: &str, weeks: i64, runs: u32) -> UsagePeriod {
        period(user, PeriodType::WeeklySummary, monday().plus_ms(weeks * WEEK_MS), runs)
    }

    fn runs(staged: &UsagePeriods) -> Vec<u64> {
        staged.iter().map(|(_, period)| period.rows()[0].1.runs).collect()
    }

    #[test]
    fn the_same_guid_again_replaces_and_an_older_report_does_not() {
        let mut staged = UsagePeriods::default();
        let now = monday().plus_ms(DAY_MS);
        let mut later = session("kim", 0, 5);
        later.reported = later.reported.plus_ms(1);
        assert_eq!(staged.stage(guid(1), session("kim", 0, 9), now), Placed::Taken);
        assert_eq!(staged.stage(guid(1), later.clone(), now), Placed::Replaced);
        assert_eq!(staged.stage(guid(1), later, now), Placed::Older);
        assert_eq!(staged.stage(guid(1), session("kim", 0, 99), now), Placed::Older);
        assert_eq!(runs(&staged), [5]);
    }

    #[test]
    fn the_summary_of_a_week_takes_the_place_of_its_users_sessions_of_that_week() {
        let mut staged = UsagePeriods::default();
        let now = monday().plus_ms(8 * DAY_MS);
        for (n, period) in [session("kim", 0, 1), session("kim", 167, 2), session("kim", 168, 3), session("lee", 0, 4)]
            .into_iter()
            .enumerate()
        {
            assert_eq!(staged.stage(guid(n as u8), period, now), Placed::Taken);
        }
        assert_eq!(staged.stage(guid(9), week("kim", 0, 7), now), Placed::Taken);
        assert_eq!(staged.stage(guid(10), session("kim", 8, 1), now), Placed::Covered);
        assert_eq!(runs(&staged), [3, 4, 7]);
    }

    #[test]
    fn thirteen_weeks_are_kept() {
        let mut staged = UsagePeriods::default();
        let now = monday();
        assert_eq!(staged.stage(guid(1), week("kim", -13, 1), now), Placed::Expired);
        assert_eq!(staged.stage(guid(2), week("kim", -12, 1), now), Placed::Taken);
        assert_eq!(staged.stage(guid(4), session("kim", 24, 1), now), Placed::Taken);
        staged.expire(now.plus_ms(WEEK_MS));
        assert_eq!(staged.iter().map(|(guid, _)| guid).collect::<Vec<_>>(), [guid(4)]);
        staged.expire(Timestamp::NEVER);
        assert!(staged.is_empty());
    }

    /// A period as the server makes it of a file: its start is what the agent's clock said, `reported` what is believed.
    fn told(kind: PeriodType, start: Timestamp, runs: u32, reported: Timestamp) -> UsagePeriod {
        let row = AppUsage { name: "draw".into(), runs, ..AppUsage::default() };
        let (user, domain) = ("kim".to_owned(), "lab".to_owned());
        UsagePeriod::new(&mmi::Period { user, domain, kind, start, guid: guid(0), applications: vec![row] }, reported)
    }

    #[test]
    fn what_a_wrong_clock_dated_counts_from_when_it_was_reported() {
        let now = monday().plus_ms(DAY_MS);
        let year_ahead = now.plus_ms(365 * DAY_MS);
        for start in [year_ahead, now.plus_ms(1), Timestamp::NEVER, Timestamp(0), Timestamp(i64::MIN)] {
            let mut staged = UsagePeriods::default();
            let period = told(PeriodType::Session, start, 3, now);
            assert!(period.is_misdated());
            assert_eq!(staged.stage(guid(1), period.clone(), now), Placed::Taken);
            assert_eq!(staged.stage(guid(1), period, now), Placed::Older, "twice is once");
            assert_eq!(staged.0[&guid(1)].start, now);
            staged.expire(now.plus_ms(KEPT_MS));
            assert!(staged.is_empty(), "it is kept as long as any other");
        }
        assert!(!told(PeriodType::Session, now, 3, now).is_misdated());
    }

    #[test]
    fn the_summary_of_a_misdated_week_covers_its_own_sessions_and_never_the_right_ones_of_that_week_or_of_now() {
        let now = monday().plus_ms(DAY_MS);
        for ahead in [2 * WEEK_MS, 52 * WEEK_MS] {
            let wrong = monday().plus_ms(ahead);
            let then = now.plus_ms(ahead);
            let all = [
                // While the clock was ahead.
                (guid(1), told(PeriodType::Session, wrong.plus_ms(HOUR_MS), 1, now)),
                (guid(2), told(PeriodType::WeeklySummary, wrong, 2, now)),
                // Of the true week, after the clock was set right.
                (guid(3), told(PeriodType::Session, monday(), 4, now)),
                // Of the week that the clock had run ahead to, when it comes.
                (guid(4), told(PeriodType::Session, wrong.plus_ms(HOUR_MS), 8, then)),
            ];
            for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]] {
                let mut staged = UsagePeriods::default();
                for (guid, period) in order.map(|at| all[at].clone()) {
                    staged.stage(guid, period, now);
                }
                assert_eq!(runs(&staged), [2, 4, 8], "{ahead} {order:?}");
            }
        }
    }

    #[test]
    fn a_summary_that_seems_well_dated_covers_its_sessions_that_do_not() {
        // Two days ahead: a session begins after its report, the week before it.
        let reported = monday().plus_ms(5 * DAY_MS);
        let session = told(PeriodType::Session, reported.plus_ms(DAY_MS), 1, reported);
        let week = told(PeriodType::WeeklySummary, monday(), 2, reported.plus_ms(HOUR_MS));
        assert_eq!((session.is_misdated(), week.is_misdated()), (true, false));
        let mut staged = UsagePeriods::default();
        staged.stage(guid(1), session, reported);
        staged.stage(guid(2), week, reported);
        assert_eq!(runs(&staged), [2]);
    }

    #[test]
    fn periods_that_an_older_version_staged_are_read() {
        let older = (
            monday().plus_ms(HOUR_MS),
            "kim",
            "lab",
            PeriodType::Session,
            monday(),
            vec![(
                Application { name: "draw".into(), ..Application::default() },
                Usage { runs: 3, ..Usage::default() },
            )],
        );
        let read: UsagePeriod = stored::unpack(&stored::pack(&older)).unwrap();
        assert_eq!((read.start, read.is_misdated(), read.rows()[0].1.runs), (monday(), false, 3));
    }

    #[test]
    fn rows_of_one_application_are_one_and_no_value_is_absurd() {
        let row = |runs, run_secs, active_secs| AppUsage {
            name: "draw".into(),
            runs,
            run_secs,
            active_secs,
            last_used: Some(Timestamp::NEVER),
            ..AppUsage::default()
        };
        let file = mmi::Period {
            user: "kim".into(),
            domain: String::new(),
            kind: PeriodType::Session,
            start: Timestamp(0),
            guid: guid(1),
            applications: vec![row(1, 60, 90), row(2, u32::MAX, 0)],
        };
        let period = UsagePeriod::new(&file, Timestamp(7));
        let [(application, usage)] = period.rows() else { panic!("{:?}", period.rows()) };
        assert_eq!(&*application.name, "draw");
        let secs = u64::from(u32::MAX) + 60;
        assert_eq!(*usage, Usage { runs: 3, run_secs: secs, active_secs: 60, last_used: Some(Timestamp(7)) });
    }

    #[test]
    fn a_sender_that_invents_periods_drives_out_its_own_oldest() {
        let mut staged = UsagePeriods::default();
        let wide = |start| {
            let mut period = session("kim", start, 0);
            let row = period.rows[0].clone();
            let named = |n| (Application { name: format!("{n:05}").into(), ..row.0.clone() }, row.1);
            period.rows = (0..ROWS_MAX / 4).map(named).collect();
            period
        };
        for n in 0..6 {
            staged.stage(guid(n), wide(i64::from(n)), monday().plus_ms(DAY_MS));
        }
        assert_eq!(staged.iter().map(|(guid, _)| guid).collect::<Vec<_>>(), [2, 3, 4, 5].map(guid));
        let mut staged = UsagePeriods::default();
        for n in 0..PERIODS_MAX as u32 + 10 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            let period = period("kim", PeriodType::Session, monday().plus_ms(n.into()), 1);
            // Straight into the map: staging looks at every period, which would make this test slow.
            staged.0.insert(Guid::from_random(bytes), period);
        }
        staged.hold_to_bounds();
        assert_eq!(staged.0.len(), PERIODS_MAX);
        assert!(staged.0.values().all(|period| period.start >= monday().plus_ms(10)));
    }

    #[test]
    fn whatever_a_sender_invents_fits_a_commit() {
        let text = "\u{10ffff}".repeat(256);
        let row = |n: usize| AppUsage { name: format!("{n}{text}"), file_name: text.clone(), ..AppUsage::default() };
        let file: Vec<mmi::Period> = (0..5)
            .map(|n| mmi::Period {
                user: "kim".into(),
                domain: String::new(),
                kind: PeriodType::Session,
                start: monday().plus_ms(i64::from(n) * HOUR_MS),
                guid: guid(n),
                applications: (0..1_500).map(row).collect(),
            })
            .collect();
        let mut staged = UsagePeriods::default();
        let now = monday().plus_ms(DAY_MS);
        assert_eq!(staged.stage_file(&file, now, now), PlacedFile { placed: 5, misdated: 0 });
        assert_eq!(staged.iter().map(|(guid, _)| guid).collect::<Vec<_>>(), [guid(3), guid(4)]);
        assert!((BYTES_MAX / 2..BYTES_MAX).contains(&stored::pack(&staged).len()));
        assert_eq!(staged.stage_file(&file[3..], now, now), PlacedFile::default(), "twice is once");
    }

    fn arbitrary() -> impl Strategy<Value = (Guid, UsagePeriod)> {
        (0u8..3, 0u32..3, 0i64..3, any::<bool>()).prop_map(|(user, runs, at, is_week)| {
            let name = ["kim", "lee", "max"][usize::from(user)];
            // As meters make it: the GUID follows from user, type and start.
            let guid = guid(100 * u8::from(is_week) + 10 * user + at as u8);
            (guid, if is_week { week(name, at, runs) } else { session(name, at * 84, runs) })
        })
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_and_repetition_do_not_show(
            (periods, shuffled) in proptest::collection::vec(arbitrary(), 0..20)
                .prop_flat_map(|list| (Just(list.clone()), Just([list.clone(), list].concat()).prop_shuffle())),
        ) {
            let now = monday().plus_ms(4 * WEEK_MS);
            let of = |list: Vec<(Guid, UsagePeriod)>| {
                let mut staged = UsagePeriods::default();
                for (guid, period) in list {
                    staged.stage(guid, period, now);
                }
                staged
            };
            let staged = of(periods);
            prop_assert_eq!(&staged, &of(shuffled));
            prop_assert_eq!(&stored::unpack::<UsagePeriods>(&stored::pack(&staged)).unwrap(), &staged);
        }
    }
}
