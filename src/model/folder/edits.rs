//! A file of edits that are tried and not kept.
//!
//! ```text
//! edit,license,application,device,user,quantity,kind,exemption
//! remove_application,,db-15,web1,,,,          from one device; without a device from all
//! remove_unused,,db-15,,,,,                   from every device on which nobody is known to use it
//! remove_device,,,web1,,,,
//! add_entitlement,db,,,,10,,                  a number, or unlimited
//! allocate,db,,web1,,,permanent,              or a user; kind and exemption as in allocations.csv
//! ```
//!
//! Source: decision 084.

use super::cells::BadCell;
use super::table::{FolderError, Form, Row, Table, text};
use crate::model::edit::{Edit, EditError, Holder, Place};
use crate::model::licensing::AllocationKind;

/// The form of the file, whose name is whatever the operator gave it.
const EDITS: Form = Form {
    file: "edits.csv",
    columns: &["edit", "license", "application", "device", "user", "quantity", "kind", "exemption"],
    required: &["edit"],
    key: &[],
};

const LICENSE: usize = 1;
const APPLICATION: usize = 2;
const DEVICE: usize = 3;
const USER: usize = 4;
const QUANTITY: usize = 5;
const KIND: usize = 6;
const EXEMPTION: usize = 7;

/// Words of the first column.
const WORDS: [&str; 5] = ["remove_application", "remove_unused", "remove_device", "add_entitlement", "allocate"];

/// Edits, each with the line that it stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// In the order of the file.
    pub list: Vec<Edit>,
    lines: Vec<usize>,
    /// Columns that nobody knows, as written.
    pub unknown_columns: Vec<String>,
}

impl Edits {
    /// Reads a file.
    pub fn read(bytes: &[u8]) -> Result<Edits, FolderError> {
        let mut edits = Edits::default();
        let Some(table) = Table::open(&EDITS, text(&EDITS, bytes)?)? else {
            return Err(FolderError::cell(EDITS.file, 1, EDITS.columns[0], "the file has no header"));
        };
        edits.unknown_columns = table.unknown().to_vec();
        table.rows(|row| {
            edits.list.push(edit(row).map_err(|bad| bad.refused(row))?);
            edits.lines.push(row.line());
            Ok(())
        })?;
        Ok(edits)
    }

    /// Where an edit stands that cannot be done.
    pub fn refused(&self, error: EditError) -> FolderError {
        let line = self.lines.get(error.place).copied().unwrap_or(1);
        FolderError::cell(EDITS.file, line, error.column, error.problem)
    }
}

