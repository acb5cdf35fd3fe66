//! Reading: one row at a time, every count and length bounded, no document type, no entities of its own.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::{Counts, Head, ImportState, Mode, Question, Response, ReturnCode, TransactionType};
use crate::id::{Digest, Guid, shorten};
use crate::time::Timestamp;

/// Bounds of a transaction. The caller bounds the bytes before it has them all in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of one segment.
    pub rows: u32,
    /// Columns of one row.
    pub columns: usize,
    /// Bytes of a column name.
    pub name_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
}

impl Default for Limits {
    /// Twenty times the segment this project sends, and the longest string a ServiceNow column takes with room for
    /// four-byte characters.
    fn default() -> Limits {
        Limits { rows: 10_000, columns: 128, name_bytes: 80, value_bytes: 16_384 }
    }
}

/// Attributes of one element; ours have at most ten.
const MAX_ATTRIBUTES: usize = 16;

/// Why a document is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not XML, or not text.
    #[error("document is not well-formed at byte {at}: {what}")]
    Syntax {
        /// Offset in the document.
        at: u64,
        /// What the parser says.
        what: String,
    },
    /// XML, but not of the expected shape.
    #[error("{0}")]
    Shape(String),
    /// Over one of the [`Limits`].
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// `type` is none of [`TransactionType::ALL`].
    #[error("unknown transaction type `{0}`")]
    UnknownType(String),
    /// The rows are not those the head announces.
    #[error("rows do not match the head: {0}")]
    Mismatch(String),
}

/// One column of a row: its name as it stands in the document, and its text.
pub type Column<'a> = (&'a str, String);

/// A transaction whose rows were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// With rows; their number and digest are those of the head.
    Segment(Head),
    /// Without rows.
    Question(Guid, Question),
}

