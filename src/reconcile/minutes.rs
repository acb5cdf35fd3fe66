//! The minutes of a reconcile: what a server keeps of it beside its input.
//!
//! Source: reconcile-files reference, section 8 (forms of `warnings.csv` and `unrecognised.csv`, peaks of type 25).

use std::collections::BTreeSet;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::engine::Reconciled;
use super::sentences::why;
use crate::id::Digest;
use crate::model::day::Day;
use crate::model::estate::Number;
use crate::model::folder::{LicenceTable, push_row};
use crate::model::reconciliation::{Installed, LicencePosition, Outcome, RunRecord, RunWarning, WARNINGS_MAX, Warning};
use crate::model::software::{ApplicationId, Title};
use crate::time::Timestamp;

/// What is minuted.
#[derive(Debug)]
pub struct Minutes<'m, 'c> {
    /// What was found.
    pub found: &'m Reconciled<'c>,
    /// What is odd about tables and fleet together: code, subject.
    pub problems: &'m [(&'static str, String)],
    /// What is to be said of the tables alone.
    pub of_tables: &'m BTreeSet<Warning>,
    /// Distinct titles of the fleet, those that no rule knows, and those that rules ignore.
    pub titles: [u64; 3],
}

impl Minutes<'_, '_> {
    /// What is to be said of the data, ascending by code, licence and subject, each once. On all threads: a licence that is
    /// charged to hosts is worked out for it.
    pub fn warnings(&self) -> Vec<RunWarning> {
        let licensing = self.found.context().licensing;
        let said = self.problems.iter().map(|(code, subject)| RunWarning {
            code: (*code).into(),
            license: None,
            subject: subject.as_str().into(),
        });
        let licences = (0..licensing.licences.len() as Number).into_par_iter();
        let of_licences: Vec<Warning> = licences.flat_map_iter(|licence| self.found.warnings(licence)).collect();
        let told = self.of_tables.iter().cloned().chain(of_licences).map(|warning| RunWarning {
            code: warning.code.as_str().into(),
            license: warning.licence.map(|licence| licensing.ids.name(licence).into()),
            subject: warning.subject,
        });
        let mut warnings: Vec<RunWarning> = said.chain(told).collect();
        warnings.sort_by(|a, b| (&a.code, &a.license, &a.subject).cmp(&(&b.code, &b.license, &b.subject)));
        warnings.dedup();
        warnings
    }

    /// The record of run `number`, made `at`; `licences` is `licenses.csv`, which has their names. The digest of its manifest
    /// follows when its folder is written.
    pub fn record(
        &self,
        number: u64,
        (at, as_of): (Timestamp, Day),
        licences: &[u8],
        warnings: &[RunWarning],
    ) -> RunRecord {
        let (estate, licensing) = (self.found.context().estate, self.found.context().licensing);
        // It was read by the reconcile itself.
        let rows = LicenceTable::Licenses.rows(licences).unwrap_or_default();
        let column = |name: &str| rows.columns.iter().position(|column| *column == name);
        let (id_column, name_column) = (column("license"), column("name"));
        let named =
            |(_, cells): &(usize, Vec<Box<str>>)| Some((cells[id_column?].clone(), cells[name_column?].clone()));
        let names: HashMap<Box<str>, Box<str>> = rows.lines.iter().filter_map(named).collect();
        let positions = (0..).zip(self.found.positions()).map(|(licence, position): (Number, _)| {
            let id = licensing.ids.name(licence);
            LicencePosition {
                license: id.into(),
                name: names.get(id).cloned().unwrap_or_default(),
                manual_status: licensing.licences[licence as usize].settings.manual_status.clone(),
                why: why(self.found, licence).unwrap_or_default().into(),
                position: position.clone(),
            }
        });
        RunRecord {
            number,
            at,
            as_of,
            devices: estate.devices.len() as u64,
            installations: estate.installations.count() as u64,
            titles: self.titles[0],
            unrecognised: self.titles[1],
            ignored: self.titles[2],
            installed: self.installed(),
            positions: positions.collect(),
            warnings: warnings.iter().take(WARNINGS_MAX).cloned().collect(),
            warned: warnings.len() as u64,
            manifest: Digest::of(b""),
        }
    }

    /// Every application that is installed, on how many devices, and on how many nothing covers it.
    fn installed(&self) -> Vec<Installed> {
        let estate = self.found.context().estate;
        let mut installed = Vec::new();
        for (number, id) in (0..).zip(estate.application_ids.iter()) {
            let devices = estate.installations.of_application(number).len();
            // An id that no library takes is none of ours to list.
            let Some(application) = id.parse::<ApplicationId>().ok().filter(|_| devices > 0) else { continue };
            let is_unlicensed = |place: &usize| self.found.outcome(number, *place) == Outcome::Unlicensed;
            let unlicensed = (0..devices).filter(is_unlicensed).count() as u64;
            installed.push(Installed { application, devices: devices as u64, unlicensed });
        }
        installed
    }

