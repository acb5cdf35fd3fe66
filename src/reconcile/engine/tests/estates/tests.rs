use std::collections::BTreeMap;

use super::super::slow::{csv, reconcile};
use super::{AS_OF, estate};

const SEEDS: u64 = 1_000;

/// What must turn up among the seeds: file, column, words.
#[rustfmt::skip]
const WORDS: &[(&str, &str, &[&str])] = &[
    ("assessment.csv", "outcome", &["consumed", "rejected", "not assessed"]),
    ("assessment.csv", "reason", &[
        "allocated", "suite", "supplementary", "overflow", "priority", "allocated_elsewhere", "bad_data", "out_of_scope",
        "not_allocated", "primary_missing", "ratio_used_up", "host_missing", "core_count_missing",
        "processor_count_missing", "no_points_rule", "too_many_sockets", "maintenance_missing", "virtual_use_not_allowed",
        "full",
    ]),
    ("outcomes.csv", "outcome", &["consumed", "exempt", "unlicensed", "not licensable"]),
    ("outcomes.csv", "reason", &["", "allocated", "suite", "supplementary", "overflow", "priority", "1", "9", "10", "11"]),
    ("unlicensed.csv", "reason", &["no_license", "rejected"]),
    ("consumption.csv", "unit", &["device", "user"]),
    ("consumption.csv", "reason", &["counted", "not_covered", "no_inventory", "exempt", "second_use", "host", "covered"]),
    ("license_result.csv", "status", &["Compliant", "At Risk", "Unknown", "Not Tracked"]),
    ("license_result.csv", "type", &[
        "", "1", "2", "3", "4", "5", "12", "13", "15", "16", "17", "18", "22", "25", "29", "30", "31", "33", "39", "40", "41",
        "43", "6", "42",
    ]),
    ("license_result.csv", "available", &["", "unlimited"]),
    ("unrecognised.csv", "kind", &["installer", "file"]),
    ("warnings.csv", "code", &[
        "unknown_device", "unknown_application", "unknown_license", "bad_data", "awaiting_allocated", "quantity_missing",
        "unknown_processor", "purchase_date_missing", "peak_period_over", "host_in_cluster", "option_type_differs",
    ]),
    ("peaks.csv", "region", &["", "americas", "europe", "asia"]),
];

#[test]
fn the_seeds_reach_every_word_of_the_tables() {
    let mut counts: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for seed in 0..SEEDS {
        let written = reconcile(&estate(seed), AS_OF).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for (file, column, _) in WORDS {
            let rows = csv::parse(&written[*file]);
            let place = rows[0].cells.iter().position(|name| name == column).expect("a column");
            for row in &rows[1..] {
                *counts.entry((file, column, row.cells[place].clone())).or_default() += 1;
            }
        }
    }
    for (file, column, words) in WORDS {
        for word in *words {
            assert!(counts.contains_key(&(*file, *column, (*word).to_string())), "no {word:?} in {column} of {file}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_estate_and_the_order_of_rows_means_nothing() {
    for seed in 0..100 {
        let files = estate(seed);
        assert_eq!(files, estate(seed));
        let written = reconcile(&files, AS_OF).expect("no refusal");
        let turned = files.iter().map(|(file, text)| (file.clone(), turned(text))).collect();
        let again = reconcile(&turned, AS_OF).expect("no refusal");
        // Only the line of a bad cell may differ.
        for (file, text) in &written {
            if file != "warnings.csv" {
                assert_eq!(text, &again[file], "seed {seed} {file}");
            }
        }
    }
}

/// The rows from last to first.
fn turned(text: &str) -> String {
    let rows = csv::parse(text);
    let (header, rows) = rows.split_first().expect("a header");
    let lines = rows.iter().rev().map(|row| csv::line(&row.cells));
    csv::line(&header.cells) + &lines.collect::<String>()
}
