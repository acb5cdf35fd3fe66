//! `muster reconcile`: the worked cases of the reference byte by byte, and the command as a user meets it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::run;
use crate::tidy::project;

type Files = BTreeMap<String, String>;

/// Case, file, the row's cells, column, value.
type Figure = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const RESULT: &str = "license_result.csv";
const CONSUMPTION: &str = "consumption.csv";
const OUTCOMES: &str = "outcomes.csv";

/// The "Expected" column of the reference's table.
const FIGURES: &[Figure] = &[
    ("01", RESULT, &[("license", "writer")], "raw", "4"),
    ("01", RESULT, &[("license", "writer")], "consumed", "2"),
    ("01", RESULT, &[("license", "writer")], "savings", "2"),
    ("01", RESULT, &[("license", "writer")], "status", "Compliant"),
    ("01", OUTCOMES, &[("device", "C")], "reason", "11"),
    ("02", RESULT, &[("license", "writer")], "consumed", "3"),
    ("02", RESULT, &[("license", "writer")], "status", "At Risk"),
    ("03", RESULT, &[("license", "L")], "consumed", "2"),
    ("03", CONSUMPTION, &[("id", "desktop")], "consumed", "1"),
    ("03", CONSUMPTION, &[("id", "vm")], "consumed", "1"),
    ("03", CONSUMPTION, &[("id", "laptop")], "reason", "second_use"),
    ("03", OUTCOMES, &[("device", "laptop")], "outcome", "exempt"),
    ("03", OUTCOMES, &[("device", "laptop")], "reason", "10"),
    ("04", RESULT, &[("license", "L")], "consumed", "4"),
    ("04", CONSUMPTION, &[("unit", "user"), ("id", "u1")], "consumed", "1"),
    ("04", CONSUMPTION, &[("unit", "user"), ("id", "u2")], "consumed", "1"),
    ("04", CONSUMPTION, &[("unit", "user"), ("id", "u3")], "consumed", "1"),
    ("04", CONSUMPTION, &[("unit", "device"), ("id", "C")], "consumed", "1"),
    ("05", RESULT, &[("license", "L")], "consumed", "2"),
    ("05", "unlicensed.csv", &[("device", "d4")], "reason", "rejected"),
    ("05", "unlicensed.csv", &[("device", "d5")], "reason", "rejected"),
    ("05", "unlicensed.csv", &[("device", "d6")], "reason", "rejected"),
    ("05", "unlicensed.csv", &[("device", "d7")], "reason", "rejected"),
    ("06", RESULT, &[("license", "L")], "consumed", "3"),
    ("07", CONSUMPTION, &[("id", "h-2x4")], "consumed", "16"),
    ("07", CONSUMPTION, &[("id", "h-1x6")], "consumed", "16"),
    ("07", CONSUMPTION, &[("id", "h-2x10")], "consumed", "20"),
    ("07", CONSUMPTION, &[("id", "h-4x4")], "consumed", "32"),
    ("08", RESULT, &[("license", "L")], "consumed", "72"),
    ("09", CONSUMPTION, &[("id", "host")], "consumed", "8"),
    ("09", CONSUMPTION, &[("id", "vm-2")], "consumed", "4"),
    ("09", CONSUMPTION, &[("id", "vm-6")], "consumed", "6"),
    ("10", RESULT, &[("license", "L")], "consumed", "11"),
    ("10", CONSUMPTION, &[("id", "arm-6")], "consumed", "2"),
    ("10", CONSUMPTION, &[("id", "power-3")], "consumed", "3"),
    ("10", CONSUMPTION, &[("id", "xeon-3a")], "consumed", "2"),
    ("10", CONSUMPTION, &[("id", "xeon-3b")], "consumed", "2"),
    ("10", CONSUMPTION, &[("id", "xeon-5")], "consumed", "3"),
    ("11", RESULT, &[("license", "L")], "consumed", "4"),
    ("12", RESULT, &[("license", "L")], "consumed", "150"),
    ("13", RESULT, &[("license", "L")], "consumed", "24"),
    ("14", RESULT, &[("license", "L")], "consumed", "1120"),
    ("15", RESULT, &[("license", "L")], "consumed", "1200"),
    ("16", RESULT, &[("license", "L")], "consumed", "1200"),
    ("16", RESULT, &[("license", "L")], "today", "600"),
    ("16", RESULT, &[("license", "L")], "status", "At Risk"),
    ("16", "peaks.csv", &[("license", "L")], "peak", "1200"),
    ("17", RESULT, &[("license", "L")], "consumed", "7680"),
    ("18", RESULT, &[("license", "r-150000")], "consumed", "72500"),
    ("18", RESULT, &[("license", "r-3001")], "consumed", "2901"),
    ("18", RESULT, &[("license", "r-12345")], "consumed", "9907"),
    ("19", RESULT, &[("license", "L")], "consumed", "199"),
    ("20", CONSUMPTION, &[("id", "d-2x48")], "consumed", "4"),
    ("20", CONSUMPTION, &[("id", "d-1x32")], "consumed", "1"),
    ("20", CONSUMPTION, &[("id", "d-2x33")], "consumed", "4"),
    ("21", RESULT, &[("license", "L")], "consumed", "30"),
    ("21", RESULT, &[("license", "L")], "status", "Not Tracked"),
    ("22", "assessment.csv", &[("device", "server")], "outcome", "rejected"),
    ("22", "assessment.csv", &[("device", "server")], "reason", "core_count_missing"),
    ("22", RESULT, &[("license", "L")], "consumed", "0"),
    ("22", RESULT, &[("license", "L")], "status", "Unknown"),
    ("22", RESULT, &[("license", "L")], "missing", "1"),
    ("23", RESULT, &[("license", "unlimited")], "consumed", "250"),
    ("23", RESULT, &[("license", "a-hundred")], "consumed", "0"),
    ("24", RESULT, &[("license", "normal")], "consumed", "100"),
    ("24", RESULT, &[("license", "a-true-up")], "consumed", "30"),
    ("24", RESULT, &[("license", "a-true-up")], "true_up_due", "30"),
    ("25", RESULT, &[("license", "L")], "consumed", "1"),
    ("25", CONSUMPTION, &[("id", "large")], "reason", "no_inventory"),
    ("26", OUTCOMES, &[("application", "office")], "device", "hit"),
    ("26", "unrecognised.csv", &[("version", "10.10.1")], "devices", "1"),
    ("26", "unrecognised.csv", &[("version", "10.1")], "devices", "1"),
];

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(project().join("tests/golden/reconcile")).expect("the worked cases");
    let mut cases: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn files(folder: &Path) -> Files {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), fs::read_to_string(&path).expect("a text"))).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of text")
}

