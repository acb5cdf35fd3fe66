//! Entitlement documents as rows of the three tables of licences: `licenses.csv`, `license_applications.csv` and
//! `entitlements.csv`.
//!
//! One entitlement becomes one licence under its own id, with one row of rights. What cannot be said with certainty is a
//! problem, and a problem leaves no tables: half of what was bought would look like too little. What can be taken with
//! something left out is a note.
//!
//! Source: reconcile-files reference, section 3; decision 085.

mod products;
mod words;

pub use products::{Products, ProductsError};
pub use words::MetricWords;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt;

use super::day::Day;
use super::decimal::Decimal;
use super::licensing::{Metric, Total};
use crate::formats::business::{TableWriter, unsuitable};
use crate::formats::ent::{Ent, EntDocument, Field, Said};
use crate::id::shorten;

/// Bytes of an id or a name at most.
const TEXT_BYTES_MAX: usize = 1_024;
/// Products named in one note.
const NAMED_MAX: usize = 5;

/// Names of the tables, in the order in which they are given.
pub const TABLES: [&str; 3] = ["licenses.csv", "license_applications.csv", "entitlements.csv"];

/// Something that is said of a document: `FILE:LINE: what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its file.
    pub file: Box<str>,
    /// From 1; `None`: the file as a whole.
    pub line: Option<u32>,
    /// What it is, and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// A licence, its rights and what it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: Box<str>,
    metric: Metric,
    quantity: Total,
    effective: Option<Day>,
    expiry: Option<Day>,
    applications: BTreeSet<Box<str>>,
    file: Box<str>,
    line: u32,
}

/// What the operator knows and documents do not say.
#[derive(Clone, Copy, Debug)]
pub struct Known<'k> {
    /// Words for what is counted.
    pub words: &'k MetricWords,
    /// Applications of products.
    pub products: &'k Products,
}

/// Documents on their way to tables.
#[derive(Debug, Default)]
pub struct Import {
    rows: BTreeMap<Box<str>, Row>,
    /// Why there are to be no tables.
    pub problems: Vec<Finding>,
    /// What was left out.
    pub notes: Vec<Finding>,
}

/// A line, and what is wrong there.
type Wrong = (u32, String);

impl Import {
    /// Takes a document, read from `file`.
    pub fn add(&mut self, file: &str, document: &EntDocument, known: Known<'_>) {
        for ent in &document.entitlements {
            let (mut wrong, mut notes) = (Vec::new(), Vec::new());
            if let Some((id, row)) = row(file, ent, known, &mut wrong, &mut notes) {
                match self.rows.entry(id) {
                    Entry::Vacant(place) => {
                        place.insert(row);
                    }
                    Entry::Occupied(first) => {
                        let (Row { file, line, .. }, id) = (first.get(), shorten(first.key()));
                        let problem =
                            format!("the entitlement `{id}` stands at {file}:{line} too: leave one of them out");
                        wrong.push((ent.line, problem));
                    }
                }
            }
            let found = |(line, text): Wrong| Finding { file: file.into(), line: Some(line), text };
            self.problems.extend(wrong.into_iter().map(found));
            self.notes.extend(notes.into_iter().map(found));
        }
        if !document.unread.is_empty() {
            let names: Vec<&str> = document.unread.iter().map(String::as_str).collect();
            let text = format!("not read, because no table has a place for it: {}", names.join(", "));
            self.notes.push(Finding { file: file.into(), line: None, text });
        }
    }

    /// How many licences there are.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// The tables in the order of [`TABLES`], rows ascending by licence. They are whole only if there are no problems.
    pub fn tables(&self) -> [Vec<u8>; 3] {
        let mut licences = TableWriter::new(["license", "name", "type"]);
        let mut links = TableWriter::new(["license", "application"]);
        let mut entitlements = TableWriter::new(["license", "quantity", "effective", "expiry"]);
        let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
        for (id, row) in &self.rows {
            licences.row([id, &*row.name, &row.metric.number().to_string()]);
            row.applications.iter().for_each(|application| links.row([id, application]));
            entitlements.row([id, &*row.quantity.to_string(), &day(row.effective), &day(row.expiry)]);
        }
        [licences.finish(), links.finish(), entitlements.finish()]
    }
}

/// The id and the row of an entitlement; `None`: something is wrong with it.
fn row(
    file: &str,
    ent: &Ent,
    known: Known<'_>,
    wrong: &mut Vec<Wrong>,
    notes: &mut Vec<Wrong>,
) -> Option<(Box<str>, Row)> {
    wrong.extend(ent.twice.iter().map(|&(field, line)| {
        (line, format!("the entitlement has a second {field} here, another one than before: part it into one for each"))
    }));
    let id = noted(id(ent), wrong);
    let name = noted(text(ent, Field::Name), wrong);
    let metric = noted(metric(ent, known.words), wrong);
    let quantity = metric.and_then(|metric| noted(quantity(ent, metric), wrong));
    let effective = noted(day(ent, Field::Effective), wrong);
    let expiry = noted(day(ent, Field::Expiry), wrong);
    if let (Some(Some(effective)), Some(Some(expiry))) = (effective, expiry)
        && expiry < effective
    {
        let line = ent.get(Field::Expiry).map_or(ent.line, |said| said.line);
        wrong.push((
            line,
            format!("the entitlement ends on {expiry}, before it begins on {effective}: mend either day"),
        ));
    }
    if !wrong.is_empty() {
        return None;
    }
    let (id, name, metric) = (id?, name?, metric?);
    let applications = applications(ent, &id, &name, known.products, notes);
    if matches!(metric, Metric::CORE_POINTS | Metric::PROCESSOR_POINTS) {
        let text = format!("{metric} needs a `points_set` in {}, which no document names: add it there", TABLES[0]);
        notes.push((ent.line, text));
    }
    let (quantity, effective, expiry) = (quantity?, effective?, expiry?);
    let row = Row { name, metric, quantity, effective, expiry, applications, file: file.into(), line: ent.line };
    Some((id, row))
}

