//! Reads a table as contracts or purchases.

use std::fmt;
use std::io::BufRead;

use hashbrown::HashSet;

use super::cells::{CellError, Cells};
use super::{BusinessHead, BusinessKind, BusinessRow, Spelling};
use crate::formats::business::{Table, TableError};
use crate::id::shorten;

/// Names of a header that an error lists at most.
const LISTED_MAX: usize = 24;

/// Why a file is no business file.
#[derive(Debug, thiserror::Error)]
pub enum BusinessError {
    /// It is no table, or one that is too large.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Its columns are not those of its kind.
    #[error("line 1: {0}")]
    Header(String),
    /// A row is bad where none may be.
    #[error(transparent)]
    Row(#[from] RowError),
}

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The line it begins on, counted from 1.
    pub line: u64,
    /// The column, as the file calls it; `None` when the row as a whole is wrong.
    pub column: Option<String>,
    /// What is wrong, and what to write.
    pub problem: String,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for RowError {}

/// Names that the column of a row's tenant may have, in any case.
const TENANT: [&str; 2] = ["tenant", "TenantUID"];

/// A business file that is being read. Memory: the ids of its rows, so that none stands there twice.
pub struct BusinessReader<R> {
    table: Table<R>,
    /// Where the tenant of a row stands.
    tenant: Option<usize>,
    /// The line of the last row, and the tenant that it names.
    last: (u64, Option<String>),
    kind: BusinessKind,
    spelling: Spelling,
    places: Vec<(&'static str, Option<usize>)>,
    ids: HashSet<(Option<String>, String, String)>,
}

impl<R: BufRead> BusinessReader<R> {
    /// Reads the header of a file of one tenant and of this kind; without a kind its columns tell which it is.
    pub fn open(source: R, kind: Option<BusinessKind>, spelling: Spelling) -> Result<BusinessReader<R>, BusinessError> {
        let reader = BusinessReader::open_of_tenants(source, kind, spelling)?;
        if let Some(place) = reader.tenant {
            let name = shorten(&reader.table.header()[place]);
            let problem = format!(
                "the column `{name}` says that the rows are those of tenants: import it at the server by the task \
                 BusinessAdapterImport, or leave the column out"
            );
            return Err(BusinessError::Header(problem));
        }
        Ok(reader)
    }

    /// The same for a file of which a column `tenant` or `TenantUID` may say whose each row is.
    pub fn open_of_tenants(
        source: R,
        kind: Option<BusinessKind>,
        spelling: Spelling,
    ) -> Result<BusinessReader<R>, BusinessError> {
        let table = Table::open(source, spelling.delimiter)?;
        let header = table.header();
        let is_tenant = |name: &String| TENANT.iter().any(|tenant| tenant.eq_ignore_ascii_case(name));
        let mut tenants = header.iter().enumerate().filter(|(_, name)| is_tenant(name)).map(|(place, _)| place);
        let tenant = tenants.next();
        if tenants.next().is_some() {
            return Err(BusinessError::Header("two columns of tenants: leave one".into()));
        }
        let kind = match kind {
            Some(kind) => kind,
            None => kind_of(header)?,
        };
        let mut places = Vec::with_capacity(kind.columns().len());
        for column in kind.columns() {
            let theirs = spelling.theirs(column.name);
            let mut found = header.iter().enumerate().filter(|(_, name)| *name == theirs).map(|(place, _)| place);
            let place = found.next();
            if found.next().is_some() {
                return Err(BusinessError::Header(format!("two columns `{}`: rename one", shorten(theirs))));
            }
            // One that the map names has to be there: it is a slip otherwise.
            if place.is_none() && (column.is_required || spelling.columns.contains_key(column.name)) {
                return Err(BusinessError::Header(missing(column.name, theirs, header)));
            }
            places.push((column.name, place));
        }
        if !spelling.has_others {
            let is_ours = |place: usize| Some(place) == tenant || places.iter().any(|(_, ours)| *ours == Some(place));
            if let Some((_, other)) = header.iter().enumerate().find(|(place, _)| !is_ours(*place)) {
                let known: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
                let (other, known) = (shorten(other), known.join(", "));
                let problem = format!(
                    "`{other}` is no column of {kind}: leave it out, or give a column map (--map); known: {known}"
                );
                return Err(BusinessError::Header(problem));
            }
        }
        Ok(BusinessReader { table, tenant, last: (1, None), kind, spelling, places, ids: HashSet::new() })
    }

