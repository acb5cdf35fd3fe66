//! A CSV file of computers, as other programs and spreadsheets have them: a row is one record.
//!
//! Its columns are those of a file of records for `muster match`, so such a file is taken as it is: the properties that
//! Matchers read, `external_id`, `inventory_date`; `record_id` and `source` are passed over, whose values the server gives.
//!
//! ```text
//! external_id,inventory_date,ComputerName,ComplianceDomainID,SerialNo,UUID
//! A-1,2026-11-30,pc-1,lab.example,S1,4c4c4544-0031-3010-8031-b2c04f333233
//! ```

use std::io::BufRead;

use hashbrown::HashMap;

use super::business::{BusinessError, RowError, Spelling, TEXT_BYTES_MAX};
use super::computer::{Property, Values};
use crate::formats::business::{STREAM_LIMITS, Table, TableRow, unsuitable};
use crate::id::{Digest, shorten};
use crate::time::{DAY_MS, SECOND_MS, Timestamp};

/// The other program's own name of a computer.
const EXTERNAL_ID: &str = "external_id";
/// When a row was last known to be right.
const DATE: &str = "inventory_date";
/// Columns of files for `muster match` that say nothing here.
const PASSED_OVER: [&str; 2] = ["record_id", "source"];

/// Names of the columns that are read.
pub fn columns() -> impl Iterator<Item = &'static str> {
    let properties = Property::ALL.into_iter().filter(|property| *property != Property::ObjectType);
    [EXTERNAL_ID, DATE].into_iter().chain(properties.map(Property::as_str))
}

/// One computer of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    /// What tells it from other rows, unique in its file.
    pub external_id: Box<str>,
    /// When it was last known to be right; `None`: the file does not say.
    pub collected_at: Option<Timestamp>,
    /// What Matchers read.
    pub values: Values,
}

/// A row that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Which computer it is, when that much can be read.
    pub external_id: Option<Box<str>>,
    /// Where, and what to write.
    pub error: RowError,
}

/// A file of computers that is being read. Memory: that of one row, and 24 bytes for each row so far, so that none stands
/// there twice.
pub struct SheetReader<R> {
    table: Table<R>,
    spelling: Spelling,
    /// Later dates are mistakes.
    now: Timestamp,
    external_id: Option<usize>,
    date: Option<usize>,
    properties: Vec<(Property, usize)>,
    /// The line of each external id, by its first 16 bytes of digest.
    seen: HashMap<[u8; 16], u64>,
    /// Bad rows without an id that reads.
    unnamed: u32,
}

/// Where our column `ours` stands in a file, if it does; case does not matter.
pub(super) fn find_column(header: &[String], spelling: &Spelling, ours: &str) -> Result<Option<usize>, BusinessError> {
    let theirs = spelling.theirs(ours);
    let mut found = header.iter().enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(theirs));
    let place = found.next().map(|(place, _)| place);
    if found.next().is_some() {
        return Err(BusinessError::Header(format!("two columns `{}`: rename one", shorten(theirs))));
    }
    if place.is_none() && spelling.columns.contains_key(ours) {
        let theirs = shorten(theirs);
        let problem = format!("no column `{theirs}`, which the column map names for `{ours}`: mend either");
        return Err(BusinessError::Header(problem));
    }
    Ok(place)
}

/// What stands in place of an external id, to be compared.
fn mark(external_id: &str) -> [u8; 16] {
    let Digest(bytes) = Digest::of(external_id.as_bytes());
    let (mark, _) = bytes.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *mark
}

