//! The result of a reconcile as CSV files.
//!
//! Rows are sorted by their columns, each compared as text byte by byte; quotes stand only where they are needed; lines
//! end with LF. Tables with a row for each installation are made in parts of so many devices, on all threads.
//!
//! Source: reconcile-files reference, section 8.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, Write};

use rayon::prelude::*;

use super::consumption::unit_rows;
use super::engine::Reconciled;
use super::evidence::Unrecognised;
use crate::model::estate::{Estate, Number};
use crate::model::folder::cell;
use crate::model::licensing::Licensing;
use crate::model::reconciliation::{Answer, Outcome, Verdict, Warning};

/// A table of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The position of each licence.
    LicenseResult,
    /// What each licence counts, unit by unit.
    Consumption,
    /// What each licence said to each installation.
    Assessment,
    /// What became of each installation.
    Outcomes,
    /// Installations that nothing covers.
    Unlicensed,
    /// Evidence that no rule knows.
    Unrecognised,
    /// What is to be said of the data.
    Warnings,
    /// The largest figures of running periods.
    Peaks,
}

impl Table {
    /// Every table, in the order of the reference.
    pub const ALL: [Table; 8] = [
        Table::LicenseResult,
        Table::Consumption,
        Table::Assessment,
        Table::Outcomes,
        Table::Unlicensed,
        Table::Unrecognised,
        Table::Warnings,
        Table::Peaks,
    ];

    /// The name of its file without `.csv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::LicenseResult => "license_result",
            Table::Consumption => "consumption",
            Table::Assessment => "assessment",
            Table::Outcomes => "outcomes",
            Table::Unlicensed => "unlicensed",
            Table::Unrecognised => "unrecognised",
            Table::Warnings => "warnings",
            Table::Peaks => "peaks",
        }
    }
}

/// Devices whose rows are made together.
pub(super) const PART_DEVICES: u32 = 1 << 14;

/// What is written.
#[derive(Debug)]
pub struct Output<'o, 'c> {
    /// What was found.
    pub found: &'o Reconciled<'c>,
    /// What no rule knows.
    pub unrecognised: &'o [Unrecognised],
    /// What is to be said of the data beside what `found` says.
    pub warnings: &'o BTreeSet<Warning>,
}

