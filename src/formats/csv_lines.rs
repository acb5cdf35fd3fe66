//! CSV as large files have it: cut into pieces that hold whole records, and each record into cells, with no copy of a cell
//! that has no quotes in it.
//!
//! Quoting as in RFC 4180: a cell that begins with `"` ends at the next `"` that is not doubled. A `"` inside a cell
//! that does not begin with one is that character. Lines end with LF or CR LF.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr};

/// Longest record, in bytes. Source: matching reference, section 11.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Why text is no CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvFault {
    /// A record that ends nowhere, or later than any should.
    #[error("longer than 1 MiB; perhaps a quote is not closed")]
    TooLong,
    /// The text ended within quotes.
    #[error("the quote that opens a cell is never closed")]
    Unclosed,
    /// A closing quote is followed by text.
    #[error("text stands behind the closing quote of a cell; double quotes inside a quoted cell")]
    BehindQuote,
}

/// Where the commas and line ends of a text stand, eight bytes at a time: in records of a few bytes a search from each to the
/// next takes longer than a look at every byte.
#[derive(Debug)]
pub struct Marks<'b> {
    bytes: &'b [u8],
    /// Behind the word that is looked at.
    at: usize,
    /// The highest bit of each byte of the word that is one and was not shown yet.
    left: u64,
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each byte of `word` that is `byte`.
fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ eight(byte);
    // No carry leaves a byte: seven bits and 0x7f give at most 0xfe.
    let is_more = (differs & eight(0x7f)) + eight(0x7f);
    !(is_more | differs | eight(0x7f))
}

impl Marks<'_> {
    /// Those of `bytes`, ascending.
    pub fn of(bytes: &[u8]) -> Marks<'_> {
        Marks { bytes, at: 0, left: 0 }
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        while self.left == 0 {
            let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let word = match rest.first_chunk() {
                Some(word) => *word,
                None => std::array::from_fn(|place| rest.get(place).copied().unwrap_or_default()),
            };
            let word = u64::from_le_bytes(word);
            self.left = equal(word, b',') | equal(word, b'\n');
            self.at += 8;
        }
        let place = self.left.trailing_zeros() / 8;
        self.left &= self.left - 1;
        Some(self.at - 8 + place as usize)
    }
}

/// The length of the whole records at the head of `bytes`, which begin with a record; 0 when the first one does not end
/// here.
pub fn whole_records(bytes: &[u8]) -> usize {
    if memchr(b'"', bytes).is_none() {
        return memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    }
    let (mut at, mut end) = (0, 0);
    while let Some(length) = record(&bytes[at..]) {
        at += length;
        end = at;
    }
    end
}

/// The length of the first record with its line end; `None` when it does not end here.
fn record(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\n', &bytes[at..])?;
        if bytes[at] == b'\n' {
            return Some(at + 1);
        }
        let opens = at == 0 || bytes[at - 1] == b',' || bytes[at - 1] == b'\n';
        at += 1;
        if opens {
            at = closing(bytes, at)?;
        }
    }
}

/// Behind the quote that closes the cell whose text begins at `at`.
fn closing(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// Takes the next record off `text`: its cells' text without the line end, and how many line ends it holds.
pub fn next_record<'t>(text: &mut &'t str) -> Option<(&'t str, u32)> {
    if text.is_empty() {
        return None;
    }
    let bytes = text.as_bytes();
    let end = memchr(b'\n', bytes);
    let length = match end {
        // Most records have no quotes.
        Some(end) if memchr(b'"', &bytes[..end]).is_none() => end + 1,
        _ => record(bytes).unwrap_or(bytes.len()),
    };
    let (whole, rest) = text.split_at(length);
    *text = rest;
    let lines = if end == Some(length - 1) { 1 } else { memchr::memchr_iter(b'\n', whole.as_bytes()).count() as u32 };
    let whole = whole.strip_suffix('\n').unwrap_or(whole);
    Some((whole.strip_suffix('\r').unwrap_or(whole), lines))
}