/// Reads a transaction and hands each row to `row` in document order. Rows come before their digest is checked: who
/// acts on them checks a document first, or keeps nothing on an error.
pub fn read_transaction(
    bytes: &[u8],
    limits: &Limits,
    mut row: impl FnMut(&[Column<'_>]),
) -> Result<Transaction, ReadError> {
    let mut document = Document::new(bytes)?;
    let start = document.root("transaction")?;
    let attributes = Attributes::of(&start)?;
    let kind_text = attributes.wanted("type")?;
    let kind: TransactionType = kind_text.parse().map_err(|()| ReadError::UnknownType(shorten(kind_text)))?;
    let id = attributes.parsed("id")?;
    let transaction = match kind {
        TransactionType::ExportStatus => {
            let status = document.child("status")?;
            let status = Attributes::of(&status)?;
            let transaction = status.optional("transaction")?;
            let question = Question::Status { run: status.parsed("run")?, transaction };
            document.end("status")?;
            Transaction::Question(id, question)
        }
        TransactionType::ConnectionTest => {
            document.child("rows")?;
            document.end("rows")?;
            Transaction::Question(id, Question::ConnectionTest { run: attributes.optional("run")? })
        }
        TransactionType::InventoryExport | TransactionType::ContractExport | TransactionType::ApplicationExport => {
            let head = segment_head(id, kind, &attributes)?;
            let (records, digest) = read_rows(&mut document, limits, &mut row)?;
            if records != head.records {
                return Err(ReadError::Mismatch(format!("{records} rows, {} announced", head.records)));
            }
            if digest != head.digest {
                return Err(ReadError::Mismatch(format!("their digest is sha256:{digest}")));
            }
            Transaction::Segment(head)
        }
    };
    document.end("transaction")?;
    document.finish()?;
    Ok(transaction)
}

fn segment_head(id: Guid, kind: TransactionType, attributes: &Attributes) -> Result<Head, ReadError> {
    let mode = match attributes.wanted("mode")? {
        "full" => Mode::Full,
        "differential" => Mode::Differential,
        other => return Err(ReadError::Shape(format!("`mode` is `{}`, not full or differential", shorten(other)))),
    };
    let since = match attributes.get("since") {
        None | Some("") => None,
        Some(text) => Some(Timestamp::from_rfc3339(text).ok_or_else(|| unreadable("since", text))?),
    };
    let digest = attributes.wanted("digest")?;
    let digest =
        digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()).ok_or_else(|| unreadable("digest", digest))?;
    let head = Head {
        id,
        kind,
        run: attributes.parsed("run")?,
        sequence: attributes.parsed("sequence")?,
        total: attributes.parsed("total")?,
        records: attributes.parsed("records")?,
        mode,
        since,
        digest,
    };
    if head.sequence == 0 || (head.total != 0 && head.sequence > head.total) {
        return Err(ReadError::Shape(format!("segment {} of {} cannot be", head.sequence, head.total)));
    }
    Ok(head)
}

fn read_rows<'a>(
    document: &mut Document<'a>,
    limits: &Limits,
    row: &mut impl FnMut(&[Column<'a>]),
) -> Result<(u32, Digest), ReadError> {
    document.child("rows")?;
    let from = document.event_at;
    let mut records = 0;
    let mut columns: Vec<Column<'a>> = Vec::new();
    while let Some(name) = document.next_child("rows")? {
        if name != "row" {
            return Err(ReadError::Shape(format!("`{}` where a row should be", shorten(name))));
        }
        if records == limits.rows {
            return Err(ReadError::Limit { what: "rows", limit: limits.rows as usize });
        }
        records += 1;
        columns.clear();
        while let Some(name) = document.next_child("row")? {
            if columns.len() == limits.columns {
                return Err(ReadError::Limit { what: "columns", limit: limits.columns });
            }
            if name.len() > limits.name_bytes {
                return Err(ReadError::Limit { what: "bytes in a column name", limit: limits.name_bytes });
            }
            if columns.iter().any(|(known, _)| *known == name) {
                return Err(ReadError::Shape(format!("column `{}` twice in a row", shorten(name))));
            }
            let value = document.text(name, limits.value_bytes)?;
            columns.push((name, value));
        }
        row(&columns);
    }
    Ok((records, Digest::of(&document.bytes[from..document.position()])))
}

/// Reads an answer. Attributes that are missing count as empty, so that later versions may leave some out.
pub fn read_response(bytes: &[u8]) -> Result<Response, ReadError> {
    let mut document = Document::new(bytes)?;
    let start = document.root("response")?;
    let attributes = Attributes::of(&start)?;
    let count = |name| attributes.optional(name).map(Option::unwrap_or_default);
    let has_counts = ["received", "succeeded", "failed", "pending"].iter().any(|name| attributes.get(name).is_some());
    let counts = if has_counts {
        Some(Counts {
            received: count("received")?,
            succeeded: count("succeeded")?,
            failed: count("failed")?,
            pending: count("pending")?,
        })
    } else {
        None
    };
    let text = |name| attributes.get(name).unwrap_or_default().to_owned();
    let state = match attributes.get("state") {
        None | Some("") => None,
        Some(text) => Some(text.parse::<ImportState>().map_err(|()| unreadable("state", text))?),
    };
    let mut response = Response {
        code: ReturnCode::from_number(attributes.parsed("code")?),
        state,
        transaction: text("transaction"),
        run: text("run"),
        duplicate: attributes.get("duplicate").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        counts,
        message: String::new(),
    };
    while let Some(name) = document.next_child("response")? {
        let value = document.text(name, Limits::default().value_bytes)?;
        if name == "message" {
            response.message = value;
        }
    }
    document.finish()?;
    Ok(response)
}

fn unreadable(name: &str, text: &str) -> ReadError {
    ReadError::Shape(format!("cannot read `{name}` from `{}`", shorten(text)))
}

/// Attributes of one element, unescaped. quick-xml's own duplicate check is quadratic and off.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(start: &BytesStart<'_>) -> Result<Attributes, ReadError> {
        let mut found: Vec<(String, String)> = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| ReadError::Shape(format!("attribute not readable: {error}")))?;
            if found.len() == MAX_ATTRIBUTES {
                return Err(ReadError::Limit { what: "attributes", limit: MAX_ATTRIBUTES });
            }
            let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            let raw = String::from_utf8_lossy(&attribute.value);
            let value = unescape(&raw).map_err(|error| ReadError::Shape(format!("attribute not readable: {error}")))?;
            if found.iter().any(|(known, _)| *known == name) {
                return Err(ReadError::Shape(format!("attribute `{}` twice", shorten(&name))));
            }
            found.push((name, value.into_owned()));
        }
        Ok(Attributes(found))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn wanted(&self, name: &str) -> Result<&str, ReadError> {
        self.get(name).ok_or_else(|| ReadError::Shape(format!("attribute `{name}` is missing")))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, ReadError> {
        let text = self.wanted(name)?;
        text.parse().map_err(|_| unreadable(name, text))
    }

    fn optional<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ReadError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| unreadable(name, text)),
        }
    }
}

