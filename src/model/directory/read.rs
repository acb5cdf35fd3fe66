//! Reads a file of a directory service, row by row.

use std::io::BufRead;

use hashbrown::HashMap;

use super::{Cidr, DirectoryEntry, DirectoryKind};
use crate::formats::business::{Table, TableLimits, TableRow, unsuitable};
use crate::id::shorten;
use crate::model::business::{BusinessError, RowError, Spelling, TEXT_BYTES_MAX};
use crate::model::sheet::find_column;

/// Its rows are sorted in memory.
const LIMITS: TableLimits = TableLimits { rows: 500_000, bytes: 128 << 20 };
/// Longest name that DNS has, in bytes.
const DNS_BYTES_MAX: usize = 253;

/// A file that is being read. Memory: its keys.
pub struct DirectoryReader<R> {
    table: Table<R>,
    kind: DirectoryKind,
    spelling: Spelling,
    places: Vec<Option<usize>>,
    /// The line of each key.
    seen: HashMap<Box<str>, u64>,
}

impl<R: BufRead> DirectoryReader<R> {
    /// Reads the header. Columns that are not ours are passed over: directory services export many.
    pub fn open(source: R, kind: DirectoryKind, spelling: Spelling) -> Result<DirectoryReader<R>, BusinessError> {
        let table = Table::open_within(source, spelling.delimiter, LIMITS)?;
        let mut places = Vec::new();
        for column in kind.columns() {
            let place = find_column(table.header(), &spelling, column.name)?;
            if place.is_none() && column.is_required {
                let header: Vec<String> =
                    table.header().iter().take(24).map(|name| format!("`{}`", shorten(name))).collect();
                let problem = format!(
                    "no column `{}` for {kind} (columns: {}): add it, or name it in a column map",
                    column.name,
                    header.join(", ")
                );
                return Err(BusinessError::Header(problem));
            }
            places.push(place);
        }
        Ok(DirectoryReader { table, kind, spelling, places, seen: HashMap::new() })
    }

    /// Rows so far, bad ones too.
    pub fn rows(&self) -> u32 {
        self.table.rows()
    }

    /// The next row, or what is wrong with it; `None` at the end. An error is final.
    pub fn next_row(&mut self) -> Result<Option<Result<DirectoryEntry, RowError>>, BusinessError> {
        let columns = self.table.header().len();
        let Some(row) = self.table.next_row()? else { return Ok(None) };
        let line = row.line;
        if let Some(problem) = row.wrong_width(columns) {
            return Ok(Some(Err(RowError { line, column: None, problem })));
        }
        let bad = |(ours, problem): (&str, String)| {
            let column = Some(shorten(self.spelling.theirs(ours)));
            Ok(Some(Err(RowError { line, column, problem })))
        };
        let entry = match entry(self.kind, row, &self.places) {
            Ok(entry) => entry,
            Err(wrong) => return bad(wrong),
        };
        if let Some(first) = self.seen.get(&entry.key) {
            let ours = self.kind.columns()[0].name;
            return bad((ours, format!("`{}` stands on line {first} too, remove one of them", shorten(&entry.key))));
        }
        self.seen.insert(entry.key.clone(), line);
        Ok(Some(Ok(entry)))
    }
}

fn entry(
    kind: DirectoryKind,
    row: TableRow<'_>,
    places: &[Option<usize>],
) -> Result<DirectoryEntry, (&'static str, String)> {
    let mut cells: Vec<Box<str>> = Vec::with_capacity(places.len());
    for (column, place) in kind.columns().iter().zip(places) {
        let wrong = |problem: String| (column.name, problem);
        let text = match place {
            None => "",
            Some(place) => row.cell(*place).map_err(|_| wrong("is not UTF-8, save the file as CSV in UTF-8".into()))?,
        };
        if let Some(problem) = unsuitable(text, TEXT_BYTES_MAX) {
            return Err(wrong(problem));
        }
        if text.is_empty() && column.is_required {
            return Err(wrong("is empty, every row needs one".into()));
        }
        let text = match column.name {
            "subnet" => text.parse::<Cidr>().map_err(|error| wrong(error.to_string()))?.to_string(),
            "domain" if kind == DirectoryKind::Domains => dns_name(text).map_err(wrong)?,
            "flat_name" => flat_name(text).map_err(wrong)?,
            "mail" if !text.is_empty() && !text.contains('@') => {
                return Err(wrong(format!("`{}` is no address of mail, it has no @", shorten(text))));
            }
            _ => text.to_owned(),
        };
        cells.push(text.into());
    }
    let key = match kind {
        // A user of one domain is not that of another.
        DirectoryKind::Users => format!("{}\\{}", cells[1], cells[0]).to_lowercase(),
        _ => cells[0].to_lowercase(),
    };
    Ok(DirectoryEntry { key: key.into(), cells })
}

