//! Who gave the figures of a folder that was frozen from a fleet: records of devices, the operator, business files.
//!
//! `provenance.csv`: `file,row,source,date,columns`. A row of it names a row of another file (a device by its number, a
//! purchase by its line), who gave cells of it, the inventory date of the record, and the columns. A
//! purchase that stands in no row was written by the operator into the table; a cell of a device in no row follows from others.

use hashbrown::HashMap;

use super::devices::DEVICES;
use super::fleet_device::COLUMNS;
use super::licence_files::ENTITLEMENTS;
use super::write::push_row;
use crate::formats::csv_lines::{cells, next_record};
use crate::id::DeviceId;
use crate::model::device::Provenance;
use crate::time::{SECOND_MS, Timestamp};

/// Name of the file in the folder of a run.
pub const PROVENANCE_FILE: &str = "provenance.csv";
/// The source of what an operator wrote.
pub const OPERATOR: &str = "operator";

/// Who gave a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Giver {
    /// A record, by its source and date.
    Record(Provenance),
    /// The operator's own table.
    Operator,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct ProvenanceTable(String);

/// Who gave cells of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenCells {
    /// Columns; none: the whole row.
    pub columns: Vec<String>,
    /// The source.
    pub source: String,
    /// Inventory date of its record; empty where there is none.
    pub date: String,
}

impl Default for ProvenanceTable {
    fn default() -> ProvenanceTable {
        ProvenanceTable("file,row,source,date,columns\n".into())
    }
}

impl ProvenanceTable {
    /// Notes who gave one cell of a device.
    pub(super) fn cell(&mut self, device: DeviceId, column: usize, giver: Option<Giver>) {
        let mut givers: [Option<Giver>; COLUMNS] = Default::default();
        givers[column] = giver;
        self.device(device, &givers);
    }

    /// Notes who gave the cells of a device: a row for each giver.
    pub(super) fn device(&mut self, device: DeviceId, givers: &[Option<Giver>; COLUMNS]) {
        let mut noted: [bool; COLUMNS] = [false; COLUMNS];
        let row = device.to_string();
        for first in 0..COLUMNS {
            let Some(giver) = givers[first].as_ref().filter(|_| !noted[first]) else { continue };
            let mut columns = String::new();
            for place in first..COLUMNS {
                if givers[place].as_ref() == Some(giver) {
                    noted[place] = true;
                    if !columns.is_empty() {
                        columns.push(' ');
                    }
                    columns.push_str(DEVICES.columns[place]);
                }
            }
            let (source, date) = match giver {
                Giver::Record(Provenance { source, date: 0 }) => (&**source, String::new()),
                Giver::Record(Provenance { source, date }) => {
                    (&**source, Timestamp(date.saturating_mul(SECOND_MS)).to_rfc3339())
                }
                Giver::Operator => (OPERATOR, String::new()),
            };
            push_row(&mut self.0, [DEVICES.file, &row, source, &date, &columns].into_iter());
        }
    }

    /// Notes which business file a purchase came in.
    pub fn purchase(&mut self, line: usize, source: &str) {
        push_row(&mut self.0, [ENTITLEMENTS.file, &line.to_string(), source, "", ""].into_iter());
    }

    /// The file.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// What a file of this form says of the rows of another file that are wanted: by row, in its order. Rows that do not read say
/// nothing.
pub fn given_cells(text: &str, file: &str, is_wanted: impl Fn(&str) -> bool) -> HashMap<String, Vec<GivenCells>> {
    let (mut rest, mut found) = (text, HashMap::<String, Vec<GivenCells>>::new());
    while let Some((record, _)) = next_record(&mut rest) {
        if !record.starts_with(file) {
            continue;
        }
        let mut row: Vec<String> = Vec::new();
        let Ok(()) = cells(record, |_, cell| row.push(cell.into_owned())) else { continue };
        let Ok([of, named, source, date, columns]) = <[String; 5]>::try_from(row) else { continue };
        if of == file && is_wanted(&named) {
            let columns = columns.split_ascii_whitespace().map(str::to_owned).collect();
            found.entry(named).or_default().push(GivenCells { columns, source, date });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_giver_of_a_device_has_a_row_and_purchases_have_their_source() {
        let agent = Giver::Record(Provenance { source: "agent, main".into(), date: 1_750_000_000 });
        let mut givers: [Option<Giver>; COLUMNS] = Default::default();
        (givers[1], givers[3]) = (Some(agent.clone()), Some(agent));
        givers[2] = Some(Giver::Operator);
        let mut table = ProvenanceTable::default();
        table.device(DeviceId(7), &givers);
        table.device(DeviceId(8), &Default::default());
        table.purchase(12, "orders");
        let text = table.into_text();
        let names = &DEVICES.columns;
        assert_eq!(
            text,
            format!(
                "file,row,source,date,columns\n\
                 devices.csv,7,\"agent, main\",2025-06-15T15:06:40.000Z,{} {}\n\
                 devices.csv,7,operator,,{}\n\
                 entitlements.csv,12,orders,,\n",
                names[1], names[3], names[2]
            )
        );
        let of = |file: &str, row: &str| given_cells(&text, file, |named| named == row).remove(row).unwrap_or_default();
        let device = of("devices.csv", "7");
        assert_eq!(device.len(), 2);
        assert_eq!(
            (device[0].source.as_str(), device[1].columns.as_slice()),
            ("agent, main", &[names[2].to_owned()][..])
        );
        assert_eq!(of("entitlements.csv", "12")[0].source, "orders");
        assert!(of("devices.csv", "8").is_empty() && of("devices.csv", "12").is_empty());
    }
}
