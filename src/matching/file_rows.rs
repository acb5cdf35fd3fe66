//! Rows of records, devices and bindings as files have them: CSV, or an object a line.
//!
//! Source: matching reference, section 11.

use std::borrow::Cow;

use super::normalise::Slots;
use super::table::{Block, RowHead};
use crate::formats::csv_lines::{CsvFault, LINE_BYTES_MAX, cells, next_record};
use crate::formats::json_lines::{self, Unsuitable};
use crate::id::shorten;
use crate::model::computer::Property;

/// What stands in a file.
#[derive(Clone, Copy, Debug)]
pub struct FileForm {
    /// The column of the row's number.
    id: &'static str,
    /// Whether rows have source and external_id, unique together.
    pub has_key: bool,
    has_date: bool,
    /// Properties that are not read.
    without: &'static [Property],
    /// Whether each row has an id of its own.
    pub is_id_unique: bool,
}

/// The records of an import.
pub const RECORDS: FileForm =
    FileForm { id: "record_id", has_key: true, has_date: true, without: &[], is_id_unique: true };
/// Stored devices; their ObjectType is computed, whatever the file says.
pub const DEVICES: FileForm =
    FileForm { id: "device_id", has_key: false, has_date: false, without: &[Property::ObjectType], is_id_unique: true };
/// The records bound to devices, with their strong keys.
pub const BINDINGS: FileForm =
    FileForm { id: "device_id", has_key: true, has_date: false, without: &[], is_id_unique: false };

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineFault {
    /// The file has no line at all.
    #[error("a header line is missing; it names the columns")]
    NoHeader,
    /// A column that has to be there.
    #[error("the column `{0}` is missing in the header; add it")]
    ColumnMissing(&'static str),
    /// A column twice.
    #[error("the column `{0}` is twice in the header; leave one")]
    ColumnTwice(String),
    /// A header with a line end of old systems within it.
    #[error("the header has a CR that no LF follows; write lines that end with LF or CR LF")]
    CarriageReturn,
    /// A field twice in an object.
    #[error("`{0}` is twice in the object; leave one")]
    FieldTwice(String),
    /// A field that is a list or an object.
    #[error("`{0}` is a list or an object; write a text, a number, true, false or null")]
    FieldNested(String),
    /// A number whose digits are lost in reading.
    #[error("`{0}` is a number with a fraction, an exponent or more than 64 bits; write it as a text, in quotes")]
    FieldInexact(String),
    /// A field of an object that has to be there.
    #[error("`{0}` is missing; every record needs it")]
    FieldMissing(&'static str),
    /// Another number of cells than the header has.
    #[error("{count} cells where the header has {wanted}; quote a cell that has a comma in it")]
    CellCount {
        /// Of this line.
        count: usize,
        /// Of the header.
        wanted: usize,
    },
    /// No number.
    #[error("{column} `{text}` is no number; write digits only, from 0 to {}", u64::MAX)]
    NoNumber {
        /// The column.
        column: &'static str,
        /// What stands there.
        text: String,
    },
    /// No date.
    #[error("inventory_date `{0}` is no date; write Unix seconds, such as 1735689600")]
    NoDate(String),
    /// No CSV.
    #[error("{0}")]
    Csv(#[from] CsvFault),
    /// No JSON object.
    #[error("no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// No UTF-8.
    #[error("byte {0} of the line is no UTF-8; write the file as UTF-8")]
    NoText(usize),
}

/// A fault and the line of its piece, counted from 1.
pub type Fault = (u32, LineFault);

/// Bytes of whole lines as text.
pub fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = memchr::memchr_iter(b'\n', before).count() as u32 + 1;
        let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        (line, LineFault::NoText(before.len() - start + 1))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Source,
    ExternalId,
    Date,
    Property(Property),
    Ignored,
}

impl Column {
    fn of(name: &str, form: &FileForm) -> Column {
        match name {
            _ if name == form.id => Column::Id,
            "source" if form.has_key => Column::Source,
            "external_id" if form.has_key => Column::ExternalId,
            "inventory_date" if form.has_date => Column::Date,
            _ => match name.parse() {
                Ok(property) if !form.without.contains(&property) => Column::Property(property),
                _ => Column::Ignored,
            },
        }
    }
}

/// The columns of a CSV file.
#[derive(Debug)]
pub struct Columns {
    list: Vec<Column>,
    form: FileForm,
}

impl Columns {
    /// Reads a header.
    pub fn new(header: &str, form: &FileForm) -> Result<Columns, LineFault> {
        if header.contains('\r') {
            return Err(LineFault::CarriageReturn);
        }
        let mut list = Vec::new();
        let mut names: Vec<String> = Vec::new();
        cells(header, |_, name| names.push(name.trim().to_owned()))?;
        for name in names {
            let column = Column::of(&name, form);
            if column != Column::Ignored && list.contains(&column) {
                return Err(LineFault::ColumnTwice(name));
            }
            list.push(column);
        }
        let needed = [(Column::Id, form.id, true), (Column::Source, "source", form.has_key)].into_iter().chain([
            (Column::ExternalId, "external_id", form.has_key),
            (Column::Date, "inventory_date", form.has_date),
        ]);
        for (column, name, is_needed) in needed {
            if is_needed && !list.contains(&column) {
                return Err(LineFault::ColumnMissing(name));
            }
        }
        Ok(Columns { list, form: *form })
    }
}

/// The fields of a row, as far as they have been seen.
#[derive(Default)]
struct Fields<'t> {
    id: Option<&'t str>,
    source: Option<&'t str>,
    external_id: Option<&'t str>,
    date: Option<&'t str>,
    values: Slots<'t>,
}

impl<'t> Fields<'t> {
    fn see(&mut self, column: Column, text: &'t str) {
        match column {
            Column::Property(property) => self.values[property as usize] = Some(text),
            Column::Id => self.id = Some(text.trim()),
            Column::Source => self.source = Some(text.trim()),
            Column::ExternalId => self.external_id = Some(text.trim()),
            Column::Date => self.date = Some(text.trim()),
            Column::Ignored => {}
        }
    }

    fn push(&self, block: &mut Block, form: &FileForm, line: u32) -> Result<(), LineFault> {
        let id = self.id.ok_or(LineFault::FieldMissing(form.id))?;
        let id = id.parse().map_err(|_| LineFault::NoNumber { column: form.id, text: shorten(id) })?;
        let key = |field, text: Option<&'t str>| match text {
            None if form.has_key => Err(LineFault::FieldMissing(field)),
            text => Ok(text.unwrap_or_default()),
        };
        let (source, external_id) = (key("source", self.source)?, key("external_id", self.external_id)?);
        let inventory_date = match self.date {
            Some(date) => date.parse().map_err(|_| LineFault::NoDate(shorten(date)))?,
            None if form.has_date => return Err(LineFault::FieldMissing("inventory_date")),
            None => 0,
        };
        block.push(RowHead { id, source, external_id, inventory_date, line }, &self.values);
        Ok(())
    }
}

