//! What `muster match` writes: CSV or NDJSON, in place only when it is whole.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use muster::matching::{How, MatchedSets, Outcome, Rows, merge_rows};
use muster::model::computer::Property;

use crate::whole_file::{WriteError, write_file};

/// One cell of an output.
enum Cell<'a> {
    Unsigned(u64),
    Signed(i64),
    Text(&'a str),
    Flag(bool),
    Null,
}

/// A table on its way to a file, or to stdout.
struct Output<'w> {
    out: BufWriter<&'w mut dyn Write>,
    names: Vec<&'static str>,
    is_json: bool,
    /// The row that is being made.
    line: Vec<u8>,
}

/// What fills a table.
type Fill<'f> = &'f dyn Fn(&mut Output<'_>) -> std::io::Result<()>;

/// Writes to `path` through a file beside it, which takes its name at the end; without one to stdout.
fn write(path: Option<&Path>, names: Vec<&'static str>, fill: Fill<'_>) -> Result<(), WriteError> {
    let is_json = path.and_then(Path::extension).is_some_and(|name| name == "ndjson" || name == "jsonl");
    let write_to = |out: &mut dyn Write| {
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let mut output = Output { out, names, is_json, line: Vec::new() };
        output.head()?;
        fill(&mut output)?;
        output.out.flush()
    };
    let Some(path) = path else {
        return match write_to(&mut std::io::stdout()) {
            // Whoever closed our stdout has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(|source| WriteError::new("stdout", source)),
        };
    };
    write_file(path, write_to)
}

/// Writes the report of the import, as JSON.
pub fn write_report(path: &Path, report: &serde_json::Value) -> Result<(), WriteError> {
    write_file(path, |out| writeln!(out, "{report:#}"))
}

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 18;

impl Output<'_> {
    fn head(&mut self) -> std::io::Result<()> {
        if self.is_json {
            return Ok(());
        }
        self.out.write_all(self.names.join(",").as_bytes())?;
        self.out.write_all(b"\n")
    }

    fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> std::io::Result<()> {
        self.line.clear();
        for (place, cell) in cells.into_iter().enumerate() {
            let mut number = itoa::Buffer::new();
            if self.is_json {
                self.line.extend_from_slice(if place == 0 { b"{\"" } else { b",\"" });
                self.line.extend_from_slice(self.names[place].as_bytes());
                self.line.extend_from_slice(b"\":");
                match cell {
                    Cell::Text(text) => serde_json::to_writer(&mut self.line, text)?,
                    Cell::Null => self.line.extend_from_slice(b"null"),
                    Cell::Flag(flag) => self.line.extend_from_slice(flag.to_string().as_bytes()),
                    Cell::Unsigned(value) => self.line.extend_from_slice(number.format(value).as_bytes()),
                    Cell::Signed(value) => self.line.extend_from_slice(number.format(value).as_bytes()),
                }
                continue;
            }
            if place > 0 {
                self.line.push(b',');
            }
            match cell {
                Cell::Text(text) => quote(text, &mut self.line),
                Cell::Null => {}
                Cell::Flag(flag) => self.line.extend_from_slice(flag.to_string().as_bytes()),
                Cell::Unsigned(value) => self.line.extend_from_slice(number.format(value).as_bytes()),
                Cell::Signed(value) => self.line.extend_from_slice(number.format(value).as_bytes()),
            }
        }
        self.line.extend_from_slice(if self.is_json { b"}\n" } else { b"\n" });
        self.out.write_all(&self.line)
    }
}

/// No quoting unless the value holds a comma, quote or line end.
fn quote(text: &str, line: &mut Vec<u8>) {
    if !text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return line.extend_from_slice(text.as_bytes());
    }
    line.push(b'"');
    line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    line.push(b'"');
}

/// `record_id,group,matcher`, ascending by record_id.
pub fn write_sets(path: Option<&Path>, rows: &dyn Rows, sets: &MatchedSets) -> Result<(), WriteError> {
    let set_of = sets.set_of();
    write(path, vec!["record_id", "group", "matcher"], &|output| {
        for (row, set) in set_of.iter().enumerate() {
            let set = sets.get(*set as usize);
            let (record, group) = (rows.record_id(row), set.id(rows));
            output.row([Cell::Unsigned(record), Cell::Unsigned(group), Cell::Signed(set.matcher.unwrap_or(0))])?;
        }
        Ok(())
    })
}

/// `kind,id,device,matcher,how`: the sets, then the devices that were merged.
pub fn write_outcome(path: Option<&Path>, outcome: &Outcome) -> Result<(), WriteError> {
    write(path, vec!["kind", "id", "device", "matcher", "how"], &|output| {
        for set in &outcome.sets {
            let (matcher, how) = match set.how {
                How::Matcher(order) => (order, "matcher"),
                How::Binding => (0, "binding"),
                How::New => (0, "new"),
            };
            let device = set.device.map_or(Cell::Null, |device| Cell::Unsigned(device.0));
            output.row([
                Cell::Text("group"),
                Cell::Unsigned(set.group),
                device,
                Cell::Signed(matcher),
                Cell::Text(how),
            ])?;
        }
        for merge in &outcome.merges {
            output.row([
                Cell::Text("device"),
                Cell::Unsigned(merge.loser.0),
                Cell::Unsigned(merge.winner.0),
                Cell::Null,
                Cell::Text("merged"),
            ])?;
        }
        Ok(())
    })
}

/// The merged values of each set; with `outcome` behind the device it belongs to.
pub fn write_merged(
    path: &Path,
    rows: &dyn Rows,
    sets: &MatchedSets,
    outcome: Option<&Outcome>,
    primary: Option<&str>,
) -> Result<(), WriteError> {
    let device = outcome.is_some().then_some("device");
    let names = device.into_iter().chain(["group", "inventory_date"]).chain(Property::ALL.map(Property::as_str));
    write(Some(path), names.collect(), &|output| {
        for (place, set) in sets.iter().enumerate() {
            let (values, date) = merge_rows(rows, set.members, primary);
            let group = set.id(rows);
            let new = format!("new:{group}");
            let device = outcome.map(|outcome| match outcome.sets[place].device {
                Some(device) => Cell::Unsigned(device.0),
                None => Cell::Text(&new),
            });
            let head = device.into_iter().chain([Cell::Unsigned(group), Cell::Signed(date)]);
            let property = |property: Property| match (values[property as usize], property) {
                (None, _) => Cell::Null,
                // A flag is none in quotes.
                (Some(text), Property::UntrustedSerialNo) => Cell::Flag(text == "true"),
                (Some(text), _) => Cell::Text(text),
            };
            output.row(head.chain(Property::ALL.map(property)))?;
        }
        Ok(())
    })
}