    /// What the file tells of.
    pub fn kind(&self) -> BusinessKind {
        self.kind
    }

    /// Rows so far, bad ones too.
    pub fn rows(&self) -> u32 {
        self.table.rows()
    }

    /// Whether a column says whose each row is.
    pub fn names_tenants(&self) -> bool {
        self.tenant.is_some()
    }

    /// The tenant that the last row names, good or bad; `None` when there is no such column, or its cell is no text.
    pub fn tenant(&self) -> Option<&str> {
        self.last.1.as_deref()
    }

    /// What is wrong with the last row, as to its tenant.
    pub fn wrong_tenant(&self, problem: String) -> RowError {
        let column = self.tenant.map(|place| shorten(&self.table.header()[place]));
        RowError { line: self.last.0, column, problem }
    }

    /// The next row, or what is wrong with it; `None` at the end. An error is final.
    pub fn next_row(&mut self) -> Result<Option<Result<BusinessRow, RowError>>, BusinessError> {
        let columns = self.table.header().len();
        let Some(row) = self.table.next_row()? else { return Ok(None) };
        let line = row.line;
        self.last = (line, self.tenant.and_then(|place| row.cell(place).ok()).map(str::to_owned));
        let bad = |column: Option<String>, problem: String| Ok(Some(Err(RowError { line, column, problem })));
        if let Some(problem) = row.wrong_width(columns) {
            return bad(None, problem);
        }
        let cells = Cells { row, places: &self.places, spelling: &self.spelling };
        let read = match self.kind {
            BusinessKind::Contracts => cells.contract().map(BusinessRow::Contract),
            BusinessKind::Purchases => cells.purchase().map(BusinessRow::Purchase),
            BusinessKind::Entitlements => cells.entitlement().map(BusinessRow::Entitlement),
        };
        let row = match read {
            Ok(row) => row,
            Err(CellError { ours, problem }) => return bad(Some(shorten(self.spelling.theirs(ours))), problem),
        };
        let (id, part) = row.id();
        if !self.ids.insert((self.last.1.clone(), id.to_owned(), part.to_owned())) {
            let of = if part.is_empty() { String::new() } else { format!(" with line `{}`", shorten(part)) };
            let problem = format!("`{}`{of} stands in an earlier row, remove one of them", shorten(id));
            let ours = self.kind.columns()[0].name;
            return bad(Some(shorten(self.spelling.theirs(ours))), problem);
        }
        Ok(Some(Ok(row)))
    }
}

/// The kind that a canonical header belongs to.
fn kind_of(header: &[String]) -> Result<BusinessKind, BusinessError> {
    let has = |kind: BusinessKind| header.iter().any(|name| name == kind.columns()[0].name);
    // A purchase may name its contract too.
    match (has(BusinessKind::Purchases), has(BusinessKind::Contracts)) {
        (true, _) => Ok(BusinessKind::Purchases),
        (false, true) => Ok(BusinessKind::Contracts),
        (false, false) if has(BusinessKind::Entitlements) => Ok(BusinessKind::Entitlements),
        (false, false) => {
            let problem = format!(
                "no column `contract`, `purchase` or `license` (columns: {}): send other forms by `muster import` with a column map",
                listed(header)
            );
            Err(BusinessError::Header(problem))
        }
    }
}

fn missing(ours: &str, theirs: &str, header: &[String]) -> String {
    let (theirs, header) = (shorten(theirs), listed(header));
    if ours == theirs {
        format!("no column `{ours}` (columns: {header}): add it, or name it in a column map (--map)")
    } else {
        format!("no column `{theirs}`, which the column map names for `{ours}` (columns: {header}): mend either")
    }
}

fn listed(header: &[String]) -> String {
    let names: Vec<String> = header.iter().take(LISTED_MAX).map(|name| format!("`{}`", shorten(name))).collect();
    let more = if header.len() > LISTED_MAX { ", ..." } else { "" };
    format!("{}{more}", names.join(", "))
}

/// Reads a whole canonical file, every row of which has to be good.
pub fn check(source: impl BufRead) -> Result<BusinessHead, BusinessError> {
    let mut reader = BusinessReader::open(source, None, Spelling::canonical())?;
    while let Some(row) = reader.next_row()? {
        row?;
    }
    Ok(BusinessHead { kind: reader.kind(), rows: reader.rows() })
}
