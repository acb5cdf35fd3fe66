//! Records, devices and bindings of a file into a table: CSV, or NDJSON by the file's extension.
//!
//! The file is read in pieces of some MiB that end with a record; as many pieces as there are threads are taken apart at
//! once, and the memory of a piece serves the next one.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use muster::formats::csv_lines::{CsvFault, LINE_BYTES_MAX, cells, next_record, whole_records};
use muster::formats::json_lines;
use muster::matching::{Block, DuplicateRow, RowHead, Table};
use muster::model::computer::Property;
use rayon::prelude::*;

/// Bytes of a piece.
const PIECE_BYTES: usize = 4 << 20;

/// What stands in a file.
#[derive(Clone, Copy, Debug)]
pub struct FileForm {
    /// The column of the row's number.
    id: &'static str,
    /// Whether rows have source and external_id.
    has_key: bool,
    has_date: bool,
    /// Properties that are not read.
    without: &'static [Property],
    is_id_unique: bool,
}

/// The records of an import.
pub const RECORDS: FileForm =
    FileForm { id: "record_id", has_key: true, has_date: true, without: &[], is_id_unique: true };
/// Stored devices; their ObjectType is computed, whatever the file says.
pub const DEVICES: FileForm = FileForm {
    id: "device_id",
    has_key: false,
    has_date: false,
    without: &[Property::ObjectType],
    is_id_unique: true,
};
/// The records bound to devices, with their strong keys.
pub const BINDINGS: FileForm =
    FileForm { id: "device_id", has_key: true, has_date: false, without: &[], is_id_unique: false };

/// Why a file cannot be matched.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("`{}` line {line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u32,
        /// What is wrong, and what to write.
        fault: LineFault,
    },
    /// Two rows are one.
    #[error("`{}` {fault}", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// Which.
        fault: DuplicateRow,
    },
    /// More rows than can be numbered.
    #[error("`{}` has more than {} rows", path.display(), u32::MAX)]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

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
type Fault = (u32, LineFault);

/// Reads a whole file.
pub fn read_table(path: &Path, form: &FileForm) -> Result<Table, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let is_json = path.extension().is_some_and(|name| name == "ndjson" || name == "jsonl");
    let mut columns: Option<Columns> = None;
    let (mut blocks, mut lines, mut rows) = (Vec::new(), 0_u32, 0_usize);
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new(); rayon::current_num_threads()];
    let mut rest: Vec<u8> = Vec::new();
    let mut is_first = true;
    loop {
        let mut count = 0;
        for piece in &mut pieces {
            if !next_piece(&mut file, &mut rest, piece).map_err(unreadable)? {
                break;
            }
            count += 1;
        }
        if count == 0 {
            break;
        }
        let at_line = |(line, fault): Fault| ReadError::Line { path: path.to_owned(), line: lines + line, fault };
        let mut header_bytes = 0;
        if std::mem::take(&mut is_first) {
            let mark = usize::from(pieces[0].starts_with(b"\xef\xbb\xbf")) * 3;
            header_bytes = mark;
            if !is_json {
                let text = text_of(&pieces[0][mark..]).map_err(at_line)?;
                let mut left = text;
                let (header, header_lines) = next_record(&mut left).unwrap_or_default();
                columns = Some(Columns::new(header, form).map_err(|fault| at_line((1, fault)))?);
                header_bytes += text.len() - left.len();
                lines += header_lines;
            }
        }
        let parsed: Vec<Result<(Block, u32), Fault>> = pieces[..count]
            .par_iter()
            .enumerate()
            .map(|(nth, piece)| {
                let text = text_of(if nth == 0 { &piece[header_bytes..] } else { piece })?;
                match &columns {
                    Some(columns) => csv_block(text, columns),
                    None => json_block(text, form),
                }
            })
            .collect();
        for block in parsed {
            let at_line = |(line, fault): Fault| ReadError::Line { path: path.to_owned(), line: lines + line, fault };
            let (block, block_lines) = block.map_err(at_line)?;
            rows += block.count();
            blocks.push((block, lines));
            lines = lines.saturating_add(block_lines);
        }
        if rows > u32::MAX as usize / 2 {
            return Err(ReadError::TooMany { path: path.to_owned() });
        }
    }
    if columns.is_none() && !is_json {
        return Err(ReadError::Line { path: path.to_owned(), line: 1, fault: LineFault::NoHeader });
    }
    drop((pieces, rest));
    let table = Table::new(blocks);
    let duplicate = |fault| ReadError::Duplicate { path: path.to_owned(), fault };
    if form.is_id_unique {
        table.check_ids().map_err(duplicate)?;
    }
    if form.has_key {
        table.check_keys().map_err(duplicate)?;
    }
    Ok(table)
}