fn edit(row: &Row<'_, '_>) -> Result<Edit, BadCell> {
    let word = row.word(0, &WORDS)?.unwrap_or_default();
    let id = |column: usize| row.text(column).to_owned();
    let needed = |column: usize| match row.text(column) {
        "" => Err(BadCell { column, problem: format!("is empty, `{}` needs one", WORDS[word]) }),
        _ => Ok(id(column)),
    };
    let (edit, takes): (Edit, &[usize]) = match WORDS[word] {
        "remove_application" => {
            let from = if row.text(DEVICE).is_empty() { Place::Everywhere } else { Place::On(id(DEVICE)) };
            (Edit::RemoveApplication { application: needed(APPLICATION)?, from }, &[APPLICATION, DEVICE])
        }
        "remove_unused" => {
            (Edit::RemoveApplication { application: needed(APPLICATION)?, from: Place::Unused }, &[APPLICATION])
        }
        "remove_device" => (Edit::RemoveDevice { device: needed(DEVICE)? }, &[DEVICE]),
        "add_entitlement" => {
            needed(QUANTITY)?;
            let quantity = row.total(QUANTITY)?.expect("it is not empty");
            (Edit::AddEntitlement { licence: needed(LICENSE)?, quantity }, &[LICENSE, QUANTITY])
        }
        _ => {
            let to = match (row.text(DEVICE), row.text(USER)) {
                ("", "") => return Err(BadCell { column: DEVICE, problem: "give a device or a user".into() }),
                ("", user) => Holder::User(user.to_owned()),
                (device, "") => Holder::Device(device.to_owned()),
                _ => return Err(BadCell { column: DEVICE, problem: "give a device or a user, not both".into() }),
            };
            let kind = match row.word(KIND, &["allocated", "awaiting", "permanent"])? {
                Some(1) => AllocationKind::Awaiting,
                Some(2) => AllocationKind::Permanent,
                _ => AllocationKind::Allocated,
            };
            let exemption = row.exemption(EXEMPTION)?;
            (
                Edit::Allocate { licence: needed(LICENSE)?, to, kind, exemption },
                &[LICENSE, DEVICE, USER, KIND, EXEMPTION],
            )
        }
    };
    for column in LICENSE..EDITS.columns.len() {
        if !takes.contains(&column) && !row.text(column).is_empty() {
            return Err(BadCell { column, problem: format!("means nothing to `{}`, leave it empty", WORDS[word]) });
        }
    }
    Ok(edit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::licensing::{Exemption, Total};

    const HEADER: &str = "edit,license,application,device,user,quantity,kind,exemption\n";

    #[test]
    fn every_edit_reads() {
        let rows = "remove_application,,db,web1\nREMOVE_APPLICATION,,db\n\nremove_unused,,db\nremove_device,,,web1\n\
            add_entitlement,L,,,,2.5\nadd_entitlement,L,,,,unlimited\nallocate,L,,web1,,,permanent,11\nallocate,L,,,u1\n";
        let read = Edits::read(format!("{HEADER}{rows}").as_bytes()).unwrap();
        let half = "2.5";
        let entitle = |quantity| Edit::AddEntitlement { licence: "L".into(), quantity };
        let remove = |from| Edit::RemoveApplication { application: "db".into(), from };
        let wanted = [
            remove(Place::On("web1".into())),
            remove(Place::Everywhere),
            remove(Place::Unused),
            Edit::RemoveDevice { device: "web1".into() },
            entitle(Total::Limited(crate::model::decimal::Decimal::read(half).unwrap())),
            entitle(Total::Unlimited),
            Edit::Allocate {
                licence: "L".into(),
                to: Holder::Device("web1".into()),
                kind: AllocationKind::Permanent,
                exemption: Some(Exemption::try_from(11).unwrap()),
            },
            Edit::Allocate {
                licence: "L".into(),
                to: Holder::User("u1".into()),
                kind: AllocationKind::Allocated,
                exemption: None,
            },
        ];
        assert_eq!(read.list, wanted);
        let error = read.refused(EditError { place: 2, column: "application", problem: "is not known".into() });
        assert_eq!(error.in_file("what.csv"), "what.csv:5 application: is not known");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (rows, told) in [
            ("remove,,db\n", "f:2 edit: `remove` is no word of this column: write remove_application or remove_unused"),
            ("remove_unused\n", "f:2 application: is empty, `remove_unused` needs one"),
            ("\nremove_device,,,d1,,3\n", "f:3 quantity: means nothing to `remove_device`, leave it empty"),
            ("add_entitlement,L,,,,-3\n", "f:2 quantity: `-3` is no number"),
            ("add_entitlement,,,,,3\n", "f:2 license: is empty"),
            ("add_entitlement,L\n", "f:2 quantity: is empty"),
            ("allocate,L\n", "f:2 device: give a device or a user"),
            ("allocate,L,,d1,u1\n", "f:2 device: give a device or a user, not both"),
            ("allocate,L,,d1,,,forever\n", "f:2 kind: `forever` is no word"),
            (",L\n", "f:2 edit: is empty"),
        ] {
            let error = Edits::read(format!("{HEADER}{rows}").as_bytes()).unwrap_err();
            assert!(error.in_file("f").starts_with(told), "{}", error.in_file("f"));
        }
        assert_eq!(Edits::read(b"").unwrap_err().in_file("f"), "f:1 edit: the file has no header");
        assert!(Edits::read(b"license\nL\n").unwrap_err().in_file("f").starts_with("f:1 edit: the header lacks"));
    }
}