/// A number, or nothing.
fn or_blank(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

impl Output<'_, '_> {
    /// Writes a table.
    pub fn write(&self, table: Table, out: &mut impl Write) -> io::Result<()> {
        match table {
            Table::LicenseResult => self.license_result(out),
            Table::Consumption => self.consumption(out),
            Table::Assessment => self.by_device(out, b"device,application,license,outcome,reason\n", Self::assessment),
            Table::Outcomes => self.by_device(out, b"device,application,outcome,license,reason\n", Self::outcome),
            Table::Unlicensed => self.by_device(out, b"device,application,reason\n", Self::unlicensed),
            Table::Unrecognised => self.unrecognised(out),
            Table::Warnings => self.warnings(out),
            Table::Peaks => self.peaks(out),
        }
    }

    fn estate(&self) -> &Estate {
        self.found.context().estate
    }

    fn licensing(&self) -> &Licensing {
        self.found.context().licensing
    }

    fn licence(&self, licence: Number) -> Cow<'_, str> {
        cell(self.licensing().ids.name(licence))
    }

    fn license_result(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "license,type,raw,consumed,today,exempt,total,available,savings,true_up_due,status_id,status,manual_status,missing"
        )?;
        for (licence, position) in (0..).zip(self.found.positions()) {
            let terms = &self.licensing().licences[licence as usize].settings;
            writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
                self.licence(licence),
                or_blank(position.metric.map(|metric| metric.number())),
                position.raw,
                or_blank(position.consumed),
                or_blank(position.today),
                position.exempt,
                position.total,
                or_blank(position.available()),
                or_blank(position.savings()),
                or_blank(position.true_up_due()),
                position.status.number(),
                position.status.as_str(),
                cell(&terms.manual_status),
                position.missing,
            )?;
        }
        Ok(())
    }

    fn consumption(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"license,unit,id,raw,consumed,reason,exemption\n")?;
        self.by_licence(|licence| unit_rows(self.found, licence), |parts| write_parts(out, parts.into_iter().flatten()))
    }

    /// Makes something of each licence and shows it in their order, as much at once as there are threads.
    fn by_licence<T: Send>(
        &self,
        make: impl Fn(Number) -> T + Sync,
        mut see: impl FnMut(Vec<T>) -> io::Result<()>,
    ) -> io::Result<()> {
        let licences: Vec<Number> = (0..self.licensing().licences.len() as Number).collect();
        licences
            .chunks(2 * rayon::current_num_threads())
            .try_for_each(|some| see(some.par_iter().map(|&licence| make(licence)).collect()))
    }

    fn unrecognised(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"kind,name,version,publisher,type,company,description,size,path,devices\n")?;
        for one in self.unrecognised {
            write!(out, "{}", one.text.kind.as_str())?;
            for text in &one.text.texts {
                write!(out, ",{}", cell(text))?;
            }
            writeln!(out, ",{}", one.devices)?;
        }
        Ok(())
    }

    fn warnings(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"code,license,subject\n")?;
        let mut warnings = self.warnings.clone();
        self.by_licence(
            |licence| self.found.warnings(licence),
            |found| {
                warnings.extend(found.into_iter().flatten());
                Ok(())
            },
        )?;
        for warning in &warnings {
            let licence = warning.licence.map(|licence| self.licence(licence)).unwrap_or_default();
            writeln!(out, "{},{licence},{}", warning.code, cell(&warning.subject))?;
        }
        Ok(())
    }

    fn peaks(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"license,region,peak,since\n")?;
        for licence in 0..self.licensing().licences.len() as Number {
            let region = |region: Number| self.estate().texts.text(region);
            let mut peaks = self.found.peaks(licence).to_vec();
            peaks.sort_by(|a, b| region(a.region).cmp(region(b.region)));
            for peak in peaks {
                // The next run reads it.
                let figure = peak.peak.readable();
                writeln!(out, "{},{},{},{}", self.licence(licence), cell(region(peak.region)), figure, peak.since)?;
            }
        }
        Ok(())
    }

    /// Writes the rows of every installation, devices in their order.
    fn by_device(
        &self,
        out: &mut impl Write,
        header: &[u8],
        row: fn(&Self, &Names<'_>, &Installed<'_>, &mut Vec<u8>),
    ) -> io::Result<()> {
        out.write_all(header)?;
        let names = Names {
            applications: self.estate().application_ids.iter().map(cell).collect(),
            licences: self.licensing().ids.iter().map(cell).collect(),
            linked: (0..self.estate().applications.len() as Number)
                .map(|application| self.linked(application))
                .collect(),
        };
        let devices = self.estate().devices.len() as Number;
        let firsts: Vec<Number> = (0..devices).step_by(PART_DEVICES as usize).collect();
        // So many at once that all threads are busy, and what they made is soon written.
        for firsts in firsts.chunks(4 * rayon::current_num_threads()) {
            let parts: Vec<Vec<u8>> = firsts.par_iter().map(|&first| self.part(first, &names, row)).collect();
            write_parts(out, parts)?;
        }
        Ok(())
    }

    /// Rows of the devices from `first` on.
    fn part(
        &self,
        first: Number,
        names: &Names<'_>,
        row: fn(&Self, &Names<'_>, &Installed<'_>, &mut Vec<u8>),
    ) -> Vec<u8> {
        let estate = self.estate();
        let end = first.saturating_add(PART_DEVICES).min(estate.devices.len() as Number);
        // Where the rows of each device begin: how many come before it. Applications are gone through in their order, so
        // they stand in it on each device as well.
        let spans: Vec<&[Number]> = (0..estate.applications.len() as Number)
            .map(|application| {
                let devices = estate.installations.of_application(application);
                let from = devices.partition_point(|&device| device < first);
                &devices[from..from + devices[from..].partition_point(|&device| device < end)]
            })
            .collect();
        let mut starts = vec![0_usize; (end - first) as usize + 1];
        spans.iter().copied().flatten().for_each(|&device| starts[(device - first) as usize + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut here = vec![(0, 0); starts[starts.len() - 1]];
        let mut next = starts.clone();
        for (application, span) in (0..).zip(&spans) {
            let of_application = estate.installations.of_application(application);
            let from = of_application.partition_point(|&device| device < first);
            for (place, &device) in (from..).zip(*span) {
                let at = &mut next[(device - first) as usize];
                here[*at] = (application, place);
                *at += 1;
            }
        }
        let mut text = Vec::with_capacity(here.len() * 40);
        for device in first..end {
            let of_device = &here[starts[(device - first) as usize]..starts[(device - first) as usize + 1]];
            let device = cell(estate.device_ids.name(device));
            for &(application, place) in of_device {
                let verdict = self.found.verdict(application, place);
                let outcome = self.found.outcome(application, place);
                row(self, names, &Installed { device: &device, application, verdict, outcome }, &mut text);
            }
        }
        text
    }

    /// Licences that cover an application, ascending.
    fn linked(&self, application: Number) -> Vec<Number> {
        let candidates = self.found.context().links.candidates(application);
        let mut linked: Vec<Number> = candidates.iter().map(|candidate| candidate.licence).collect();
        linked.sort_unstable();
        linked
    }

    fn assessment(&self, names: &Names<'_>, installed: &Installed<'_>, out: &mut Vec<u8>) {
        let linked = &names.linked[installed.application as usize];
        let taker = installed.outcome.taken().map(|taken| taken.licence);
        // The licence of a suite need not cover its members.
        let beside = taker.filter(|taker| linked.binary_search(taker).is_err());
        let mut beside = beside.into_iter().peekable();
        for &licence in linked {
            if let Some(taker) = beside.next_if(|&taker| taker < licence) {
                assessed(names, installed, taker, out);
            }
            assessed(names, installed, licence, out);
        }
        beside.for_each(|taker| assessed(names, installed, taker, out));
    }

    fn outcome(&self, names: &Names<'_>, installed: &Installed<'_>, out: &mut Vec<u8>) {
        let application = &names.applications[installed.application as usize];
        let mut row = |outcome: &str, licence: &str, reason: &str| {
            push(out, &[installed.device, application, outcome, licence, reason]);
        };
        match installed.outcome {
            Outcome::Taken(taken) => {
                let licence = &names.licences[taken.licence as usize];
                match taken.exemption {
                    Some(exemption) => row("exempt", licence, itoa::Buffer::new().format(exemption.number())),
                    None => row("consumed", licence, taken.how.as_str()),
                }
            }
            Outcome::Unlicensed => row("unlicensed", "", ""),
            Outcome::NotLicensable => row("not licensable", "", ""),
        }
    }

    fn unlicensed(&self, names: &Names<'_>, installed: &Installed<'_>, out: &mut Vec<u8>) {
        if installed.outcome == Outcome::Unlicensed {
            let application = &names.applications[installed.application as usize];
            let has_licence = !names.linked[installed.application as usize].is_empty();
            let reason = if has_licence { "rejected" } else { "no_license" };
            push(out, &[installed.device, application, reason]);
        }
    }
}

/// Names as they are written, and which licences cover which applications.
struct Names<'n> {
    applications: Vec<Cow<'n, str>>,
    licences: Vec<Cow<'n, str>>,
    linked: Vec<Vec<Number>>,
}

/// An installation that a row is about.
struct Installed<'i> {
    device: &'i str,
    application: Number,
    verdict: Option<&'i Verdict>,
    outcome: Outcome,
}

fn assessed(names: &Names<'_>, installed: &Installed<'_>, licence: Number, out: &mut Vec<u8>) {
    let answer = installed.verdict.map_or(Answer::NotAssessed, |verdict| verdict.answer(licence));
    let (outcome, reason) = match answer {
        Answer::Consumed(how) => ("consumed", how.as_str()),
        Answer::Rejected(reason) => ("rejected", reason.as_str()),
        Answer::NotAssessed => ("not assessed", ""),
    };
    let (application, licence) =
        (&names.applications[installed.application as usize], &names.licences[licence as usize]);
    push(out, &[installed.device, application, licence, outcome, reason]);
}

/// Adds a row. Millions are written, so no formatter is asked.
pub(super) fn push(out: &mut Vec<u8>, cells: &[&str]) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(cell.as_bytes());
    }
    out.push(b'\n');
}

fn write_parts(out: &mut impl Write, parts: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    parts.into_iter().try_for_each(|part| out.write_all(&part))
}
