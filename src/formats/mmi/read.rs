//! Reads a usage file as a stream.

use std::io::{BufRead, Read};

use hashbrown::HashMap;

use super::columns::{self, Column, KEY_BYTES_MAX, Rule, Shape};
use super::file::{AppUsage, ManagedDevice, Mmi, Period, PeriodType};
use super::finding::{Finding, FindingKind, Findings};
use crate::formats::gzip::{GzipError, Inflate};
use crate::formats::xml::{Kept, Tag, Token, XmlError, XmlReader};
use crate::id::{Guid, shorten};
use crate::time::Timestamp;

/// Why a file is refused as a whole. Each text can stand as the reason of a quarantined package.
#[derive(Debug, thiserror::Error)]
pub enum MmiError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("usage XML is refused")]
    Xml(#[source] XmlError),
    /// Not the gzip that is read here, or more of it than is read.
    #[error("usage gzip is refused")]
    Gzip(#[source] GzipError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `USAGE`")]
    Root(String),
    /// No usable `MD`.
    #[error("no `MD` names the machine")]
    Device,
}

impl From<XmlError> for MmiError {
    fn from(error: XmlError) -> MmiError {
        match error {
            XmlError::Read(error) => match error.downcast::<GzipError>() {
                Ok(error) => MmiError::Gzip(error),
                Err(error) => MmiError::Xml(XmlError::Read(error)),
            },
            error => MmiError::Xml(error),
        }
    }
}

/// Reads the XML of a usage file.
///
/// The document is read as a stream and must be well-formed to its end; memory is that of the result plus one token,
/// bounded by [`KEPT_BYTES_MAX`](crate::formats::xml::KEPT_BYTES_MAX). Findings tell what was left out or changed.
pub fn read_mmi(xml: impl Read) -> Result<(Mmi, Vec<Finding>), MmiError> {
    let mut xml = XmlReader::new(xml);
    let mut builder = Builder::default();
    loop {
        match xml.next_token()? {
            Token::Open(tag) => builder.open(&tag)?,
            Token::Close { .. } => drop(builder.places.pop()),
            Token::End if builder.has_device => return Ok((builder.file, builder.findings.into_vec())),
            Token::End => return Err(MmiError::Device),
        }
        builder.at = xml.position();
    }
}

/// Reads a usage file as it is uploaded: gzip around the XML.
pub fn read_mmi_gz(gzip: impl BufRead) -> Result<(Mmi, Vec<Finding>), MmiError> {
    read_mmi(Inflate::new(gzip))
}

/// An open element; what it may hold follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    Device,
    /// Number of the period.
    Period(usize),
    /// Anything inside is skipped.
    Skipped,
}

#[derive(Default)]
struct Builder {
    file: Mmi,
    findings: Findings,
    kept: Kept,
    has_device: bool,
    /// A second machine began: periods beside its `MD` are not those of the first.
    is_foreign: bool,
    /// Where the period of a GUID stands.
    numbers: HashMap<Guid, usize>,
    /// Open elements; the XML reader bounds them.
    places: Vec<Place>,
    /// Where the tag at hand begins, for findings.
    at: u64,
}

impl Builder {
    fn open(&mut self, tag: &Tag) -> Result<(), MmiError> {
        let place = match (self.places.last().copied(), tag.name()) {
            (None, "USAGE") => {
                let [version, usage_agent] = self.row(tag, &columns::ROOT).unwrap_or_default();
                self.file.version = self.text(version)?;
                self.file.usage_agent = self.text(usage_agent)?;
                Place::Root
            }
            (None, other) => return Err(MmiError::Root(shorten(other))),
            (Some(Place::Root), "MD") => self.device(tag)?,
            (Some(Place::Root), "USAGE") if self.is_foreign => Place::Skipped,
            (Some(Place::Root | Place::Device), "USAGE") => self.period(tag)?,
            (Some(Place::Period(number)), "APPUSAGE") => {
                self.application(tag, number)?;
                Place::Skipped
            }
            (Some(_), _) => Place::Skipped,
        };
        self.places.push(place);
        Ok(())
    }

    fn device(&mut self, tag: &Tag) -> Result<Place, MmiError> {
        if self.has_device {
            self.findings.add(FindingKind::Again, columns::DEVICE.element, "", self.at);
            self.is_foreign = true;
            return Ok(Place::Skipped);
        }
        let Some([name, domain, guid]) = self.row(tag, &columns::DEVICE) else { return Ok(Place::Skipped) };
        let (name, domain) = (self.text(name)?, self.text(domain)?);
        self.file.device = ManagedDevice { name, domain, guid: guid.and_then(|guid| guid.parse().ok()) };
        self.has_device = true;
        Ok(Place::Device)
    }