/// Shows the cells of a record by their place.
pub fn cells<'t>(record: &'t str, mut see: impl FnMut(usize, Cow<'t, str>)) -> Result<(), CsvFault> {
    if record.len() > LINE_BYTES_MAX {
        return Err(CsvFault::TooLong);
    }
    let bytes = record.as_bytes();
    let (mut at, mut place) = (0, 0);
    if memchr(b'"', bytes).is_none() {
        for end in memchr::memchr_iter(b',', bytes) {
            see(place, record[at..end].into());
            (at, place) = (end + 1, place + 1);
        }
        see(place, record[at..].into());
        return Ok(());
    }
    loop {
        let end = if bytes.get(at) == Some(&b'"') {
            let end = closing(bytes, at + 1).ok_or(CsvFault::Unclosed)?;
            if bytes.get(end).is_some_and(|&next| next != b',') {
                return Err(CsvFault::BehindQuote);
            }
            let inner = &record[at + 1..end - 1];
            let is_plain = memchr(b'"', inner.as_bytes()).is_none();
            see(place, if is_plain { inner.into() } else { inner.replace("\"\"", "\"").into() });
            end
        } else {
            let end = memchr(b',', &bytes[at..]).map_or(bytes.len(), |length| at + length);
            see(place, record[at..end].into());
            end
        };
        if end == bytes.len() {
            return Ok(());
        }
        (at, place) = (end + 1, place + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<String>>, CsvFault> {
        let (mut rest, mut all) = (text, Vec::new());
        while let Some((record, _)) = next_record(&mut rest) {
            let mut list = Vec::new();
            cells(record, |place, cell| {
                assert_eq!(place, list.len());
                list.push(cell.into_owned());
            })?;
            all.push(list);
        }
        Ok(all)
    }

    #[test]
    fn cells_are_what_stands_between_commas_or_quotes() {
        assert_eq!(read("a,b,,c\r\n,\n").unwrap(), [vec!["a", "b", "", "c"], vec!["", ""]]);
        assert_eq!(read("\"a,b\",\"c\"\"d\",\"\"\n\"x\ny\",z").unwrap(), [vec!["a,b", "c\"d", ""], vec!["x\ny", "z"]]);
        assert_eq!(read("19\" rack,a\"\"b\nc").unwrap(), [vec!["19\" rack", "a\"\"b"], vec!["c"]]);
        assert_eq!(read("ü,\"ß\"\n").unwrap(), [["ü", "ß"]]);
        assert_eq!(read("").unwrap(), Vec::<Vec<String>>::new());
        assert_eq!(read("\n").unwrap(), [[""]]);
    }

    #[test]
    fn what_is_no_csv_is_refused() {
        assert_eq!(read("\"a\"b,c\n"), Err(CsvFault::BehindQuote));
        assert_eq!(read("a,\"b\nc\n"), Err(CsvFault::Unclosed));
        assert_eq!(read(&format!("{}\n", "a".repeat(LINE_BYTES_MAX + 1))), Err(CsvFault::TooLong));
    }

    #[test]
    fn lines_are_counted_also_inside_quotes() {
        let mut rest = "a\n\"b\n\nc\"\nd";
        let lines: Vec<u32> = std::iter::from_fn(|| next_record(&mut rest)).map(|(_, lines)| lines).collect();
        assert_eq!(lines, [1, 3, 0]);
    }

    #[test]
    fn a_piece_is_cut_behind_its_last_whole_record() {
        for (text, length) in
            [("a\nb\nc", 4), ("a", 0), ("", 0), ("a\n\"b\nc\"\nd", 8), ("a\n\"b\nc", 2), ("\"\"\"\n\"\nx\n\"", 8)]
        {
            assert_eq!(whole_records(text.as_bytes()), length, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn marks_stand_where_commas_and_line_ends_are(bytes in proptest::collection::vec(proptest::sample::select(vec![b',', b'\n', b'-', b'+', 0x0b, b'a', 0x8a, 0xac, 0xff, 0]), 0..40)) {
            let places = (0..bytes.len()).filter(|&at| matches!(bytes[at], b',' | b'\n'));
            proptest::prop_assert_eq!(Marks::of(&bytes).collect::<Vec<_>>(), places.collect::<Vec<_>>());
        }

        /// The crate `csv` writes what is read here.
        #[test]
        fn what_a_writer_quotes_is_read_back(rows in proptest::collection::vec(proptest::collection::vec("[a,\"\r\n ü]{0,6}", 2..4), 0..6)) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            proptest::prop_assert_eq!(whole_records(text.as_bytes()), text.len());
            proptest::prop_assert_eq!(read(&text).unwrap(), rows);
        }
    }
}
