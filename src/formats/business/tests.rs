use std::io::Read;

use proptest::prelude::*;

use super::*;

type Rows = Vec<(u64, Vec<String>)>;

fn rows(bytes: &[u8], delimiter: u8) -> Result<Rows, TableError> {
    let mut table = Table::open(bytes, delimiter)?;
    let (columns, mut rows) = (table.header().len(), Vec::new());
    while let Some(row) = table.next_row()? {
        let cells = (0..row.cells().max(columns)).map(|n| row.cell(n).unwrap_or("?").to_owned());
        rows.push((row.line, cells.collect()));
    }
    Ok(rows)
}

fn lines(text: &str) -> Vec<u64> {
    rows(text.as_bytes(), b',').unwrap().into_iter().map(|(line, _)| line).collect()
}

#[test]
fn rows_stand_on_the_lines_that_an_editor_shows() {
    assert_eq!(lines("a,b\n1,2\n3,4\n"), [2, 3]);
    assert_eq!(lines("a,b\r\n1,2\r\n3,4"), [2, 3]);
    assert_eq!(lines("a,b\n\n\n1,2\n , \n3,4"), [4, 6]);
    assert_eq!(lines("a,b\r\n\r\n1,2\r\n,\r\n3,4\r\n\r\n"), [3, 5]);
    assert_eq!(lines("a,b\n1,\"x\ny\nz\"\n3,4"), [2, 5]);
    assert_eq!(lines("\u{feff}a,b\n1,2"), [2]);
    let mut long = format!("a,b\n{},2\n", "x".repeat(20_000));
    long.push_str("3,4\n");
    assert_eq!(lines(&long), [2, 3]);
}

#[test]
fn cells_are_trimmed_and_quotes_undone_and_a_cell_in_another_encoding_is_told() {
    let read = rows(b"\xef\xbb\xbfa ;b\n x ;\"p;\"\"q\"\nM\xfcller;1;2\n", b';').unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<String>>();
    assert_eq!(read, [(2, texts(&["x", "p;\"q"])), (3, texts(&["?", "1", "2"]))]);
    assert_eq!(Table::open(&b"\xef\xbb\xbfa ;b\n"[..], b';').unwrap().header(), ["a", "b"]);
}

#[test]
fn what_is_no_table_is_told_with_what_to_do() {
    for (bytes, part) in [
        (&b""[..], "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"PK\x03\x04\x14\0,\0", "save it as CSV in UTF-8"),
        (b"\xff\xfea\0,\0b\0", "save it as CSV in UTF-8"),
        (b"a;b\n1;2\n", "write `delimiter = \";\"`"),
        (b"a\tb\n", "write `delimiter = \"\\t\"`"),
    ] {
        let error = rows(bytes, b',').unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_table_that_is_too_large_in_any_way_ends_early_in_little_memory() {
    let columns = ["c"; COLUMNS_MAX + 1].join(",");
    assert!(matches!(rows(columns.as_bytes(), b','), Err(TableError::Columns)));
    let endless = |start: &'static [u8]| std::io::BufReader::new(start.chain(std::io::repeat(b'x')));
    assert!(matches!(Table::open(endless(b"a,"), b',').map(drop), Err(TableError::RowBytes { line: 1 })));
    let mut table = Table::open(endless(b"a,b\n1,2\n\"3"), b',').unwrap();
    assert_eq!(table.next_row().unwrap().unwrap().line, 2);
    assert!(matches!(table.next_row(), Err(TableError::RowBytes { line: 3 })));
    let fits = format!("a,b\n{},\n", "x".repeat(ROW_BYTES_MAX as usize - 2));
    assert_eq!(lines(&fits), [2]);
    let many = format!("a\n{}", "x\n".repeat(BUSINESS_LIMITS.rows as usize + 1));
    assert!(matches!(rows(many.as_bytes(), b','), Err(TableError::Rows { most: 200_000, line: 200_002 })));
    let blanks = std::io::BufReader::new((&b"a,b\n"[..]).chain(std::io::repeat(b'\n')));
    assert!(matches!(
        Table::open(blanks, b',').unwrap().next_row(),
        Err(TableError::RowBytes { .. } | TableError::Bytes { .. })
    ));
    let few = TableLimits { rows: 2, bytes: 20 };
    let mut table = Table::open_within(&b"a\n1\n2\n3\n"[..], b',', few).unwrap();
    assert!(table.next_row().unwrap().is_some() && table.next_row().unwrap().is_some());
    assert!(matches!(table.next_row(), Err(TableError::Rows { most: 2, line: 4 })));
}

proptest! {
    #[test]
    fn what_is_written_reads_back(cells in prop::collection::vec(prop::collection::vec("[ -~\\n\"é]{0,12}", 3), 0..9)) {
        let mut writer = TableWriter::new(["a", "b", "c"]);
        cells.iter().for_each(|row| writer.row(row));
        let trimmed = |row: &Vec<String>| row.iter().map(|cell| cell.trim_ascii().to_owned()).collect::<Vec<String>>();
        let with_text: Vec<_> = cells.iter().map(trimmed).filter(|row| row.iter().any(|cell| !cell.is_empty())).collect();
        let read = rows(&writer.finish(), b',').unwrap();
        prop_assert_eq!(read.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), with_text);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = rows(&bytes, b',');
    }
}