    fn period(&mut self, tag: &Tag) -> Result<Place, MmiError> {
        let Some([user, domain, kind, start, guid]) = self.row(tag, &columns::PERIOD) else {
            return Ok(Place::Skipped);
        };
        let kind: Option<PeriodType> = kind.and_then(|kind| kind.parse().ok());
        let start = start.and_then(Timestamp::from_stamp);
        let guid: Option<Guid> = guid.and_then(|guid| guid.parse().ok());
        // Without any of these it has no place among the others, or could be counted twice.
        let (Some(kind), Some(start), Some(guid)) = (kind, start, guid) else { return Ok(Place::Skipped) };
        let period =
            Period { user: self.text(user)?, domain: self.text(domain)?, kind, start, guid, applications: Vec::new() };
        self.kept.add(size_of::<Period>() + size_of::<(Guid, usize)>())?;
        let number = *self.numbers.entry(guid).or_insert(self.file.periods.len());
        match self.file.periods.get_mut(number) {
            Some(known) => {
                *known = period;
                self.findings.add(FindingKind::Again, columns::PERIOD.element, "GUID", self.at);
            }
            None => self.file.periods.push(period),
        }
        Ok(Place::Period(number))
    }

    fn application(&mut self, tag: &Tag, number: usize) -> Result<(), MmiError> {
        let Some(row) = self.row(tag, &columns::APPLICATION) else { return Ok(()) };
        let [name, version, file_name, file_company, file_description, rest @ ..] = row;
        let [file_product_name, file_product_version, runs, run_secs, active_secs, last_used, evidence] = rest;
        let count = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
        let usage = AppUsage {
            name: self.text(name)?,
            version: self.text(version)?,
            file_name: self.text(file_name)?,
            file_company: self.text(file_company)?,
            file_description: self.text(file_description)?,
            file_product_name: self.text(file_product_name)?,
            file_product_version: self.text(file_product_version)?,
            runs: count(runs),
            run_secs: count(run_secs),
            active_secs: count(active_secs),
            last_used: last_used.and_then(Timestamp::from_stamp),
            evidence: self.text(evidence)?,
        };
        self.kept.add(size_of::<AppUsage>())?;
        if let Some(period) = self.file.periods.get_mut(number) {
            period.applications.push(usage);
        }
        Ok(())
    }

    /// The attributes that `shape` knows as far as their rules let them, or `None` with a finding when a required one
    /// is missing.
    fn row<'a, const N: usize>(&mut self, tag: &Tag<'a>, shape: &'static Shape<N>) -> Option<[Option<&'a str>; N]> {
        let mut found = [None; N];
        for (name, value) in tag.attributes() {
            if let Some(column) = shape.columns.iter().position(|column| column.name == name) {
                found[column] = Some(value);
            }
        }
        for (column, value) in shape.columns.iter().zip(&mut found) {
            match *value {
                None if column.required => {
                    self.findings.add(FindingKind::Missing, shape.element, column.name, self.at);
                    return None;
                }
                None => {}
                Some(text) => *value = self.value(text, shape.element, column),
            }
        }
        Some(found)
    }

    fn value<'a>(&mut self, value: &'a str, element: &'static str, column: &Column) -> Option<&'a str> {
        let (value, finding) = match column.rule {
            Rule::Chars(max) => match value.char_indices().nth(max) {
                Some((end, _)) => (Some(&value[..end]), Some(FindingKind::Cut)),
                None => (Some(value), None),
            },
            Rule::Key if value.len() > KEY_BYTES_MAX || value.chars().any(char::is_control) => {
                (None, Some(FindingKind::Null))
            }
            Rule::Key => (Some(value), None),
            Rule::Number => only(value, value.parse::<u32>().is_ok(), FindingKind::NotANumber),
            Rule::Time => only(value, Timestamp::from_stamp(value).is_some(), FindingKind::NotATime),
            Rule::Guid => only(value, value.parse::<Guid>().is_ok(), FindingKind::NotAGuid),
            Rule::Type => only(value, value.parse::<PeriodType>().is_ok(), FindingKind::NotAType),
        };
        if let Some(kind) = finding {
            self.findings.add(kind, element, column.name, self.at);
        }
        value
    }

    /// A text that is kept, counted.
    fn text(&mut self, text: Option<&str>) -> Result<String, MmiError> {
        let text = text.unwrap_or_default();
        self.kept.add(text.len())?;
        Ok(text.into())
    }
}

fn only(value: &str, fits: bool, otherwise: FindingKind) -> (Option<&str>, Option<FindingKind>) {
    if fits { (Some(value), None) } else { (None, Some(otherwise)) }
}