/// The value, or what is wrong noted.
fn noted<T>(value: Result<T, Wrong>, wrong: &mut Vec<Wrong>) -> Option<T> {
    value.map_err(|error| wrong.push(error)).ok()
}

/// A text that is to stand in a cell; empty where there is none.
fn text(ent: &Ent, field: Field) -> Result<Box<str>, Wrong> {
    let Some(said) = ent.get(field) else { return Ok("".into()) };
    unsuitable(&said.text, TEXT_BYTES_MAX)
        .map_or_else(|| Ok(said.text.clone()), |problem| Err((said.line, format!("{field}: {problem}"))))
}

fn id(ent: &Ent) -> Result<Box<str>, Wrong> {
    let id = text(ent, Field::Id)?;
    if id.is_empty() {
        return Err((ent.line, missing(Field::Id)));
    }
    Ok(id)
}

/// What is said of a field that is not there.
fn missing(field: Field) -> String {
    format!("the entitlement has no {field}: add it, or name where it stands under `{field}` in the map (--map)")
}

fn metric(ent: &Ent, words: &MetricWords) -> Result<Metric, Wrong> {
    let said = ent.get(Field::Metric).ok_or_else(|| (ent.line, missing(Field::Metric)))?;
    words.find(&said.text).ok_or_else(|| {
        let word = shorten(&said.text);
        let problem = format!(
            "the metric `{word}` is no licence type that we know: give it the number of one, 1 to 45, under [metrics] in the map (--map)"
        );
        (said.line, problem)
    })
}

fn quantity(ent: &Ent, metric: Metric) -> Result<Total, Wrong> {
    let Some(said) = ent.get(Field::Quantity) else {
        // Such a licence is without limit whatever stands in the row.
        return if metric.is_unlimited() { Ok(Total::Unlimited) } else { Err((ent.line, missing(Field::Quantity))) };
    };
    if said.text.eq_ignore_ascii_case("unlimited") {
        return Ok(Total::Unlimited);
    }
    let problem =
        || format!("the quantity `{}` is no number, nor `unlimited`: write digits such as 250", shorten(&said.text));
    Decimal::read(&said.text).map(Total::Limited).map_err(|_| (said.line, problem()))
}

/// A day, with or without a time of the day and a zone, which are checked for their characters and passed over.
fn day(ent: &Ent, field: Field) -> Result<Option<Day>, Wrong> {
    let Some(said) = ent.get(field) else { return Ok(None) };
    let read = || {
        let (day, rest) = said.text.split_at_checked(10)?;
        let is_time = |time: &str| time.bytes().all(|b| b.is_ascii_digit() || b":.+-Z".contains(&b));
        let is_whole = rest.is_empty() || (rest.starts_with(['T', 'Z', '+', '-']) && is_time(&rest[1..]));
        if is_whole { day.parse().ok() } else { None }
    };
    let problem = || format!("the {field} day `{}` is no day: write YYYY-MM-DD", shorten(&said.text));
    read().map(Some).ok_or_else(|| (said.line, problem()))
}

/// The applications of the tags, products and names of an entitlement, as far as the operator knows them.
fn applications(ent: &Ent, id: &str, name: &str, products: &Products, notes: &mut Vec<Wrong>) -> BTreeSet<Box<str>> {
    let tag = |said: &Said| said.text.strip_prefix("swid:").unwrap_or(&said.text).into();
    let tags: Vec<(String, u32)> = ent.all(Field::Tag).map(|said| (tag(said), said.line)).collect();
    let named: Vec<&str> = ent.all(Field::Product).map(|said| &*said.text).collect();
    let references = tags.iter().map(|(tag, _)| tag.as_str()).chain(named.iter().copied()).chain([id, name]);
    let found: BTreeSet<Box<str>> = references.flat_map(|reference| products.find(reference)).map(Into::into).collect();
    if found.is_empty() {
        let shown = tags.iter().map(|(tag, _)| tag.as_str()).chain(named).chain([id]).take(NAMED_MAX);
        let shown: Vec<String> = shown.map(|reference| format!("`{}`", shorten(reference))).collect();
        let shown = shown.join(" or ");
        notes.push((
            ent.line,
            format!("covers no application yet: name one for {shown} in the table of --applications"),
        ));
    } else {
        let unknown = tags.iter().filter(|(tag, _)| !products.knows(tag));
        notes.extend(unknown.take(NAMED_MAX).map(|(tag, line)| {
            (*line, format!("the tag `{}` is not in the table of --applications and is left out", shorten(tag)))
        }));
    }
    notes.extend(ent.related.iter().take(NAMED_MAX).map(|(rel, said)| {
        let (rel, target) = (shorten(rel), shorten(&said.text));
        (said.line, format!("the link `{target}` is `{rel}`, which covers nothing, and is left out"))
    }));
    found
}

#[cfg(test)]
mod tests;
