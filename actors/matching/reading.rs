//! Records, devices and bindings of a file into a table: CSV, or NDJSON by the file's extension.
//!
//! The file is read in pieces of some MiB that end with a record; as many pieces as there are threads are taken apart at
//! once, and the memory of a piece serves the next one.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use muster::formats::csv_lines::{LINE_BYTES_MAX, next_record, whole_records};
use muster::matching::file_rows::{Columns, Fault, FileForm, LineFault, csv_block, json_block, text_of};
use muster::matching::{Block, DuplicateRow, Table};
use rayon::prelude::*;

/// Bytes of a piece.
const PIECE_BYTES: usize = 4 << 20;
/// Records and devices together are numbered by 32 bits.
const ROWS_MAX: usize = u32::MAX as usize / 2;

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
    #[error("`{}` has more than {ROWS_MAX} rows; match it in parts", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a whole file.
pub fn read_table(path: &Path, form: &FileForm) -> Result<Table, ReadError> {
    let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let is_json = path.extension().is_some_and(|name| name == "ndjson" || name == "jsonl");
    let whole = if is_json { whole_lines } else { whole_records };
    let mut columns: Option<Columns> = None;
    let (mut blocks, mut lines, mut rows) = (Vec::new(), 0_u32, 0_usize);
    let mut pieces: Vec<Vec<u8>> = vec![Vec::new(); rayon::current_num_threads()];
    let mut rest: Vec<u8> = Vec::new();
    let mut is_first = true;
    loop {
        let mut count = 0;
        for piece in &mut pieces {
            if !next_piece(&mut file, &mut rest, piece, whole).map_err(unreadable)? {
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
        if rows > ROWS_MAX {
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
/// one that is too long, and whoever takes it apart refuses it. `whole` tells how many bytes whole records take. False at
/// the end.
fn next_piece(
    file: &mut File,
    rest: &mut Vec<u8>,
    piece: &mut Vec<u8>,
    whole: fn(&[u8]) -> usize,
) -> std::io::Result<bool> {
    piece.clear();
    piece.append(rest);
    loop {
        let wanted = PIECE_BYTES.max(piece.len() + LINE_BYTES_MAX) - piece.len();
        if file.by_ref().take(wanted as u64).read_to_end(piece)? == 0 {
            return Ok(!piece.is_empty());
        }
        let mut end = whole(piece);
        if end == 0 && piece.len() > 4 * PIECE_BYTES {
            // Not within a character, so that it is refused for its length.
            let begins_character = |byte: &u8| *byte & 0xc0 != 0x80;
            end = piece.iter().rposition(begins_character).unwrap_or(piece.len());
        }
        if end > 0 {
            rest.extend_from_slice(&piece[end..]);
            piece.truncate(end);
            return Ok(true);
        }
    }
}

/// Objects have no line end within them.
fn whole_lines(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}