/// Fills `piece` with whole records: `rest` of the last one, then the file. The end of the file ends a record; so does
/// one that is too long, and whoever takes it apart refuses it. False at the end.
fn next_piece(file: &mut File, rest: &mut Vec<u8>, piece: &mut Vec<u8>) -> std::io::Result<bool> {
    piece.clear();
    piece.append(rest);
    loop {
        let wanted = PIECE_BYTES.max(piece.len() + LINE_BYTES_MAX) - piece.len();
        if file.by_ref().take(wanted as u64).read_to_end(piece)? == 0 {
            return Ok(!piece.is_empty());
        }
        let whole = whole_records(piece);
        if whole > 0 || piece.len() > 4 * PIECE_BYTES {
            let whole = if whole > 0 { whole } else { piece.len() };
            rest.extend_from_slice(&piece[whole..]);
            piece.truncate(whole);
            return Ok(true);
        }
    }
}

fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
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
struct Columns {
    list: Vec<Column>,
    form: FileForm,
}

impl Columns {
    fn new(header: &str, form: &FileForm) -> Result<Columns, LineFault> {
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
        let needed = [(Column::Id, form.id, true), (Column::Source, "source", form.has_key)]
            .into_iter()
            .chain([(Column::ExternalId, "external_id", form.has_key), (Column::Date, "inventory_date", form.has_date)]);
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
    id: Option<Cow<'t, str>>,
    source: Option<Cow<'t, str>>,
    external_id: Option<Cow<'t, str>>,
    date: Option<Cow<'t, str>>,
    values: [Option<Cow<'t, str>>; Property::COUNT],
}

impl<'t> Fields<'t> {
    fn see(&mut self, column: Column, text: Cow<'t, str>) {
        match column {
            Column::Id => self.id = Some(text),
            Column::Source => self.source = Some(text),
            Column::ExternalId => self.external_id = Some(text),
            Column::Date => self.date = Some(text),
            Column::Property(property) => self.values[property as usize] = Some(text),
            Column::Ignored => {}
        }
    }

    fn push(self, block: &mut Block, form: &FileForm, line: u32) -> Result<(), LineFault> {
        let id = self.id.as_deref().ok_or(LineFault::FieldMissing(form.id))?.trim();
        let id = id.parse().map_err(|_| LineFault::NoNumber { column: form.id, text: shown(id) })?;
        let key = |field, text: &'_ Option<Cow<'t, str>>| match text {
            None if form.has_key => Err(LineFault::FieldMissing(field)),
            _ => Ok(()),
        };
        key("source", &self.source).and(key("external_id", &self.external_id))?;
        let [source, external_id] = [&self.source, &self.external_id].map(|text| text.as_deref().unwrap_or_default());
        let inventory_date = match self.date.as_deref().map(str::trim) {
            Some(date) => date.parse().map_err(|_| LineFault::NoDate(shown(date)))?,
            None if form.has_date => return Err(LineFault::FieldMissing("inventory_date")),
            None => 0,
        };
        let slots = std::array::from_fn(|place| self.values[place].as_deref());
        block.push(RowHead { id, source: source.trim(), external_id: external_id.trim(), inventory_date, line }, &slots);
        Ok(())
    }
}

/// What is shown of a text that is wrong.
fn shown(text: &str) -> String {
    muster::id::shorten(text).into()
}

fn csv_block(text: &str, columns: &Columns) -> Result<(Block, u32), Fault> {
    let mut block = Block::with_capacity(text.len());
    let (mut rest, mut lines) = (text, 0);
    while let Some((record, record_lines)) = next_record(&mut rest) {
        let line = lines + 1;
        lines += record_lines;
        if record.is_empty() {
            continue;
        }
        let (mut fields, mut count) = (Fields::default(), 0);
        cells(record, |place, cell| {
            count = place + 1;
            fields.see(columns.list.get(place).copied().unwrap_or(Column::Ignored), cell);
        })
        .map_err(|fault| (line, fault.into()))?;
        if count != columns.list.len() {
            return Err((line, LineFault::CellCount { count, wanted: columns.list.len() }));
        }
        fields.push(&mut block, &columns.form, line).map_err(|fault| (line, fault))?;
    }
    Ok((block, lines))
}

fn json_block(text: &str, form: &FileForm) -> Result<(Block, u32), Fault> {
    let mut block = Block::with_capacity(text.len());
    let mut lines = 0;
    for record in text.split_inclusive('\n') {
        lines += 1;
        if record.trim().is_empty() {
            continue;
        }
        let mut fields = Fields::default();
        let at_line = |fault: LineFault| (lines, fault);
        if record.len() > LINE_BYTES_MAX {
            return Err(at_line(CsvFault::TooLong.into()));
        }
        json_lines::fields(record, |name, value| {
            if let Some(value) = value {
                fields.see(Column::of(name, form), value);
            }
        })
        .map_err(|fault| at_line(fault.into()))?;
        fields.push(&mut block, form, lines).map_err(at_line)?;
    }
    Ok((block, lines))
}