/// A name in DNS, in lower case, without the dot at its end.
fn dns_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(is_plain);
    match name.len() <= DNS_BYTES_MAX && name.split('.').all(is_label) {
        true => Ok(name.to_lowercase()),
        false => Err(format!("`{}` is no name of a domain, write it as lab.example.org", shorten(text))),
    }
}

/// A name of a domain as before DNS: up to 15 characters, without a dot.
fn flat_name(text: &str) -> Result<String, String> {
    let is_flat = |c: char| !c.is_whitespace() && !"\\/:*?\"<>|.,".contains(c);
    match (1..=15).contains(&text.chars().count()) && text.chars().all(is_flat) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{}` is no flat name of a domain, write 1 to 15 characters such as LAB", shorten(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: DirectoryKind, text: &str) -> Result<Vec<Result<DirectoryEntry, String>>, String> {
        let mut reader =
            DirectoryReader::open(text.as_bytes(), kind, Spelling::canonical()).map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next_row().map_err(|error| error.to_string())? {
            rows.push(row.map_err(|error| error.to_string()));
        }
        Ok(rows)
    }

    fn check(kind: DirectoryKind, text: &str, wanted: &[Result<&str, &str>]) {
        let rows = read(kind, text).unwrap();
        assert_eq!(rows.len(), wanted.len(), "{rows:?}");
        for (row, wanted) in rows.iter().zip(wanted) {
            match (row, wanted) {
                (Ok(entry), Ok(shown)) => assert_eq!(&format!("{} = {}", entry.key, entry.cells.join("|")), shown),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                _ => panic!("{row:?} instead of {wanted:?}"),
            }
        }
    }

    #[test]
    fn each_kind_is_checked_row_by_row() {
        check(
            DirectoryKind::Sites,
            "site,description,DN\nBerlin,\"head, quarters\",x\nBERLIN,,\n,y,z\n",
            &[
                Ok("berlin = Berlin|head, quarters"),
                Err("line 3, column `site`: `berlin` stands on line 2 too"),
                Err("line 4, column `site`: is empty"),
            ],
        );
        check(
            DirectoryKind::Subnets,
            "subnet,site\n10.1.0.0/16,Berlin\n10.1.2.3/16,Berlin\n2001:DB8::/32,Bonn\n10.0.0.0,Bonn\n10.2.0.0/16,\n",
            &[
                Ok("10.1.0.0/16 = 10.1.0.0/16|Berlin|"),
                Err(
                    "line 3, column `subnet`: `10.1.2.3/16` is an address within a subnet, write the subnet as 10.1.0.0/16",
                ),
                Ok("2001:db8::/32 = 2001:db8::/32|Bonn|"),
                Err("`10.0.0.0` is no subnet"),
                Err("line 6, column `site`: is empty"),
            ],
        );
        check(
            DirectoryKind::Domains,
            "domain,flat_name\nLab.Example.,LAB\nlab..example,X\nb.example,\"A B\"\n",
            &[Ok("lab.example = lab.example|LAB"), Err("is no name of a domain"), Err("is no flat name")],
        );
        check(
            DirectoryKind::Users,
            "user,domain,mail\nKim,LAB,kim@lab.example\nkim,OTHER,\nkim,lab,\n=x,LAB,\nlee,LAB,lee\n",
            &[
                Ok("lab\\kim = Kim|LAB||kim@lab.example"),
                Ok("other\\kim = kim|OTHER||"),
                Err("stands on line 2 too"),
                Err("would be a formula"),
                Err("line 6, column `mail`: `lee` is no address of mail"),
            ],
        );
    }

    #[test]
    fn a_header_that_is_not_ours_is_told_with_what_to_do() {
        let error = read(DirectoryKind::Subnets, "site,description\n").unwrap_err();
        assert_eq!(
            error,
            "line 1: no column `subnet` for subnets (columns: `site`, `description`): add it, or name it in a column map"
        );
        assert!(read(DirectoryKind::Users, "user;domain\n").unwrap_err().contains("write `delimiter = \";\"`"));
    }
}