/// Takes whole CSV lines apart, and counts them.
pub fn csv_block(text: &str, columns: &Columns) -> Result<(Block, u32), Fault> {
    let mut block = Block::with_capacity(text.len());
    let (mut rest, mut lines) = (text, 0);
    while let Some((record, record_lines)) = next_record(&mut rest) {
        let line = lines + 1;
        lines += record_lines;
        if record.is_empty() {
            continue;
        }
        let (mut fields, mut unquoted, mut count) = (Fields::default(), Vec::new(), 0);
        cells(record, |place, cell| {
            count = place + 1;
            let column = columns.list.get(place).copied().unwrap_or(Column::Ignored);
            match cell {
                Cow::Borrowed(text) => fields.see(column, text),
                Cow::Owned(text) => unquoted.push((column, text)),
            }
        })
        .map_err(|fault| (line, fault.into()))?;
        unquoted.iter().for_each(|(column, text)| fields.see(*column, text));
        if count != columns.list.len() {
            return Err((line, LineFault::CellCount { count, wanted: columns.list.len() }));
        }
        fields.push(&mut block, &columns.form, line).map_err(|fault| (line, fault))?;
    }
    Ok((block, lines))
}

/// Columns of the fields of an object, which nearly always come in one order.
#[derive(Default)]
struct KnownFields(Vec<(String, Column)>);

impl KnownFields {
    fn column(&mut self, nth: usize, name: &str, form: &FileForm) -> Column {
        match self.0.get(nth) {
            Some((known, column)) if known == name => *column,
            known => {
                let column = Column::of(name, form);
                if known.is_none() {
                    self.0.push((name.to_owned(), column));
                }
                column
            }
        }
    }
}

/// Takes whole lines of JSON objects apart, and counts them.
pub fn json_block(text: &str, form: &FileForm) -> Result<(Block, u32), Fault> {
    let mut block = Block::with_capacity(text.len());
    let (mut lines, mut known) = (0, KnownFields::default());
    for record in text.split_inclusive('\n') {
        lines += 1;
        if record.trim().is_empty() {
            continue;
        }
        let (mut values, mut nth, mut seen, mut wrong) = (Vec::new(), 0, Vec::new(), None);
        let at_line = |fault: LineFault| (lines, fault);
        if record.len() > LINE_BYTES_MAX {
            return Err(at_line(CsvFault::TooLong.into()));
        }
        json_lines::fields(record, |name, value| {
            let column = known.column(nth, name, form);
            nth += 1;
            // Fields that nobody knows may hold anything.
            if column == Column::Ignored || wrong.is_some() {
                return;
            }
            if seen.contains(&column) {
                wrong = Some(LineFault::FieldTwice(shorten(name)));
                return;
            }
            seen.push(column);
            match value {
                Ok(value) => values.extend(value.map(|value| (column, value))),
                Err(Unsuitable::Nested) => wrong = Some(LineFault::FieldNested(shorten(name))),
                Err(Unsuitable::Inexact) => wrong = Some(LineFault::FieldInexact(shorten(name))),
            }
        })
        .map_err(|fault| at_line(fault.into()))?;
        if let Some(fault) = wrong {
            return Err(at_line(fault));
        }
        let mut fields = Fields::default();
        values.iter().for_each(|(column, text)| fields.see(*column, text));
        fields.push(&mut block, form, lines).map_err(at_line)?;
    }
    Ok((block, lines))
}