/// The rows of a table as maps from column to cell.
fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(|row| row.expect("a row")).collect()
}

#[test]
fn the_worked_cases_give_the_expected_files() {
    assert_eq!(cases().len(), 26);
    let out = tempfile::tempdir().unwrap();
    for case in cases() {
        let as_of = fs::read_to_string(case.join("as_of")).expect("as_of");
        let out = out.path().join(case.file_name().expect("a name"));
        let done =
            run(&["reconcile", "--input", text(&case.join("input")), "--out", text(&out), "--as-of", as_of.trim()]);
        assert!(done.status.success(), "{}: {}", case.display(), String::from_utf8_lossy(&done.stderr));
        assert_eq!(files(&out), files(&case.join("expected")), "{}", case.display());
    }
}

#[test]
fn the_expected_files_hold_the_figures_of_the_reference() {
    for (number, file, cells, column, value) in FIGURES {
        let is_meant = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(number));
        let case = cases().into_iter().find(is_meant).expect("a case of this number");
        let table = rows(&files(&case.join("expected"))[*file]);
        let fits = |row: &&BTreeMap<String, String>| cells.iter().all(|(column, text)| row[*column] == *text);
        let found: Vec<&str> = table.iter().filter(fits).map(|row| row[*column].as_str()).collect();
        assert_eq!(found, [*value], "{} {file} {cells:?} {column}", case.display());
    }
}

