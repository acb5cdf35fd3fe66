//! Writes a table: comma, LF, quotes only where they are needed.

/// A table that is being written.
pub struct TableWriter(csv::Writer<Vec<u8>>);

impl TableWriter {
    /// A table with this header.
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> TableWriter {
        let mut writer = TableWriter(csv::WriterBuilder::new().flexible(true).from_writer(Vec::new()));
        writer.row(header);
        writer
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter();
        self.0.write_record(cells.map(|cell| cell.as_ref().as_bytes().to_vec())).expect("a Vec takes every row");
    }

    /// The table's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("a Vec takes every write")
    }
}
