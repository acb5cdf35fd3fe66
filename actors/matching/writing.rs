//! What `muster match` writes: CSV or NDJSON, in place only when it is whole.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use muster::matching::{How, MatchedSets, Outcome, Rows, ranked};
use muster::model::computer::Property;
use tempfile::NamedTempFile;

/// Why an output was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: std::io::Error,
}

/// One cell of an output.
enum Cell<'a> {
    Unsigned(u64),
    Signed(i64),
    Text(&'a str),
    Flag(bool),
    Null,
}

/// A table on its way to a file, or to stdout.
struct Output {
    out: Box<dyn Write>,
    names: Vec<&'static str>,
    is_json: bool,
    /// The row that is being made.
    line: Vec<u8>,
}

/// Writes to `path` through a file beside it, which takes its name at the end; without one to stdout.
fn write(
    path: Option<&Path>,
    names: Vec<&'static str>,
    rows: impl FnOnce(&mut Output) -> std::io::Result<()>,
) -> Result<(), WriteError> {
    let shown = || path.unwrap_or(Path::new("stdout")).to_owned();
    let failed = |source| WriteError { path: shown(), source };
    let is_json = path.and_then(Path::extension).is_some_and(|name| name == "ndjson" || name == "jsonl");
    let Some(path) = path else {
        let out = Box::new(BufWriter::with_capacity(1 << 18, std::io::stdout()));
        let mut output = Output { out, names, is_json, line: Vec::new() };
        return output.head().and_then(|()| rows(&mut output)).and_then(|()| output.out.flush()).map_err(failed);
    };
    // Devices and pipes have no name to take.
    let is_special = std::fs::metadata(path).is_ok_and(|known| !known.is_file());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if is_special {
        let file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        let mut output =
            Output { out: Box::new(BufWriter::with_capacity(1 << 18, file)), names, is_json, line: Vec::new() };
        return output.head().and_then(|()| rows(&mut output)).and_then(|()| output.out.flush()).map_err(failed);
    }
    let temporary = NamedTempFile::new_in(folder).map_err(failed)?;
    let file = temporary.as_file().try_clone().map_err(failed)?;
    let mut output =
        Output { out: Box::new(BufWriter::with_capacity(1 << 18, file)), names, is_json, line: Vec::new() };
    output.head().and_then(|()| rows(&mut output)).and_then(|()| output.out.flush()).map_err(failed)?;
    temporary.persist(path).map(drop).map_err(|error| failed(error.error))
}

impl Output {
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
                    Cell::Flag(flag) => self.line.extend_from_slice(if flag { b"true" } else { b"false" }),
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
                Cell::Flag(flag) => self.line.extend_from_slice(if flag { b"true" } else { b"false" }),
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
    let mut set_of = vec![0_u32; rows.count()];
    for (place, set) in (0..).zip(sets.iter()) {
        set.members.iter().for_each(|&member| set_of[member as usize] = place);
    }
    write(path, vec!["record_id", "group", "matcher"], |output| {
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
    write(path, vec!["kind", "id", "device", "matcher", "how"], |output| {
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
    write(Some(path), names.collect(), |output| {
        for (place, set) in sets.iter().enumerate() {
            let members = ranked(rows, set.members, primary);
            let group = set.id(rows);
            let new;
            let device = match outcome.map(|outcome| outcome.sets[place].device) {
                None => None,
                Some(Some(device)) => Some(Cell::Unsigned(device.0)),
                Some(None) => {
                    new = format!("new:{group}");
                    Some(Cell::Text(&new))
                }
            };
            let date = members.iter().map(|&member| rows.inventory_date(member as usize)).max().unwrap_or_default();
            let first = |property| members.iter().find_map(|&member| rows.text(member as usize, property));
            let serial = members.iter().find(|&&member| rows.text(member as usize, Property::SerialNo).is_some());
            let value = |property| match property {
                // It travels with the serial number.
                Property::UntrustedSerialNo => {
                    Cell::Flag(serial.is_some_and(|&member| rows.text(member as usize, property) == Some("true")))
                }
                _ => first(property).map_or(Cell::Null, Cell::Text),
            };
            let head = device.into_iter().chain([Cell::Unsigned(group), Cell::Signed(date)]);
            output.row(head.chain(Property::ALL.map(value)))?;
        }
        Ok(())
    })
}