/// A folder with these files beside the three that are needed.
fn folder(more: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let needed = [
        ("devices.csv", "device,cores\nd1,4\nd2,8\n"),
        ("applications.csv", "application\na1\n"),
        ("licenses.csv", "license,type\nL1,2\n"),
    ];
    for (name, text) in needed.iter().chain(more) {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn without_a_folder_to_write_to_the_result_goes_to_stdout() {
    let more = [
        ("installations.csv", "device,application\nd1,a1\n"),
        ("license_applications.csv", "license,application\nL1,a1\n"),
    ];
    let folder = folder(&more);
    let input = text(folder.path());
    let done = run(&["reconcile", "--input", input, "--as-of", "2026-06-15", "--timing"]);
    let expected = "license,type,raw,consumed,today,exempt,total,available,savings,true_up_due,status_id,status,manual_status,missing\n\
        L1,2,1,1,1,0,0,-1,0,,2,At Risk,,0\n";
    assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    let timing: Value = serde_json::from_slice(&done.stderr).expect("one line of JSON");
    let count = |name: &str| timing[name].as_u64();
    assert_eq!((count("installations"), count("licenses")), (Some(1), Some(1)));
    for name in ["read_s", "recognise_s", "assign_s", "count_s", "write_s"] {
        assert!(timing[name].as_f64().is_some_and(|seconds| seconds >= 0.0), "{name}: {timing}");
    }
    assert!(count("peak_rss_bytes") > Some(0));
    let json = run(&["reconcile", "--input", input, "--json"]);
    let row: Value = serde_json::from_slice(&json.stdout).expect("one line of JSON");
    assert_eq!((&row["license"], &row["status"], &row["true_up_due"]), (&"L1".into(), &"At Risk".into(), &Value::Null));
    let told = |options: &[&str]| {
        let done = run(&[&["reconcile", "--input", input], options].concat());
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let (_, licence) = told(&["--explain", "L1"]);
    assert!(licence.starts_with("`L1`, Device (2): 1 used, 0 owned, At Risk\n  1 more used than owned"), "{licence}");
    let (_, installation) = told(&["--explain-installation", "d1", "a1"]);
    assert!(installation.starts_with("`a1` on `d1` is on licence `L1`"), "{installation}");
    assert_eq!(
        told(&["--explain-installation", "d2", "a1"]),
        (Some(2), "muster: `a1` is not installed on `d2`\n".into())
    );
    assert_eq!(told(&["--explain", "L9"]).0, Some(2));
    let one = run(&["reconcile", "--input", input, "--write", "outcomes"]);
    assert_eq!(
        String::from_utf8_lossy(&one.stdout),
        "device,application,outcome,license,reason\nd1,a1,consumed,L1,overflow\n"
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_nothing_is_written() {
    let out = tempfile::tempdir().unwrap();
    let refused = |folder: &Path, options: &[&str], says: &str| {
        let arguments = [&["reconcile", "--input", text(folder)], options].concat();
        let done = run(&arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    };
    let out_folder = out.path().join("out");
    let bad = folder(&[("users.csv", "user,builtin\nu1,maybe\n")]);
    refused(bad.path(), &["--out", text(&out_folder)], "users.csv:2 builtin: `maybe` is no answer: write yes or no");
    assert!(!out_folder.exists(), "nothing is written");
    let good = folder(&[]);
    fs::remove_file(good.path().join("licenses.csv")).unwrap();
    refused(good.path(), &[], "licenses.csv: is missing from the folder");
    refused(&good.path().join("nowhere"), &[], "nowhere");
    refused(good.path(), &["--as-of", "20260615"], "is no day: write YYYY-MM-DD");
    refused(good.path(), &["--write", "results"], "is no table: write some of license_result");
    refused(good.path(), &["--write", "outcomes,peaks"], "say where to with --out DIR");
}

#[test]
fn tables_that_cannot_be_written_leave_those_before_them_as_they_were() {
    let input = folder(&[]);
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("license_result.csv"), "as before").unwrap();
    // A folder stands where a table would.
    fs::create_dir(out.path().join("peaks.csv")).unwrap();
    let done = run(&["reconcile", "--input", text(input.path()), "--out", text(out.path())]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("peaks.csv"), "{said}");
    assert_eq!(fs::read_to_string(out.path().join("license_result.csv")).unwrap(), "as before");
}

#[test]
fn a_column_that_nobody_knows_is_named_once_and_ignored() {
    let folder = folder(&[("users.csv", "user,shoe_size\nu1,43\nu2,44\n")]);
    let done = run(&["reconcile", "--input", text(folder.path())]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert_eq!(said.matches("users.csv: column `shoe_size` is not known and is ignored").count(), 1, "{said}");
}

/// IBM's own example: a POWER7 770 with eight sockets of eight cores; and an Oracle server with two of four.
#[test]
fn the_shipped_points_give_the_published_figures() {
    let more = [
        (
            "devices.csv",
            "device,processors,cores,family,model\nd1,8,64,POWER7,770\nd2,2,8,Intel(R) Xeon(R) Gold 6338,\n",
        ),
        ("licenses.csv", "license,type,points_set\nL1,25,ibm-pvu\nL2,16,oracle-core-factor\n"),
        ("applications.csv", "application\na1\na2\n"),
        ("installations.csv", "device,application\nd1,a1\nd2,a2\n"),
        ("license_applications.csv", "license,application\nL1,a1\nL2,a2\n"),
    ];
    let folder = folder(&more);
    fs::copy(project().join("config/points/points_rules.csv"), folder.path().join("points_rules.csv")).unwrap();
    let done = run(&["reconcile", "--input", text(folder.path())]);
    let table = rows(&String::from_utf8_lossy(&done.stdout));
    let consumed: Vec<&str> = table.iter().map(|row| row["consumed"].as_str()).collect();
    assert_eq!(consumed, ["7680", "4"], "{}", String::from_utf8_lossy(&done.stderr));
}

/// A licence that runs out because it is asked first for what another one, with room, covers as well.
const CONTESTED: [(&str, &str); 5] = [
    ("applications.csv", "application\na1\na2\n"),
    ("installations.csv", "device,application\nd1,a1\nd2,a2\n"),
    ("licenses.csv", "license,type\nL1,2\nL2,2\n"),
    ("license_applications.csv", "license,application,priority\nL1,a1,1\nL2,a1,2\nL1,a2,\n"),
    ("entitlements.csv", "license,quantity\nL1,1\nL2,1\n"),
];

#[test]
fn questions_about_a_reconcile_are_answered_on_stdout() {
    let (earlier, now) = (folder(&CONTESTED[..4]), folder(&CONTESTED));
    let ask = |options: &[&str]| {
        let done = run(&[&["reconcile", "--input", text(now.path()), "--as-of", "2026-06-15"], options].concat());
        (done.status.code(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let lines = |options: &[&str]| -> Vec<Value> {
        let (_, said) = ask(options);
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    };
    let (code, said) = ask(&["--compare", text(earlier.path())]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("`L1`, Device (2): 2 used, 0 -> 1 owned, At Risk\n  purchase of 1: added, in force"),
        "{said}"
    );
    assert_eq!(lines(&["--compare", text(earlier.path()), "--json"])[0]["license"], "L1");
    let (_, same) = ask(&["--compare", text(now.path()), "--compare-as-of", "2026-06-14"]);
    assert_eq!(same, "no figure, term or unit of any licence changed\n");

    let edits = now.path().join("try.csv");
    fs::write(&edits, "edit,license,quantity,application,device\nadd_entitlement,L1,1,,\nremove_application,,,a1,d1\n")
        .unwrap();
    let tried = lines(&["--what-if", text(&edits), "--json"]);
    assert_eq!((&tried[0]["after"]["consumed"], &tried[0]["after"]["total"]), (&"1".into(), &"2".into()));
    assert_eq!(tried[0]["units"][0]["causes"][0]["cause"], "removed");
    fs::write(&edits, "edit,device\nremove_device,d1\nremove_device,d9\n").unwrap();
    let (code, said) = ask(&["--what-if", text(&edits)]);
    assert_eq!(code, Some(2));
    assert!(said.contains("try.csv:3 device: `d9` is not known"), "{said}");

    let (_, said) = ask(&["--optimise"]);
    assert!(said.starts_with("1. ask `L2` first for `a1`"), "{said}");
    let saved = lines(&["--optimise", "--json"]);
    assert_eq!(saved[0]["proposal"]["saving"]["rights"], "1");
    assert_eq!(ask(&["--optimise", "--compare", text(earlier.path())]).0, Some(2), "one question at a time");
    let unsound = folder(&[("users.csv", "user,builtin\nu1,maybe\n")]);
    let (code, said) = ask(&["--compare", text(unsound.path())]);
    assert_eq!(code, Some(2));
    assert!(said.contains(text(unsound.path())) && said.contains("users.csv:2 builtin"), "{said}");
}