impl<R: BufRead> SheetReader<R> {
    /// Reads the header. Dates more than a day behind `now` are mistakes: no zone is that far ahead.
    pub fn open(source: R, spelling: Spelling, now: Timestamp) -> Result<SheetReader<R>, BusinessError> {
        let table = Table::open_within(source, spelling.delimiter, STREAM_LIMITS)?;
        let header = table.header();
        let find = |ours: &str| find_column(header, &spelling, ours);
        let (external_id, date) = (find(EXTERNAL_ID)?, find(DATE)?);
        let mut properties = Vec::new();
        for property in Property::ALL.into_iter().filter(|property| *property != Property::ObjectType) {
            properties.extend(find(property.as_str())?.map(|place| (property, place)));
        }
        if properties.is_empty() {
            let known = columns().collect::<Vec<_>>().join(", ");
            let problem =
                format!("no column that Matchers read: rename columns, or name them in a column map; known: {known}");
            return Err(BusinessError::Header(problem));
        }
        if external_id.is_none() && !properties.iter().any(|(property, _)| *property == Property::ComputerName) {
            let problem = "neither a column `external_id` nor `ComputerName`: one of them has to tell the rows apart";
            return Err(BusinessError::Header(problem.into()));
        }
        let is_ours = |place: usize| {
            Some(place) == external_id || Some(place) == date || properties.iter().any(|(_, ours)| *ours == place)
        };
        let is_known = |name: &str| {
            let mut passed = PASSED_OVER.into_iter().chain([Property::ObjectType.as_str()]);
            passed.any(|passed| passed.eq_ignore_ascii_case(name))
        };
        let mut others = header.iter().enumerate().filter(|(place, name)| !is_ours(*place) && !is_known(name));
        if !spelling.has_others
            && let Some((_, other)) = others.next()
        {
            let (other, known) = (shorten(other), columns().collect::<Vec<_>>().join(", "));
            let problem =
                format!("`{other}` is no column of computers: leave it out, or give a column map; known: {known}");
            return Err(BusinessError::Header(problem));
        }
        Ok(SheetReader { table, external_id, date, properties, now, spelling, seen: HashMap::new(), unnamed: 0 })
    }

    /// Rows so far, bad ones too.
    pub fn rows(&self) -> u32 {
        self.table.rows()
    }

    /// Bad rows so far of which nobody knows what they are rows of.
    pub fn unnamed(&self) -> u32 {
        self.unnamed
    }

    /// Whether some row so far, good or bad, has this external id.
    pub fn has(&self, external_id: &str) -> bool {
        self.seen.contains_key(&mark(external_id))
    }

    /// The next row, or what is wrong with it; `None` at the end. An error is final.
    pub fn next_row(&mut self) -> Result<Option<Result<SheetRow, BadRow>>, BusinessError> {
        let columns = self.table.header().len();
        let Some(row) = self.table.next_row()? else { return Ok(None) };
        let line = row.line;
        if let Some(problem) = row.wrong_width(columns) {
            self.unnamed += 1;
            return Ok(Some(Err(BadRow { external_id: None, error: RowError { line, column: None, problem } })));
        }
        let cells = Cells { row, reader: (&self.spelling, self.now) };
        let bad = |external_id, (column, problem): Wrong| {
            let column = Some(shorten(self.spelling.theirs(column)));
            Ok(Some(Err(BadRow { external_id, error: RowError { line, column, problem } })))
        };
        let external_id = match cells.external_id(self.external_id, &self.properties) {
            Ok(external_id) => external_id,
            Err(wrong) => {
                self.unnamed += 1;
                return bad(None, wrong);
            }
        };
        if let Some(first) = self.seen.insert(mark(&external_id), line) {
            let ours = if self.external_id.is_some() { EXTERNAL_ID } else { Property::ComputerName.as_str() };
            let problem = format!("`{}` stands on line {first} too, remove one of them", shorten(&external_id));
            return bad(Some(external_id), (ours, problem));
        }
        let row = cells.values(&self.properties).and_then(|values| Ok((values, cells.date(self.date)?)));
        match row {
            Ok((values, collected_at)) => Ok(Some(Ok(SheetRow { external_id, collected_at, values }))),
            Err(wrong) => bad(Some(external_id), wrong),
        }
    }
}