/// The document, one event at a time. An empty element counts as its start and its end.
struct Document<'a> {
    reader: Reader<&'a [u8]>,
    bytes: &'a [u8],
    /// Where the last event begins.
    event_at: usize,
}

impl<'a> Document<'a> {
    fn new(bytes: &'a [u8]) -> Result<Document<'a>, ReadError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ReadError::Syntax { at: error.valid_up_to() as u64, what: "not UTF-8".into() })?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Document { reader, bytes, event_at: 0 })
    }

    fn position(&self) -> usize {
        self.reader.buffer_position() as usize
    }

    fn event(&mut self) -> Result<Event<'a>, ReadError> {
        loop {
            self.event_at = self.position();
            let event = self.reader.read_event();
            match event {
                Ok(Event::Comment(_)) => {}
                Ok(Event::DocType(_)) => return Err(ReadError::Shape("a document type is not accepted".into())),
                Ok(Event::PI(_)) => return Err(ReadError::Shape("a processing instruction is not accepted".into())),
                Ok(event) => return Ok(event),
                Err(error) => {
                    return Err(ReadError::Syntax { at: self.reader.error_position(), what: error.to_string() });
                }
            }
        }
    }

    fn root(&mut self, name: &str) -> Result<BytesStart<'a>, ReadError> {
        loop {
            match self.event()? {
                Event::Decl(_) if self.event_at == 0 => {}
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) if start.name().as_ref() == name.as_bytes() => return Ok(start),
                _ => return Err(ReadError::Shape(format!("`{name}` must be the root element"))),
            }
        }
    }

    fn child(&mut self, name: &str) -> Result<BytesStart<'a>, ReadError> {
        loop {
            match self.event()? {
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) if start.name().as_ref() == name.as_bytes() => return Ok(start),
                _ => return Err(ReadError::Shape(format!("`{name}` must come here"))),
            }
        }
    }

    /// Name of the next child, or `None` at the end of `parent`.
    fn next_child(&mut self, parent: &str) -> Result<Option<&'a str>, ReadError> {
        loop {
            match self.event()? {
                Event::Text(text) if is_blank(&text) => {}
                Event::Start(start) => {
                    let from = self.event_at + 1;
                    let name = &self.bytes[from..from + start.name().as_ref().len()];
                    return std::str::from_utf8(name)
                        .map(Some)
                        .map_err(|_| ReadError::Shape("an element name is not text".into()));
                }
                Event::End(_) => return Ok(None),
                _ => return Err(ReadError::Shape(format!("only elements may stand in `{parent}`"))),
            }
        }
    }

    fn end(&mut self, name: &str) -> Result<(), ReadError> {
        match self.next_child(name)? {
            None => Ok(()),
            Some(child) => Err(ReadError::Shape(format!("`{}` may not stand in `{name}`", shorten(child)))),
        }
    }

    /// The text of the element just begun, and its end.
    fn text(&mut self, name: &str, bytes_limit: usize) -> Result<String, ReadError> {
        let mut value = String::new();
        loop {
            match self.event()? {
                Event::Text(text) => {
                    value.push_str(&text.xml10_content().map_err(|error| self.syntax(error))?);
                }
                Event::CData(text) => {
                    value.push_str(&text.xml10_content().map_err(|error| self.syntax(error))?);
                }
                Event::GeneralRef(entity) => {
                    if let Some(c) = entity.resolve_char_ref().map_err(|error| self.syntax(error))? {
                        value.push(c);
                    } else {
                        value.push(match &*entity {
                            b"amp" => '&',
                            b"lt" => '<',
                            b"gt" => '>',
                            b"quot" => '"',
                            b"apos" => '\'',
                            _ => return Err(ReadError::Shape("only the five entities of XML are accepted".into())),
                        });
                    }
                }
                Event::End(_) => return Ok(value),
                _ => return Err(ReadError::Shape(format!("`{}` may hold text only", shorten(name)))),
            }
            if value.len() > bytes_limit {
                return Err(ReadError::Limit { what: "bytes in a value", limit: bytes_limit });
            }
        }
    }

    fn finish(&mut self) -> Result<(), ReadError> {
        loop {
            match self.event()? {
                Event::Eof => return Ok(()),
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(ReadError::Shape("something follows the root element".into())),
            }
        }
    }

    fn syntax(&self, error: impl std::fmt::Display) -> ReadError {
        ReadError::Syntax { at: self.event_at as u64, what: error.to_string() }
    }
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::super::{RowsWriter, row_bytes, write_question, write_response, write_transaction};
    use super::*;

    fn segment(rows: &[&[(&'static str, String)]]) -> (Head, Vec<u8>) {
        let mut writer = RowsWriter::default();
        for row in rows {
            writer.push(&row_bytes(row));
        }
        let records = writer.records();
        let (bytes, digest) = writer.finish();
        let head = Head {
            id: Guid::from_random([1; 16]),
            kind: TransactionType::InventoryExport,
            run: Guid::from_random([2; 16]),
            sequence: 3,
            total: 9,
            records,
            mode: Mode::Differential,
            since: Some(Timestamp(1_741_922_122_000)),
            digest,
        };
        (head, write_transaction(&head, &bytes))
    }

    type Rows = Vec<Vec<(String, String)>>;

    fn read(document: &[u8]) -> Result<(Transaction, Rows), ReadError> {
        let mut rows = Vec::new();
        let keep = |row: &[Column<'_>]| {
            rows.push(row.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        };
        let transaction = read_transaction(document, &Limits::default(), keep)?;
        Ok((transaction, rows))
    }

    #[test]
    fn a_segment_reads_back_as_it_was_written() {
        let odd = "a<b>&\"'\r\n\t ü\u{1f600} ]]>";
        let row = [("ComputerID", "17".to_owned()), ("ComputerName", odd.to_owned()), ("UUID", String::new())];
        let (head, document) = segment(&[&row, &row]);
        let (transaction, rows) = read(&document).unwrap();
        assert_eq!(transaction, Transaction::Segment(head));
        let expected = vec![("ComputerID".to_owned(), "17".to_owned()), ("ComputerName".to_owned(), odd.to_owned())];
        assert_eq!(rows, [expected.clone(), expected]);
    }

    #[test]
    fn a_character_that_xml_cannot_carry_does_not_cost_the_segment() {
        let (_, document) = segment(&[&[("ComputerName", "a\0b\u{1}".to_owned())]]);
        assert_eq!(read(&document).unwrap().1[0][0].1, "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn rows_changed_on_the_way_are_refused() {
        let (_, document) = segment(&[&[("ComputerName", "PC-1".to_owned())]]);
        let text = String::from_utf8(document).unwrap();
        assert!(matches!(read(text.replace("PC-1", "PC-2").as_bytes()), Err(ReadError::Mismatch(_))));
        assert!(matches!(read(text.replace("records=\"1\"", "records=\"2\"").as_bytes()), Err(ReadError::Mismatch(_))));
        // Blanks outside of the rows are no part of the digest; a declaration and a comment are neither.
        let loose = text.replace("<rows>", "\n  <!-- rows --><rows>").replace("</rows>", "</rows>\n");
        assert!(read(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{loose}\n").as_bytes()).is_ok());
    }

    #[test]
    fn what_is_no_transaction_is_refused() {
        let (_, document) = segment(&[&[("ComputerName", "PC-1".to_owned())]]);
        let text = String::from_utf8(document).unwrap();
        for (what, broken) in [
            ("document type", format!("<!DOCTYPE transaction [<!ENTITY a \"b\">]>{text}")),
            ("entity", text.replace("PC-1", "&a;")),
            ("instruction", text.replace("<rows>", "<?php ?><rows>")),
            ("depth", text.replace("PC-1", "<b>PC-1</b>")),
            ("two roots", format!("{text}{text}")),
            ("cut", text[..text.len() - 5].to_owned()),
            ("attribute twice", text.replace("records=", "id=\"x\" records=")),
            ("many attributes", text.replace(" records=", &format!("{} records=", " a=\"1\"".repeat(20)))),
            ("sequence", text.replace("sequence=\"3\"", "sequence=\"10\"")),
            ("other root", text.replace("transaction", "action")),
            ("column twice", text.replace("<row>", "<row><ComputerName>x</ComputerName>")),
            ("empty", String::new()),
        ] {
            assert!(read(broken.as_bytes()).is_err(), "{what}: {broken}");
        }
        let unknown = read(text.replace("inventory_export", "inventory_import").as_bytes());
        assert_eq!(unknown, Err(ReadError::UnknownType("inventory_import".into())));
        assert!(read(b"\xff\xfe").is_err());
    }

    #[test]
    fn limits_hold() {
        let row = [("ComputerName", "PC-1".to_owned()), ("UUID", "x".repeat(100))];
        let (_, document) = segment(&[&row, &row]);
        let with = |limits: Limits| read_transaction(&document, &limits, |_| {});
        assert!(with(Limits::default()).is_ok());
        for limits in [
            Limits { rows: 1, ..Limits::default() },
            Limits { columns: 1, ..Limits::default() },
            Limits { name_bytes: 11, ..Limits::default() },
            Limits { value_bytes: 99, ..Limits::default() },
        ] {
            assert!(matches!(with(limits), Err(ReadError::Limit { .. })), "{limits:?}");
        }
    }

    #[test]
    fn questions_and_answers_read_back() {
        let id = Guid::from_random([1; 16]);
        let run = Guid::from_random([2; 16]);
        for question in [
            Question::ConnectionTest { run: None },
            Question::ConnectionTest { run: Some(run) },
            Question::Status { run, transaction: None },
            Question::Status { run, transaction: Some(id) },
        ] {
            let (transaction, rows) = read(&write_question(id, &question)).unwrap();
            assert_eq!((transaction, rows.len()), (Transaction::Question(id, question), 0));
        }
        let answer = Response {
            code: ReturnCode::Accepted,
            state: Some(ImportState::Processing),
            transaction: "IMT0001003".into(),
            run: "IMR0000042".into(),
            duplicate: true,
            counts: Some(Counts { received: 3, succeeded: 1, failed: 0, pending: 2 }),
            message: "a < b".into(),
        };
        assert_eq!(read_response(&write_response(&answer)), Ok(answer));
        let refusal = Response::of(ReturnCode::Other(99), "");
        assert_eq!(read_response(&write_response(&refusal)), Ok(refusal));
        assert!(read_response(b"<html><body>Sign in</body></html>").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&bytes);
            let _ = read_response(&bytes);
        }

        #[test]
        fn no_spoilt_document_makes_the_reader_panic(at in 0usize..400, byte in proptest::num::u8::ANY) {
            let (_, mut document) = segment(&[&[("ComputerName", "PC-1".to_owned())]]);
            let at = at % document.len();
            document[at] = byte;
            let _ = read(&document);
        }
    }
}
