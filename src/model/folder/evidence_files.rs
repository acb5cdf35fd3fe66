//! What is installed: evidence, the rules that recognise it, and installations that are known already.
//!
//! Source: reconcile-files reference, sections 2 and 4.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::cells::BadCell;
use super::estate_files::{known_application, known_device};
use super::notes::Notes;
use super::table::{FolderError, Form, Keys, Row, Table};
use crate::model::estate::{Estate, Evidence, EvidenceText, Ids, Number, Pair, is_same};
use crate::model::pattern::{Pattern, fold};
use crate::model::recognition::{EvidenceKind, FieldTest, Rule, Verdict};
use crate::model::reconciliation::WarningCode;

/// `evidence.csv`.
pub const EVIDENCE: Form = Form {
    file: "evidence.csv",
    columns: &["device", "kind", "name", "version", "publisher", "type", "company", "description", "size", "path"],
    required: &["device", "kind"],
    key: &[],
};
/// `evidence_rules.csv`.
pub const EVIDENCE_RULES: Form = Form {
    file: "evidence_rules.csv",
    columns: &[
        "rule",
        "application",
        "kind",
        "name",
        "version",
        "publisher",
        "type",
        "company",
        "description",
        "size",
        "path",
        "role",
    ],
    required: &["rule", "application", "kind"],
    key: &["rule"],
};
/// `installations.csv`.
pub const INSTALLATIONS: Form = Form {
    file: "installations.csv",
    // Which evidence shows it is for readers: a server that freezes a fleet writes it.
    columns: &["device", "application", "evidence"],
    required: &["device", "application"],
    key: &[],
};

/// Bytes of a file that one thread reads at a time.
const PART_BYTES: usize = 8 << 20;
/// What a publisher is asked for when it has to be blank.
const BLANK: &str = "<blank>";

fn kind(row: &Row<'_, '_>, column: usize) -> Result<EvidenceKind, BadCell> {
    Ok(match row.word(column, &["installer", "file"])? {
        Some(1) => EvidenceKind::File,
        _ => EvidenceKind::Installer,
    })
}

/// Evidence on known devices.
pub fn read_evidence(table: &Table<'_>, estate: &Estate, notes: &mut Notes) -> Result<Evidence, FolderError> {
    let mut evidence = Evidence::default();
    table.rows(|row| {
        let kind = kind(row, 1).map_err(|bad| bad.refused(row))?;
        if let Some(device) = known_device(&estate.device_ids, row.text(0), notes) {
            let texts = std::array::from_fn(|place| row.text(place + 2).into());
            evidence.add(device, EvidenceText { kind, texts });
        }
        Ok(())
    })?;
    evidence.sort();
    Ok(evidence)
}

/// Rules of known applications.
pub fn read_rules(table: &Table<'_>, estate: &Estate, notes: &mut Notes) -> Result<Vec<Rule<Number>>, FolderError> {
    let (mut rules, mut keys) = (Vec::new(), Keys::default());
    table.rows(|row| {
        let (number, rule) = read_rule(row).map_err(|bad| bad.refused(row))?;
        keys.check_texts(row, vec![number.to_string().into()])?;
        if let Some(application) = known_application(&estate.application_ids, row.text(1), notes) {
            rules.push(rule(application));
        }
        Ok(())
    })?;
    Ok(rules)
}