/// Our name of a column, and what is wrong in it.
type Wrong = (&'static str, String);

#[derive(Clone, Copy)]
struct Cells<'c> {
    row: TableRow<'c>,
    reader: (&'c Spelling, Timestamp),
}

impl<'c> Cells<'c> {
    fn text(&self, ours: &'static str, place: usize) -> Result<&'c str, Wrong> {
        let text =
            self.row.cell(place).map_err(|_| (ours, "is not UTF-8, save the file as CSV in UTF-8".to_owned()))?;
        unsuitable(text, TEXT_BYTES_MAX).map_or(Ok(text), |problem| Err((ours, problem)))
    }

    /// The column of that name, else the full name of the computer: as for inventory of other tools.
    fn external_id(&self, column: Option<usize>, properties: &[(Property, usize)]) -> Result<Box<str>, Wrong> {
        if let Some(place) = column {
            return match self.text(EXTERNAL_ID, place)? {
                "" => Err((EXTERNAL_ID, "is empty, every row needs one".into())),
                text => Ok(text.into()),
            };
        }
        let property = |wanted: Property| {
            let place = properties.iter().find(|(property, _)| *property == wanted).map(|(_, place)| *place);
            place.map_or(Ok(""), |place| self.text(wanted.as_str(), place))
        };
        match (property(Property::ComputerName)?, property(Property::ComplianceDomainID)?) {
            ("", _) => {
                Err((Property::ComputerName.as_str(), "is empty, every row without external_id needs it".into()))
            }
            (name, "") => Ok(name.to_lowercase().into()),
            (name, domain) => Ok(format!("{name}.{domain}").to_lowercase().into()),
        }
    }

    fn values(&self, properties: &[(Property, usize)]) -> Result<Values, Wrong> {
        let mut values = Vec::with_capacity(properties.len());
        for &(property, place) in properties {
            let text = self.text(property.as_str(), place)?;
            if !text.is_empty() {
                values.push((property, text));
            }
        }
        match values.is_empty() {
            true => Err((EXTERNAL_ID, "is alone: fill a column that Matchers read".into())),
            false => Ok(values.into_iter().collect()),
        }
    }

    fn date(&self, column: Option<usize>) -> Result<Option<Timestamp>, Wrong> {
        let Some(place) = column else { return Ok(None) };
        let text = self.text(DATE, place)?;
        if text.is_empty() {
            return Ok(None);
        }
        let (Spelling { date: form, .. }, now) = self.reader;
        let day = || Timestamp::from_stamp(&format!("{:08}T000000", u32::from(form.read(text)?)));
        // Not of a form without marks, where digits are a day.
        let secs = || text.parse::<u32>().ok().filter(|_| text.len() > 8);
        let date = day().or_else(|| secs().map(|secs| Timestamp(i64::from(secs) * SECOND_MS)));
        let date = date.ok_or_else(|| (DATE, format!("`{}` is no day, write it as {form}", shorten(text))))?;
        if date > now.plus_ms(DAY_MS) {
            return Err((DATE, format!("`{}` lies in the future, mend it", shorten(text))));
        }
        Ok(Some(date))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);

    fn read(text: &str, spelling: Spelling) -> Result<Vec<Result<SheetRow, BadRow>>, String> {
        let mut reader = SheetReader::open(text.as_bytes(), spelling, NOW).map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row().map_err(|error| error.to_string())? {
            rows.push(row);
        }
        Ok(rows)
    }

    fn bad(text: &str) -> Vec<String> {
        let rows = read(text, Spelling::canonical()).unwrap();
        rows.into_iter().filter_map(Result::err).map(|bad| bad.error.to_string()).collect()
    }

    #[test]
    fn a_file_of_records_for_match_is_taken_as_it_is() {
        let text = "record_id,source,external_id,inventory_date,ComputerName,serialno,ObjectType\n\
                    1,sccm,A-1,1735689600,PC-1,S1,Complete\n2,sccm,A-2,,PC-2,,\n";
        let rows: Vec<SheetRow> = read(text, Spelling::canonical()).unwrap().into_iter().map(Result::unwrap).collect();
        let values = [(Property::ComputerName, "PC-1"), (Property::SerialNo, "S1")];
        assert_eq!(
            rows[0],
            SheetRow {
                external_id: "A-1".into(),
                collected_at: Some(Timestamp(1_735_689_600_000)),
                values: values.into_iter().collect()
            }
        );
        assert_eq!((&*rows[1].external_id, rows[1].collected_at, rows.len()), ("A-2", None, 2));
    }

    #[test]
    fn without_external_ids_the_full_name_tells_rows_apart() {
        let text = "ComputerName,ComplianceDomainID,inventory_date\nPC,Lab.example,2025-06-01\nPC,,\npc,lab.example,\n";
        let rows = read(text, Spelling::canonical()).unwrap();
        assert_eq!(&*rows[0].as_ref().unwrap().external_id, "pc.lab.example");
        assert_eq!(rows[0].as_ref().unwrap().collected_at.unwrap().to_rfc3339(), "2025-06-01T00:00:00.000Z");
        assert_eq!(&*rows[1].as_ref().unwrap().external_id, "pc");
        let twice = rows[2].as_ref().unwrap_err();
        assert_eq!(twice.external_id.as_deref(), Some("pc.lab.example"));
        assert_eq!(
            twice.error.to_string(),
            "line 4, column `ComputerName`: `pc.lab.example` stands on line 2 too, remove one of them"
        );
    }

    #[test]
    fn a_bad_row_is_told_with_its_line_and_what_to_write_and_still_says_which_computer_it_is() {
        let text = "external_id,ComputerName,inventory_date\nA,=cmd(),\nB,pc,soon\nC,pc,2031-01-01\n,pc,\nD,pc\nE,,\n\
                    F,\"a\nb\",\nG,-12,\n";
        let problems = bad(text);
        for (problem, part) in problems.iter().zip([
            "line 2, column `ComputerName`: `=cmd()` would be a formula",
            "line 3, column `inventory_date`: `soon` is no day, write it as YYYY-MM-DD",
            "line 4, column `inventory_date`: `2031-01-01` lies in the future",
            "line 5, column `external_id`: is empty",
            "line 6: 2 cells, but the header has 3",
            "line 7, column `external_id`: is alone",
            "line 8, column `ComputerName`: `a\\nb` holds a line break",
        ]) {
            assert!(problem.contains(part), "{problem}");
        }
        assert_eq!(problems.len(), 7);
        let rows = read(text, Spelling::canonical()).unwrap();
        let known: Vec<Option<&str>> =
            rows.iter().filter_map(|row| row.as_ref().err()).map(|bad| bad.external_id.as_deref()).collect();
        assert_eq!(known, [Some("A"), Some("B"), Some("C"), None, None, Some("E"), Some("F")]);
    }

    #[test]
    fn a_header_that_is_not_ours_is_told_with_what_to_do() {
        for (text, part) in [
            ("", "the file is empty"),
            ("ComputerName;SerialNo\n", "write `delimiter = \";\"`"),
            ("name,serial\n", "no column that Matchers read"),
            ("SerialNo\n", "neither a column `external_id` nor `ComputerName`"),
            ("ComputerName,Room\n", "`Room` is no column of computers"),
            ("ComputerName,computername\n", "two columns `ComputerName`: rename one"),
            ("PK\u{3}\u{4}\0\n", "save it as CSV in UTF-8"),
        ] {
            let error = read(text, Spelling::canonical()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let mut spelling = Spelling { has_others: true, ..Spelling::canonical() };
        spelling.columns.insert("SerialNo".into(), "Serial".into());
        assert!(read("ComputerName,Room\n", spelling.clone()).unwrap_err().contains("which the column map names"));
        assert_eq!(read("ComputerName,Room,Serial\npc,7,S\n", spelling).unwrap().len(), 1);
    }

    #[test]
    fn a_row_of_ten_gigabytes_is_refused_in_little_memory() {
        let endless = b"ComputerName\npc\n".chain(std::io::repeat(b'x').take(10 << 30));
        let mut reader = SheetReader::open(std::io::BufReader::new(endless), Spelling::canonical(), NOW).unwrap();
        assert!(reader.next_row().unwrap().unwrap().is_ok());
        let error = reader.next_row().unwrap_err();
        assert!(error.to_string().starts_with("line 3: a row of more than 65536 bytes"), "{error}");
    }
}
