//! What `muster import` makes of files before anything is sent.

use clap::Parser;
use muster::model::business::check;

use muster::model::business::Spelling;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ImportArgs,
}

const GOOD: &str = "contract,name,end\nC-1,Support,2026-12-31\n";

/// What becomes of these files with these options.
fn outgoing_of(files: &[(&str, &[u8])], options: &str) -> Result<Vec<Outgoing>, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let mut words = vec!["import".to_owned()];
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        words.push(path.display().to_string());
    }
    let named = |word: &str| word.replace("DIR", &folder.path().display().to_string());
    words.extend(options.split(' ').map(named));
    outgoing(&Line::try_parse_from(words).unwrap().args)
}

fn refused(files: &[(&str, &[u8])], options: &str, exit: u8, part: &str) {
    let Err(failure) = outgoing_of(files, options) else { panic!("{part}") };
    assert!(failure.exit == exit && failure.text.contains(part), "{} {}", failure.exit, failure.text);
}

#[test]
fn a_business_file_travels_in_canonical_form_as_the_whole_of_its_source() {
    for (name, bytes) in [("c.csv", GOOD.as_bytes().to_vec()), ("c.CSV.gz", gzip::compress(GOOD.as_bytes()))] {
        let sent = outgoing_of(&[(name, &bytes)], "--kind contracts --source erp").unwrap().remove(0);
        assert_eq!(sent.stream, Stream("IntermediateData/erp/Contracts".into()));
        assert!(sent.name.eq_ignore_ascii_case("c.csv.gz") && sent.collected_at.is_some());
        let body = sent.body.unwrap();
        let mut text = String::new();
        Inflate::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "contract,name,publisher,vendor,start,end,value,currency\nC-1,Support,,,,2026-12-31,,\n");
        assert_eq!(check(text.as_bytes()).unwrap().rows, 1);
    }
}

#[test]
fn a_column_map_translates_and_its_mistakes_are_told() {
    let map = b"delimiter = \";\"\ndate = \"DD.MM.YYYY\"\n[columns]\ncontract = \"Nr\"\nend = \"bis\"\n";
    let files = [("c.csv", &b"Nr;bis;Notiz\n7;31.12.2026;x\n"[..]), ("m.toml", map)];
    let prepared = |map: &str| {
        let folder = tempfile::tempdir().unwrap();
        let (file, map_file) = (folder.path().join("c.csv"), folder.path().join("m.toml"));
        std::fs::write(&file, files[0].1).unwrap();
        std::fs::write(&map_file, map).unwrap();
        let spelling = business::spelling(Some(&map_file), BusinessKind::Contracts).map_err(|failure| failure.text)?;
        business::prepare(&file, BusinessKind::Contracts, spelling, Timestamp(1_750_000_000_000))
    };
    assert_eq!(prepared(std::str::from_utf8(map).unwrap()).unwrap().rows, 1);
    assert!(prepared("delimeter = \";\"").unwrap_err().contains("m.toml:1: `delimeter`: unknown key, did you mean"));
    assert!(
        prepared("delimiter = \";\"").unwrap_err().contains("no column `contract` (columns: `Nr`, `bis`, `Notiz`)")
    );
    refused(&files[..1], "--kind contracts --map DIR/none.toml", 2, "none.toml` (--map): No such file");
    refused(&files[..1], "--kind contracts", 1, "write `delimiter = \";\"`");
}

#[test]
fn a_file_with_a_bad_row_leaves_only_when_the_good_ones_are_enough() {
    let bad = b"contract,end\nC-1,2026-12-31\nC-2,soon\nC-3,=1\nC-3,\n";
    refused(&[("c.csv", bad)], "--kind contracts", 1, "2 of 4 rows are bad, nothing is sent: mend them, or give");
    let sent = outgoing_of(&[("c.csv", bad)], "--kind contracts --good-rows").unwrap().remove(0);
    assert_eq!(check(std::io::BufReader::new(Inflate::new(&sent.body.unwrap()[..]))).unwrap().rows, 2);
    refused(&[("c.csv", b"contract,end\nC-1,soon\n")], "--kind contracts --good-rows", 1, "none of its 1 rows is good");
}

#[test]
fn a_file_without_rows_leaves_since_it_takes_its_source_away() {
    let sent = outgoing_of(&[("c.csv", b"contract\n")], "--kind contracts --source erp").unwrap().remove(0);
    assert_eq!(check(std::io::BufReader::new(Inflate::new(&sent.body.unwrap()[..]))).unwrap().rows, 0);
}

#[test]
fn the_first_bad_rows_are_listed_and_the_others_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.csv");
    std::fs::write(&file, format!("contract,end\n{}", "C-1,soon\n".repeat(50))).unwrap();
    let spelling = Spelling::canonical();
    let bad = business::prepare(&file, BusinessKind::Contracts, spelling, Timestamp(0)).unwrap().bad;
    let lines = bad.lines(Path::new("c.csv"));
    assert_eq!((bad.count, lines.len()), (50, 21));
    assert_eq!(lines[0], "c.csv: line 2, column `end`: `soon` is no day, write it as YYYY-MM-DD");
    assert_eq!(lines[20], "c.csv: and 30 more bad rows");
}

#[test]
fn a_file_that_is_sent_again_later_counts_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.csv");
    std::fs::write(&file, GOOD).unwrap();
    let digest = |at| {
        let spelling = Spelling::canonical();
        Digest::of(&business::prepare(&file, BusinessKind::Contracts, spelling, Timestamp(at)).unwrap().body)
    };
    assert_eq!(digest(1_750_000_000_000), digest(1_750_000_000_000));
    assert_ne!(digest(1_750_000_000_000), digest(1_750_000_000_001));
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_read() {
    let good = ("c.csv", GOOD.as_bytes());
    refused(&[good, ("d.csv", b"")], "--kind contracts", 2, "2 files: one file is all Contracts of its source");
    refused(&[("c.xlsx", b"PK")], "--kind contracts", 2, "has to end in .csv or .csv.gz");
    refused(&[("c.ndi", b"")], "--kind inventory --good-rows", 2, "--map and --good-rows are for");
    refused(&[good], "--kind contracts --source agent", 2, "--source `agent`");
    refused(&[good], "--kind purchases", 1, "no column `purchase`");
    refused(&[("c.csv", b"")], "--kind contracts", 1, "the file is empty");
    refused(&[("c.csv", b"\x1f\x8bxx")], "--kind contracts", 1, "cannot read the table: ");
}
