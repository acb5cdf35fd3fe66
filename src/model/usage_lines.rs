//! What a device page shows of usage: one line for each application, version and user, and whether it is installed.
//! A line is the sum over the programs of its application, which stand in it one by one: its runs are exactly theirs.
//!
//! Usage never makes an installation: the software may have been removed within the time that is metered. So a line is
//! shown as use of installed software only when a title of the same name and version was reported by an inventory; the
//! others stand apart.
//!
//! Source: operating document on normal operation, step 4; agent-beacon-batch reference, section 1.4.

use std::collections::{BTreeMap, BTreeSet};

use super::software::Title;
use super::usage::Usage;
use super::usage_periods::UsagePeriod;
use crate::time::Timestamp;

/// The use of one application by one user on one device, over all periods that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLine {
    /// Name of the application.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// The account.
    pub user: Box<str>,
    /// Its domain.
    pub domain: Box<str>,
    /// Sums over the periods and programs.
    pub usage: Usage,
    /// The same of each program, by the names of their files, ascending.
    pub programs: Vec<(Box<str>, Usage)>,
    /// When the earliest period began.
    pub from: Timestamp,
    /// When the latest one was reported.
    pub until: Timestamp,
}

/// The usage of one device. Both lists ascend by name, version, user, domain; no line is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceUsage {
    /// Use of installed titles.
    pub installed: Vec<UsageLine>,
    /// Use of what no inventory reports as installed. It counts for nothing.
    pub unmatched: Vec<UsageLine>,
}

impl DeviceUsage {
    /// Unites the periods of all agent records of a device; `titles` is what their inventories report as installed.
    ///
    /// Name and version have to be the same, byte by byte: both come from the same installation data.
    pub fn of<'a>(
        periods: impl IntoIterator<Item = &'a UsagePeriod>,
        titles: impl IntoIterator<Item = &'a Title>,
    ) -> DeviceUsage {
        let mut lines = BTreeMap::<[&str; 4], UsageLine>::new();
        for period in periods {
            for (application, usage) in period.rows() {
                let key: [&str; 4] = [&application.name, &application.version, &period.user, &period.domain];
                let line = lines.entry(key).or_insert_with(|| UsageLine {
                    name: application.name.clone(),
                    version: application.version.clone(),
                    user: period.user.clone(),
                    domain: period.domain.clone(),
                    usage: Usage::default(),
                    programs: Vec::new(),
                    from: period.start,
                    until: period.reported,
                });
                line.usage = line.usage.plus(*usage);
                match line.programs.binary_search_by_key(&&*application.file_name, |(name, _)| name) {
                    Ok(place) => line.programs[place].1 = line.programs[place].1.plus(*usage),
                    Err(place) => line.programs.insert(place, (application.file_name.clone(), *usage)),
                }
                line.from = line.from.min(period.start);
                line.until = line.until.max(period.reported);
            }
        }
        let installed: BTreeSet<(&str, &str)> =
            titles.into_iter().map(|title| (title.name(), title.version())).collect();
        let is_installed = |line: &UsageLine| installed.contains(&(&*line.name, &*line.version));
        let (installed, unmatched) = lines.into_values().partition(is_installed);
        DeviceUsage { installed, unmatched }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::mmi::{AppUsage, Period, PeriodType};
    use crate::id::Guid;

    /// Milliseconds after some moment.
    fn at(ms: i64) -> Timestamp {
        Timestamp(1_700_000_000_000).plus_ms(ms)
    }

    fn period(user: &str, start: i64, rows: &[(&str, &str, u32)]) -> UsagePeriod {
        let row = |&(name, version, runs): &(&str, &str, u32)| AppUsage {
            name: name.into(),
            version: version.into(),
            file_name: format!("file{}", runs % 3),
            runs,
            run_secs: 100 * runs,
            active_secs: 10 * runs,
            last_used: Some(at(start + 5)),
            ..AppUsage::default()
        };
        let file = Period {
            user: user.into(),
            domain: "lab".into(),
            kind: PeriodType::Session,
            start: at(start),
            guid: Guid::NIL,
            applications: rows.iter().map(row).collect(),
        };
        UsagePeriod::new(&file, at(start + 9))
    }

    fn shown(lines: &[UsageLine]) -> Vec<(&str, &str, &str, u64)> {
        lines.iter().map(|line| (&*line.name, &*line.version, &*line.user, line.usage.runs)).collect()
    }

    #[test]
    fn periods_are_summed_for_each_application_version_and_user() {
        let periods = [
            period("lee", 100, &[("draw", "9.1", 1)]),
            period("kim", 100, &[("draw", "9.1", 2), ("draw", "9.0", 4)]),
            period("kim", 200, &[("draw", "9.1", 8), ("draw", "9.1", 16)]),
        ];
        let titles = [Title::new("draw", "9.1", "Acme", "deb"), Title::new("draw", "9.0", "", "rpm")];
        let usage = DeviceUsage::of(&periods, &titles);
        assert_eq!(
            shown(&usage.installed),
            [("draw", "9.0", "kim", 4), ("draw", "9.1", "kim", 26), ("draw", "9.1", "lee", 1)]
        );
        let line = &usage.installed[1];
        assert_eq!((line.usage.run_secs, line.usage.active_secs), (2_600, 260));
        assert_eq!(line.usage.last_used, Some(at(205)));
        assert_eq!((line.from, line.until, &*line.domain), (at(100), at(209), "lab"));
        assert_eq!(usage.unmatched, []);
        // 2 and 8 of one program, 16 of another.
        let programs: Vec<_> = line.programs.iter().map(|(name, usage)| (&**name, usage.runs)).collect();
        assert_eq!(programs, [("file1", 16), ("file2", 10)]);
    }

    #[test]
    fn use_of_what_is_not_installed_stands_apart_and_nothing_is_listed_that_was_not_used() {
        let periods = [period("kim", 0, &[("draw", "9.1", 1), ("draw", "9.2", 2), ("paint", "9.1", 3)])];
        let titles = [Title::new("draw", "9.1", "", "deb"), Title::new("idle", "1", "", "deb")];
        let usage = DeviceUsage::of(&periods, &titles);
        assert_eq!(shown(&usage.installed), [("draw", "9.1", "kim", 1)]);
        assert_eq!(shown(&usage.unmatched), [("draw", "9.2", "kim", 2), ("paint", "9.1", "kim", 3)]);
        assert_eq!(DeviceUsage::of(&periods, []).installed, []);
        assert_eq!(DeviceUsage::of([], &titles), DeviceUsage::default());
    }
}
