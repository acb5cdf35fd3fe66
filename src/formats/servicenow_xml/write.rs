//! Writing: rows first, because the head carries their digest.

use super::{Head, Question, Response, TransactionType};
use crate::id::{Digest, Guid};

const ROWS_START: &[u8] = b"<rows>";
const ROWS_END: &[u8] = b"</rows>";

/// The `<rows>` of one segment while it grows.
#[derive(Clone, Debug)]
pub struct RowsWriter {
    bytes: Vec<u8>,
    records: u32,
}

impl Default for RowsWriter {
    fn default() -> RowsWriter {
        RowsWriter { bytes: ROWS_START.to_vec(), records: 0 }
    }
}

impl RowsWriter {
    /// Rows so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Bytes of `<rows>` if it ended here.
    pub fn bytes_used(&self) -> usize {
        self.bytes.len() + ROWS_END.len()
    }

    /// Adds a row written by [`row_bytes`].
    pub fn push(&mut self, row: &[u8]) {
        self.bytes.extend_from_slice(row);
        self.records += 1;
    }

    /// The bytes of `<rows>` and their digest.
    pub fn finish(mut self) -> (Vec<u8>, Digest) {
        self.bytes.extend_from_slice(ROWS_END);
        let digest = Digest::of(&self.bytes);
        (self.bytes, digest)
    }
}

/// One `<row>`: an element per column, names as given. Columns without a value are left out.
///
/// Names come from the program and must be XML names.
pub fn row_bytes(columns: &[(&'static str, String)]) -> Vec<u8> {
    let mut out = b"<row>".to_vec();
    for (name, value) in columns {
        debug_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "a column is an XML name: {name}");
        if value.is_empty() {
            continue;
        }
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
        push_text(&mut out, value);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
    }
    out.extend_from_slice(b"</row>");
    out
}

/// A segment: `rows` must be the bytes that `head.digest` was taken of.
pub fn write_transaction(head: &Head, rows: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() + 512);
    let Head { id, kind, run, sequence, total, records, mode, since, digest } = head;
    out.extend_from_slice(b"<transaction");
    attribute(&mut out, "id", &id.to_string());
    attribute(&mut out, "type", kind.as_str());
    attribute(&mut out, "run", &run.to_string());
    attribute(&mut out, "sequence", &sequence.to_string());
    attribute(&mut out, "total", &total.to_string());
    attribute(&mut out, "records", &records.to_string());
    attribute(&mut out, "mode", mode.as_str());
    if let Some(since) = since {
        attribute(&mut out, "since", &since.to_rfc3339());
    }
    attribute(&mut out, "digest", &format!("sha256:{digest}"));
    out.push(b'>');
    out.extend_from_slice(rows);
    out.extend_from_slice(b"</transaction>");
    out
}

/// A question. `id` names this one question: it creates no record, so nothing ever refers to it.
pub fn write_question(id: Guid, question: &Question) -> Vec<u8> {
    let mut out = b"<transaction".to_vec();
    attribute(&mut out, "id", &id.to_string());
    match question {
        Question::ConnectionTest { run } => {
            attribute(&mut out, "type", TransactionType::ConnectionTest.as_str());
            if let Some(run) = run {
                attribute(&mut out, "run", &run.to_string());
            }
            out.extend_from_slice(b"><rows></rows>");
        }
        Question::Status { run, transaction } => {
            attribute(&mut out, "type", TransactionType::ExportStatus.as_str());
            out.extend_from_slice(b"><status");
            attribute(&mut out, "run", &run.to_string());
            if let Some(transaction) = transaction {
                attribute(&mut out, "transaction", &transaction.to_string());
            }
            out.extend_from_slice(b"/>");
        }
    }
    out.extend_from_slice(b"</transaction>");
    out
}

/// An answer.
pub fn write_response(response: &Response) -> Vec<u8> {
    let mut out = b"<response".to_vec();
    attribute(&mut out, "code", &response.code.number().to_string());
    attribute(&mut out, "state", response.state.map_or("", |state| state.as_str()));
    attribute(&mut out, "transaction", &response.transaction);
    attribute(&mut out, "run", &response.run);
    attribute(&mut out, "duplicate", if response.duplicate { "true" } else { "false" });
    if let Some(counts) = response.counts {
        attribute(&mut out, "received", &counts.received.to_string());
        attribute(&mut out, "succeeded", &counts.succeeded.to_string());
        attribute(&mut out, "failed", &counts.failed.to_string());
        attribute(&mut out, "pending", &counts.pending.to_string());
    }
    out.extend_from_slice(b"><message>");
    push_text(&mut out, &response.message);
    out.extend_from_slice(b"</message></response>");
    out
}

fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    push_text(out, value);
    out.push(b'"');
}

/// Text that any XML 1.0 parser gives back unchanged, but for characters that XML cannot carry at all: those become
/// U+FFFD, because one odd byte in a computer name must not cost a segment.
fn push_text(out: &mut Vec<u8>, text: &str) {
    let mut buffer = [0; 4];
    for c in text.chars() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            // Parsers turn bare ones into a line feed, or in an attribute into a space.
            '\r' => out.extend_from_slice(b"&#13;"),
            '\n' => out.extend_from_slice(b"&#10;"),
            '\t' => out.extend_from_slice(b"&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.extend_from_slice("\u{fffd}".as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}
