//! What holds for every estate.

use std::collections::BTreeMap;

use super::estates::{AS_OF, estate};
use super::slow::csv;
use super::{Files, real};

/// Rows of a table as maps from column to cell.
fn rows(files: &Files, table: &str) -> Vec<BTreeMap<String, String>> {
    let rows = csv::parse(&files[table]);
    let header = &rows[0].cells;
    rows[1..].iter().map(|row| header.iter().cloned().zip(row.cells.iter().cloned()).collect()).collect()
}

/// Files with their rows in another order: rotated by `by`, or from last to first.
pub fn turned(files: &Files, by: usize) -> Files {
    let turn = |text: &String| {
        let rows = csv::parse(text);
        let (header, rows) = rows.split_first().expect("a header");
        let mut lines: Vec<String> = rows.iter().map(|row| csv::line(&row.cells)).collect();
        if by == 0 {
            lines.reverse();
        } else if !lines.is_empty() {
            let middle = by % lines.len();
            lines.rotate_left(middle);
        }
        csv::line(&header.cells) + &lines.concat()
    };
    files.iter().map(|(file, text)| (file.clone(), turn(text))).collect()
}

#[test]
fn neither_the_order_of_rows_nor_the_number_of_threads_changes_a_byte() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let (one, many) = (pool(1), pool(7));
    for seed in 0..120 {
        let files = estate(seed);
        let written = one.install(|| real(&files, AS_OF)).expect("a sound estate");
        assert_eq!(many.install(|| real(&files, AS_OF)).expect("a sound estate"), written, "seed {seed}");
        for by in 0..3 {
            let again = many.install(|| real(&turned(&files, by), AS_OF)).expect("a sound estate");
            for (file, text) in &written {
                // Only the line of a bad cell may differ.
                if file != "warnings.csv" {
                    assert_eq!(&again[file], text, "seed {seed} {file}");
                }
            }
        }
    }
}

#[test]
fn every_installation_ends_in_exactly_one_outcome_and_every_taken_one_is_counted_once() {
    for seed in 0..300 {
        let written = real(&estate(seed), AS_OF).expect("a sound estate");
        let outcomes = rows(&written, "outcomes.csv");
        let mut seen = std::collections::BTreeSet::new();
        let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &outcomes {
            assert!(seen.insert((&row["device"], &row["application"])), "seed {seed}: twice {row:?}");
            if !row["license"].is_empty() {
                *taken.entry(&row["license"]).or_default() += 1;
            }
        }
        let unlicensed = outcomes.iter().filter(|row| row["outcome"] == "unlicensed").count();
        assert_eq!(unlicensed, rows(&written, "unlicensed.csv").len(), "seed {seed}");
        let consumption = rows(&written, "consumption.csv");
        for row in rows(&written, "license_result.csv") {
            if ["", "39", "40"].contains(&row["type"].as_str()) || row["status"] == "Unknown" {
                continue;
            }
            let own = consumption.iter().filter(|unit| unit["license"] == row["license"]);
            let alone = own.filter(|unit| unit["reason"] == "no_inventory").count() as u64;
            let raw = taken.get(row["license"].as_str()).copied().unwrap_or_default() + alone;
            assert_eq!(row["raw"], raw.to_string(), "seed {seed} {row:?}");
        }
    }
}

/// Consumption by licence, for types whose figure is a sum over devices.
fn consumed(files: &Files) -> BTreeMap<String, f64> {
    let result = rows(&real(files, AS_OF).expect("a sound estate"), "license_result.csv");
    let is_summed = |row: &BTreeMap<String, String>| ["2", "15", "18", "25"].contains(&row["type"].as_str());
    result
        .iter()
        .filter(|row| is_summed(row))
        .map(|row| (row["license"].clone(), row["consumed"].parse().expect("a number")))
        .collect()
}

#[test]
fn one_more_installation_without_rights_never_lowers_what_is_consumed() {
    for seed in 0..60_u64 {
        // One licence of each type without any right, the only one for its application.
        let metric = [2, 15, 18, 25][(seed % 4) as usize];
        let mut files = Files::new();
        let mut devices = String::from("device,kind,host,processors,cores,family,region\n");
        for device in 0..9 {
            let guest = device % 3 == 2 && device > 0;
            let (kind, host) = if guest { ("vm", format!("d{}", device - 1)) } else { ("physical", String::new()) };
            let cores = 1 + (seed * 7 + device * 5) % 11;
            devices += &format!("d{device},{kind},{host},{},{cores},f{},r{}\n", 1 + device % 2, device % 2, device % 2);
        }
        files.insert("devices.csv".into(), devices);
        files.insert("applications.csv".into(), "application\na\n".into());
        files.insert(
            "licenses.csv".into(),
            format!("license,type,points_set,sub_capacity\nL,{metric},p,{}\n", seed % 2),
        );
        files.insert("license_applications.csv".into(), "license,application\nL,a\n".into());
        files.insert("entitlements.csv".into(), "license,quantity\nL,100\n".into());
        files.insert("points_rules.csv".into(), "set,rule,family,points\np,1,f0,70\np,2,f1,2.5\n".into());
        let mut installed = String::from("device,application\n");
        let mut before = 0.0;
        for step in 0..9 {
            installed += &format!("d{},a\n", (seed + step * 4) % 9);
            files.insert("installations.csv".into(), installed.clone());
            let now = consumed(&files)["L"];
            assert!(now >= before, "seed {seed} type {metric}: {now} after {before}");
            before = now;
        }
        assert!(before > 0.0);
    }
}

#[test]
fn a_peak_is_never_below_today() {
    let mut peaks = 0;
    for seed in 0..300 {
        let written = real(&estate(seed), AS_OF).expect("a sound estate");
        for row in rows(&written, "license_result.csv").iter().filter(|row| row["type"] == "25") {
            let number = |column: &str| row[column].parse::<f64>().expect("a number");
            assert!(number("consumed") >= number("today"), "seed {seed} {row:?}");
            peaks += 1;
        }
    }
    assert!(peaks > 20, "{peaks} licences with peaks");
}