fn read_rule(row: &Row<'_, '_>) -> Result<(u64, impl FnOnce(Number) -> Rule<Number> + use<>), BadCell> {
    let number = row.integer(0)?.unwrap_or_default();
    let kind = kind(row, 2)?;
    let role = row.word(11, &["sufficient", "required", "ignored"])?;
    let like = |column: usize| match row.text(column) {
        "" => Ok(FieldTest::Any),
        text => match Pattern::new(text) {
            Ok(pattern) => Ok(FieldTest::Like(pattern)),
            Err(error) => Err(BadCell { column, problem: error.to_string() }),
        },
    };
    let publisher = match kind {
        EvidenceKind::Installer if fold(row.text(5)) == BLANK => FieldTest::Blank,
        EvidenceKind::Installer => like(5)?,
        EvidenceKind::File => like(7)?,
    };
    let (description, path, whole) = match kind {
        EvidenceKind::Installer => (FieldTest::Any, FieldTest::Any, 6),
        EvidenceKind::File => (like(8)?, like(10)?, 9),
    };
    let (name, version, evidence) = (like(3)?, like(4)?, fold(row.text(whole)).into());
    let id = number.to_string().parse().map_err(|error| BadCell { column: 0, problem: format!("{error}") })?;
    let rule = move |application| Rule {
        id,
        kind,
        name,
        version,
        publisher,
        description,
        path,
        evidence,
        verdict: match (kind, role) {
            (EvidenceKind::File, Some(1)) => Verdict::Required(application),
            (EvidenceKind::File, Some(2)) => Verdict::Ignored,
            // Roles are for files.
            _ => Verdict::Application(application),
        },
    };
    Ok((number, rule))
}

/// Installations of known applications on known devices, on as many threads as there are.
pub fn read_installations(table: Table<'_>, estate: &Estate, notes: &mut Notes) -> Result<Vec<Vec<Pair>>, FolderError> {
    let parts: Vec<Result<Part, FolderError>> = table
        .parts(PART_BYTES)
        .par_iter()
        .map(|part| Part::read(part, &estate.device_ids, &estate.application_ids))
        .collect();
    let mut pieces = Vec::with_capacity(parts.len());
    for part in parts {
        let Part { pairs, unknown_devices, unknown_applications } = part?;
        unknown_devices.iter().for_each(|name| notes.warn(WarningCode::UnknownDevice, name));
        unknown_applications.iter().for_each(|name| notes.warn(WarningCode::UnknownApplication, name));
        pieces.push(pairs);
    }
    Ok(pieces)
}

/// What one thread read.
#[derive(Default)]
struct Part {
    pairs: Vec<Pair>,
    unknown_devices: BTreeSet<Box<str>>,
    unknown_applications: BTreeSet<Box<str>>,
}

/// What a row before named, and its number.
#[derive(Default)]
struct LastRow {
    name: String,
    number: Option<Number>,
}

impl LastRow {
    fn known(&self, name: &str) -> Option<Number> {
        self.number.filter(|_| is_same(&self.name, name))
    }

    /// Keeps what was `found` of another name; what is not found leaves the last one.
    fn keep(&mut self, name: &str, found: Option<Number>) -> Option<Number> {
        if found.is_some() {
            self.name.clear();
            self.name.push_str(name);
            self.number = found;
        }
        found
    }
}

/// A row has some fifteen bytes: room for the pairs of a part without growing often.
const ROW_BYTES: usize = 14;

impl Part {
    fn read(table: &Table<'_>, devices: &Ids, applications: &Ids) -> Result<Part, FolderError> {
        let mut part = Part { pairs: Vec::with_capacity(table.bytes() / ROW_BYTES), ..Part::default() };
        // Rows mostly stand by device or by application: one of the two is that of the row before, the other is not.
        let (mut last_device, mut last_application) = (LastRow::default(), LastRow::default());
        table.pairs([0, 1], |device, application| {
            let found = match last_device.known(device) {
                Some(known) => (Some(known), applications.find(application)),
                None => {
                    let near = last_device.number.unwrap_or_default();
                    let known = last_application.known(application);
                    (
                        last_device.keep(device, devices.find_near(device, near)),
                        known.or_else(|| last_application.keep(application, applications.find(application))),
                    )
                }
            };
            if let (Some(device), Some(application)) = found {
                part.pairs.push((application, device));
                return Ok(());
            }
            if found.0.is_none() && !part.unknown_devices.contains(device) {
                part.unknown_devices.insert(device.into());
            }
            if found.1.is_none() && !part.unknown_applications.contains(application) {
                part.unknown_applications.insert(application.into());
            }
            Ok(())
        })?;
        Ok(part)
    }
}