    /// Rows of `before`, the table of peaks in force, whose licences were not calculated, because a cell of theirs is bad or
    /// they are not in the tables now: a slip in a table must not end a period. Bad rows stay with the others, until an
    /// operator mends them.
    pub fn uncounted_peaks(&self, before: &[u8]) -> String {
        let (form, licensing) = (LicenceTable::Peaks.form(), self.found.context().licensing);
        let rows = LicenceTable::Peaks.rows(before).unwrap_or_default();
        let mut text = String::new();
        for (_, cells) in &rows.lines {
            let cell = |column: &str| {
                let place = rows.columns.iter().position(|known| *known == column);
                place.map_or("", |place| &*cells[place])
            };
            let licence = licensing.ids.find(cell(form.columns[0])).map(|number| &licensing.licences[number as usize]);
            if licence.is_none_or(|licence| licence.bad_data.is_some()) {
                push_row(&mut text, form.columns.iter().map(|column| cell(column)));
            }
        }
        text
    }
}

/// Warnings in the form of `warnings.csv`.
pub fn warning_table(warnings: &[RunWarning]) -> Vec<u8> {
    let mut text = "code,license,subject\n".to_owned();
    for RunWarning { code, license, subject } in warnings {
        push_row(&mut text, [&**code, license.as_deref().unwrap_or_default(), &**subject].into_iter());
    }
    text.into_bytes()
}

/// Titles that no rule knows, each with its number of devices, in the form of `unrecognised.csv`.
pub fn unrecognised_table(titles: &[(Title, u64)]) -> Vec<u8> {
    let mut text = "kind,name,version,publisher,type,company,description,size,path,devices\n".to_owned();
    for (title, devices) in titles {
        let (name, version, publisher, evidence) = (title.name(), title.version(), title.publisher(), title.evidence());
        let cells = ["installer", name, version, publisher, evidence, "", "", "", "", &devices.to_string()];
        push_row(&mut text, cells.into_iter());
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::folder::Folder;
    use crate::reconcile::engine::assign;
    use crate::reconcile::engine::tests::InMemory;
    use crate::reconcile::evidence::install;

    const PEAKS: &str =
        "license,region,peak,since\ngood,emea,700,2026-01-01\nbad,emea,900,2026-02-01\ngone,,5,2026-03-01\n";

    fn minuted<T>(see: impl FnOnce(&Minutes<'_, '_>) -> T) -> T {
        // No library takes an id of 81 characters.
        let long = "x".repeat(81);
        let (applications, installations) = (
            format!("application,publisher,product\napp,P,A\nother,P,B\n{long},P,C\n"),
            format!("device,application\nd1,app\nd2,app\nd1,other\nd1,{long}\n"),
        );
        let files = [
            ("devices.csv", "device,kind,processors,cores,region\nd1,physical,2,8,emea\nd2,vm,,,emea\n"),
            ("applications.csv", &applications),
            ("installations.csv", &installations),
            (
                "licenses.csv",
                "license,name,type,points_set,effective\ngood,\"Good, really\",25,points,\nbad,Bad,25,points,someday\n",
            ),
            ("license_applications.csv", "license,application\ngood,app\n"),
            ("entitlements.csv", "license,quantity\ngood,1000\nbad,many\n"),
            ("points_rules.csv", "set,rule,points\npoints,1,70\n"),
            ("peaks.csv", PEAKS),
        ];
        let files: BTreeMap<String, Vec<u8>> =
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        let mut folder = Folder::read(&mut InMemory(&files)).unwrap();
        install(&mut folder).unwrap();
        let as_of = "2026-06-15".parse().unwrap();
        let found = assign(&folder.estate, &folder.licensing, as_of).unwrap().count();
        let problems = [("unknown_device", "d9".to_owned()), ("circular_host", "d1".to_owned())];
        see(&Minutes { found: &found, problems: &problems, of_tables: &folder.notes.warnings, titles: [7, 2, 1] })
    }

    #[test]
    fn peaks_of_licences_that_were_not_calculated_stay_and_those_of_others_are_left_to_the_reconcile() {
        let kept = minuted(|minutes| minutes.uncounted_peaks(PEAKS.as_bytes()));
        assert_eq!(kept, "bad,emea,900,2026-02-01\ngone,,5,2026-03-01\n");
    }

    #[test]
    fn warnings_are_told_once_in_order_and_the_record_has_the_first_of_them() {
        minuted(|minutes| {
            let warnings = minutes.warnings();
            let text = String::from_utf8(warning_table(&warnings)).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[0], "code,license,subject");
            assert!(lines[1..].is_sorted(), "{text}");
            for line in ["circular_host,,d1", "unknown_device,,d9"] {
                assert!(lines.contains(&line), "{line} in {text}");
            }
            assert!(lines.iter().any(|line| line.starts_with("bad_data,bad,entitlements.csv:3")), "{text}");
            let when = (Timestamp(5), "2026-06-15".parse().unwrap());
            let licences = b"license,name,type\ngood,\"Good, really\",25\nbad,Bad,25\n";
            let record = minutes.record(3, when, licences, &warnings);
            assert_eq!((record.number, record.at, record.warned), (3, Timestamp(5), warnings.len() as u64));
            assert_eq!((record.devices, record.installations), (2, 4));
            assert_eq!((record.titles, record.unrecognised, record.ignored), (7, 2, 1));
            let named: Vec<(&str, &str)> = record.positions.iter().map(|one| (&*one.license, &*one.name)).collect();
            assert_eq!(named, [("bad", "Bad"), ("good", "Good, really")]);
            // An id that is none is not listed; `other` has no licence.
            let installed: Vec<(&str, u64, u64)> =
                record.installed.iter().map(|one| (one.application.as_str(), one.devices, one.unlicensed)).collect();
            assert_eq!(installed, [("app", 2, 1), ("other", 1, 1)]);
        });
    }
}
