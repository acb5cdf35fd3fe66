//! `muster match`: the files of the matching reference, section 11, through the program.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Files, Node, command, get, run, wait_for};

const HEADER: &str = "record_id,source,external_id,inventory_date,ComputerName,ComplianceDomainID,VMType,Manufacturer,\
    ModelNo,FirmwareSerialNumber,MachineID,SerialNo,UntrustedSerialNo,UUID,OperatingSystem,ILMTAgentID";
/// A and B share a MachineID, B and C an ILMTAgentID; 4 and 5 are names, in one domain and in none.
const ROWS: [&str; 6] = [
    "11,sccm,a,100,PC1,d1,,Dell,R1,None,m1,,,,Windows,",
    "12,agent,b,200,pc1,d1,,DELL,,,M1,S1,,u-b,Windows,i1",
    "13,ilmt,c,300,pc1,d1,,,,,,,,,,i1",
    "4,ad,d,50,pc9,d9,,,,,,,,,,",
    "5,ad,e,60,PC9,,,,,,,,,,,",
    "60,ad,f,60,\"pc,9 \"\"x\"\"\",d1,,,,,,,,,,",
];

fn file(folder: &Path, name: &str, lines: &[&str]) -> String {
    let path = folder.join(name);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

fn records(folder: &Path) -> String {
    let lines: Vec<&str> = std::iter::once(HEADER).chain(ROWS).collect();
    file(folder, "records.csv", &lines)
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn records_become_sets_whatever_their_order_and_form() {
    let folder = tempfile::tempdir().unwrap();
    let expected = "record_id,group,matcher\n4,4,210\n5,4,210\n11,11,30\n12,11,30\n13,13,0\n60,60,0\n";
    let csv = records(folder.path());
    assert_eq!(out(&run(&["match", "--records", &csv])), expected);
    // Columns and rows in another order, one column more, CR LF, a mark at the start.
    let turned: Vec<String> = std::iter::once(HEADER)
        .chain(ROWS.into_iter().rev().filter(|row| !row.contains('"')))
        .map(|row| row.split(',').rev().chain(["more"]).collect::<Vec<_>>().join(","))
        .collect();
    let path = folder.path().join("turned.csv");
    fs::write(&path, format!("\u{feff}{}\r\n", turned.join("\r\n"))).unwrap();
    let without: String =
        expected.lines().filter(|line| !line.starts_with("60")).map(|line| format!("{line}\n")).collect();
    assert_eq!(out(&run(&["match", "--records", path.to_str().unwrap(), "--threads", "1"])), without);
    let names: Vec<&str> = HEADER.split(',').collect();
    let objects: Vec<String> = ROWS
        .into_iter()
        .filter(|row| !row.contains('"'))
        .map(|row| {
            let field = |(name, cell): (&&str, &str)| match (*name, cell) {
                (_, "") => format!("\"{name}\":null"),
                ("record_id" | "inventory_date", number) => format!("\"{name}\":{number}"),
                (_, text) => format!("\"{name}\":\"{text}\""),
            };
            format!("{{{}}}", names.iter().zip(row.split(',')).map(field).collect::<Vec<_>>().join(","))
        })
        .collect();
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let ndjson = file(folder.path(), "records.ndjson", &objects);
    assert_eq!(out(&run(&["match", "--records", &ndjson])), without);
}

#[test]
fn sets_meet_devices_and_their_values_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let devices = file(
        folder.path(),
        "devices.csv",
        &["device_id,MachineID,ILMTAgentID,ComputerName,ObjectType", "7,m1,,,", "3,,i1,x,Unmatched", "8,,,pc77,"],
    );
    let bindings = file(
        folder.path(),
        "bindings.csv",
        &["device_id,source,external_id,FirmwareSerialNumber,SerialNo,UUID,MachineID,ILMTAgentID", "8,ad,f,,,,,"],
    );
    let [out_file, merged] =
        ["out.csv", "merged.csv"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let mut arguments = vec!["match", "--records", &csv, "--devices", &devices, "--bindings", &bindings];
    arguments.extend(["--out", &out_file, "--merge-out", &merged, "--primary", "sccm"]);
    assert_eq!(out(&run(&arguments)), "");
    assert_eq!(
        fs::read_to_string(&out_file).unwrap(),
        "kind,id,device,matcher,how\ngroup,4,,0,new\ngroup,11,7,30,matcher\ngroup,13,3,170,matcher\ngroup,60,8,0,binding\n"
    );
    let merged = fs::read_to_string(&merged).unwrap();
    let lines: Vec<&str> = merged.lines().collect();
    assert_eq!(
        lines[0],
        "device,group,inventory_date,ComputerName,ComplianceDomainID,ComputerType,VMType,VMName,PartitionID,\
         PartitionNumber,Manufacturer,ModelNo,HostType,HostID,MachineID,FirmwareSerialNumber,SerialNo,UntrustedSerialNo,\
         HostIdentifyingNumber,UUID,OperatingSystem,ILMTAgentID,ObjectType"
    );
    assert_eq!(lines[1], "new:4,4,60,PC9,d9,,,,,,,,,,,,,false,,,,,Unmatched");
    assert_eq!(lines[2], "7,11,200,PC1,d1,,,,,,Dell,R1,,,m1,,S1,false,,u-b,Windows,i1,Complete");
    assert_eq!(lines[4], "8,60,60,\"pc,9 \"\"x\"\"\",d1,,,,,,,,,,,,,false,,,,,Unmatched");
}

#[test]
fn devices_that_one_set_hits_become_the_oldest_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let devices = file(folder.path(), "devices.csv", &["device_id,MachineID", "9,m1", "2,M1"]);
    let lines = out(&run(&["match", "--records", &csv, "--devices", &devices]));
    assert!(lines.contains("group,11,2,30,matcher\n") && lines.ends_with("device,9,2,,merged\n"), "{lines}");
}

#[test]
fn an_explanation_names_matchers_values_and_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let lines = out(&run(&["match", "--records", &csv, "--explain", "11"]));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "Record 11 is one device with record 12: Matcher 30 (physical: machine ID) found MachineID `m1` and `M1`."
    );
    assert_eq!(
        lines[1],
        "Matcher 10 (physical: manufacturer, model, firmware serial) did not: FirmwareSerialNumber is missing in record 11."
    );
    assert_eq!(lines.len(), 3);
    let alone = out(&run(&["match", "--records", &csv, "--explain", "13"]));
    assert!(alone.starts_with("Record 13 stands alone: no Matcher joined it to another record.\n"), "{alone}");
    assert!(
        alone.contains("Matcher 170 (ILMT agent ID) did not: the records with the same values had been joined before (record 12 by Matcher 30)."),
        "{alone}"
    );
    let pair = out(&run(&["match", "--records", &csv, "--explain", "12", "--with", "13"]));
    assert!(pair.starts_with("Records 12 and 13 are not one device: no Matcher joined them.\n"), "{pair}");
    let wrong = run(&["match", "--records", &csv, "--explain", "99"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn timing_is_one_line_of_json() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let output = run(&["match", "--records", &csv, "--timing"]);
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((line["records"].as_u64(), line["sets"].as_u64()), (Some(6), Some(4)));
    for name in ["read_s", "normalise_s", "match_s", "write_s"] {
        assert!(line[name].as_f64().is_some(), "{name}");
    }
    assert!(line["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn wrong_files_are_refused_with_file_line_and_what_to_write_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let head = "record_id,source,external_id,inventory_date,ComputerName";
    let long = format!("1,a,k,5,{}", "x".repeat((1 << 20) + 1));
    let cases: [(&[&str], &str); 11] = [
        (&["record_id,source,external_id,ComputerName", "1,a,k,x"], "line 1: the column `inventory_date` is missing"),
        (&["record_id,source,external_id,inventory_date,UUID,uuid", "1,a,k,5,,"], "line 1: the column `uuid` is twice"),
        (&[head, "1,a,k,5,x", "1,a,l,5,x"], "line 3: the number 1 is on line 2 already"),
        (&[head, "1,a,k,5,x", "2,a,k,5,x"], "line 3: external_id `k` of source `a` is on line 2 already"),
        (&[head, "1,a,k,5,x", "-2,a,l,5,x"], "line 3: record_id `-2` is no number"),
        (&[head, "1,a,k,yesterday,x"], "line 2: inventory_date `yesterday` is no date"),
        (&[head, "1,a,k,,x"], "line 2: inventory_date `` is no date"),
        (&[head, "1,a,k,5"], "line 2: 4 cells where the header has 5"),
        (&[head, "1,a,\"k,5,x"], "line 2: the quote that opens a cell is never closed"),
        (&[head, "1,a,\"k\"l,5,x"], "line 2: text stands behind the closing quote"),
        (&[head, &long], "line 2: longer than 1 MiB"),
    ];
    let target = folder.path().join("out.csv");
    let refused = |records: &str, wanted: &str, more: &[&str]| {
        let mut arguments = vec!["match", "--records", records, "--out", target.to_str().unwrap()];
        arguments.extend(more);
        let output = run(&arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{wanted}: {text}");
        assert!(text.contains(wanted) && text.lines().count() == 1, "{wanted}: {text}");
        assert!(!target.exists(), "{wanted}");
    };
    for (lines, wanted) in cases {
        refused(&file(folder.path(), "wrong.csv", lines), &format!("wrong.csv` {wanted}"), &[]);
    }
    let path = folder.path().join("bytes.csv");
    fs::write(&path, [head.as_bytes(), b"\n1,a,k,5,x\n2,a,l,5,\xff\n"].concat()).unwrap();
    refused(path.to_str().unwrap(), "bytes.csv` line 3: byte 9 of the line is no UTF-8", &[]);
    refused(&file(folder.path(), "empty.csv", &[]), "empty.csv` line 1: the column `record_id` is missing", &[]);
    refused(&file(folder.path(), "a.ndjson", &["{\"record_id\":1"]), "a.ndjson` line 1: no JSON object", &[]);
    refused(folder.path().join("none.csv").to_str().unwrap(), "cannot read", &[]);
    let good = records(folder.path());
    let custom = file(folder.path(), "custom.xml", &["<Matchers><Matcher Order='x'/></Matchers>"]);
    refused(&good, "custom file of Matchers", &["--custom", &custom]);
    let devices = file(folder.path(), "devices.csv", &["device_id,UUID", "1,u"]);
    let bindings = file(folder.path(), "bindings.csv", &["device_id,source,external_id", "2,a,k"]);
    refused(&good, "names device 2", &["--devices", &devices, "--bindings", &bindings]);
}

#[test]
fn files_of_several_pieces_are_cut_between_records_whatever_stands_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let count = 60_000;
    let long = "ü".repeat(60);
    // A quote behind a comma, then an escaped one at the end of a text: no CSV, and good JSON.
    let json = |id: usize| {
        format!(
            "{{\"record_id\":{id},\"source\":\"s\",\"external_id\":\"k{id}\",\"inventory_date\":1,\"VMName\":\"{long}x,\\\"\"}}\n"
        )
    };
    let ndjson = folder.path().join("big.ndjson");
    fs::write(&ndjson, (1..=count).map(json).collect::<String>()).unwrap();
    let csv = |id: usize| format!("{id},s,\"k,{id}\n\"\"\",1,{long}\n");
    let text: String = (1..=count).map(csv).collect();
    assert!(text.len() > 8 << 20 && fs::metadata(&ndjson).unwrap().len() > 8 << 20);
    let header = "record_id,source,external_id,inventory_date,VMName\n";
    let big = folder.path().join("big.csv");
    fs::write(&big, format!("{header}{text}")).unwrap();
    for path in [&ndjson, &big] {
        let lines = out(&run(&["match", "--records", path.to_str().unwrap(), "--threads", "2"]));
        assert_eq!(lines.lines().count(), count + 1, "{}", path.display());
    }
    // The line of a fault far behind, after records of two lines each.
    fs::write(&big, format!("{header}{text}x,s,k,1,\n")).unwrap();
    let wrong = run(&["match", "--records", big.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(text.contains(&format!("line {}: record_id `x` is no number", 2 * count + 2)), "{text}");
    // A quote that is never closed, with characters of two bytes up to where reading gives up.
    fs::write(&big, format!("{header}1,s,\"k,1,{}", "ü".repeat(12 << 20))).unwrap();
    let wrong = run(&["match", "--records", big.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(text.contains("line 2: longer than 1 MiB; perhaps a quote is not closed"), "{text}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_in_peace() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (1..=200_000).map(|id| format!("{id},s,k{id},1\n")).collect();
    let path = folder.path().join("many.csv");
    fs::write(&path, format!("record_id,source,external_id,inventory_date\n{rows}")).unwrap();
    let mut command = command(&["match", "--records", path.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn an_output_that_cannot_be_written_is_told_and_leaves_what_stood_there() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let gone = folder.path().join("no/such/out.csv");
    let output = run(&["match", "--records", &csv, "--out", gone.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let output = run(&["match", "--records", &csv, "--out", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_report_of_an_import_counts_sets_conflicts_placeholders_and_multi_hits() {
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let rows: Vec<String> = (1..=6).map(|id| format!("{id},m1")).collect();
    let lines: Vec<&str> = std::iter::once("device_id,MachineID").chain(rows.iter().map(String::as_str)).collect();
    let devices = file(folder.path(), "devices.csv", &lines);
    let path = folder.path().join("report.json");
    let report = path.to_str().unwrap();
    let line = ["match", "--records", &csv, "--devices", &devices, "--report", report];
    out(&run(&line));
    let report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let of =
        |order: i64| report["matchers"].as_array().unwrap().iter().find(|by| by["order"] == order).unwrap().clone();
    assert_eq!((&report["records"], &report["sets"], &report["alone"]), (&json!(6), &json!(4), &json!(2)));
    assert_eq!((&of(30)["sets"], &of(30)["records"], &of(30)["hits"]), (&json!(1), &json!(2), &json!(1)));
    assert_eq!((&of(210)["sets"], &of(10)["sets"]), (&json!(1), &json!(0)));
    assert_eq!(report["placeholders"], json!({"FirmwareSerialNumber": 1}));
    assert_eq!((&report["created"], &report["bound"], &report["merged"]), (&json!(3), &json!(0), &json!(0)));
    let chain = json!({"matcher": 30, "devices": ["1", "2", "3", "4", "5", "6"], "records": ["11"]});
    assert_eq!(report["multi_hits"], json!({"count": 1, "samples": [chain]}));
}

const BY_MODEL: &str =
    "<Matchers><Matcher Order='5' Name='model'><Rules><Rule Property='ModelNo'/></Rules></Matcher></Matchers>";

#[test]
fn a_running_server_tells_what_changed_matchers_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files { folder: folder.path(), address: "127.0.8.12" };
    let (server, ready) = Node::ready("server", &files.server());
    let address = |name: &str| format!("http://{}", ready[name].as_str().unwrap());
    let (upload, operator) = (address("upload"), address("operator"));
    for machine in ["a", "b"] {
        let inventory = format!(
            "<Inventory Tracker='1' Audience='Machine' Scope='{machine}.lab' MachineName='{machine}' UserName='root' \
             DateTime='{}' Type='Full'><Hardware Class='MGS_ComputerSystem' Name='h'>\
             <Property Name='Model' Value='R-220'/><Property Name='MachineID' Value='{machine}'/></Hardware></Inventory>",
            "20260101T000000"
        );
        let path = file(folder.path(), &format!("{machine}.ndi"), &[&inventory]);
        out(&run(&["import", &path, "--kind", "inventory", "--source", "scan", "--server", &upload]));
    }
    let devices = format!("{operator}/api/v1/devices");
    wait_for("both devices", || get(&devices).filter(|list| list["total"] == 2));
    let before = get(&devices);

    let custom = file(folder.path(), "custom.xml", &[BY_MODEL]);
    let line = ["match", "--dry-run", "--custom", &custom, "--server", &operator];
    let told = out(&run(&line));
    assert!(
        told.starts_with("2 records and 2 devices are stored; nothing was written\n1 devices would take in others"),
        "{told}"
    );
    assert!(told.contains("Matcher 5 (model) found ModelNo `R-220` in both"), "{told}");
    let whole: Value = serde_json::from_str(&out(&run(&[&line[..], &["--json"]].concat()))).unwrap();
    assert_eq!((&whole["merged"]["count"], &whole["split"]["count"]), (&json!(1), &json!(0)));
    assert_eq!(get(&devices), before);

    let wrong = file(folder.path(), "wrong.xml", &["<Matchers><Matcher/></Matchers>"]);
    for (line, code, part) in [
        (vec!["match", "--dry-run", "--custom", &wrong, "--server", &operator], 2, "wrong.xml"),
        (vec!["match", "--dry-run", "--custom", "/no/such.xml", "--server", &operator], 2, "/no/such.xml"),
        (vec!["match", "--dry-run", "--server", &operator], 2, "--custom"),
        (vec!["match", "--dry-run", "--custom", &custom, "--records", &custom], 2, "--records"),
        (vec!["match", "--custom", &custom], 2, "--records"),
    ] {
        let refused = run(&line);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(code) && error.contains(part), "{line:?}: {error}");
    }
    server.kill();
}

#[test]
fn links_stay_links_files_keep_their_modes_and_nothing_is_written_over_an_input() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let csv = records(folder.path());
    let real = file(folder.path(), "real.csv", &["before"]);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o664)).unwrap();
    let link = folder.path().join("link.csv");
    symlink(&real, &link).unwrap();
    out(&run(&["match", "--records", &csv, "--out", link.to_str().unwrap()]));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().starts_with("record_id,group,matcher\n"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o664);
    // What stands for an open file is written to and not replaced.
    let merged = out(&run(&["match", "--records", &csv, "--out", &real, "--merge-out", "/dev/stdout"]));
    assert!(merged.starts_with("group,inventory_date,"), "{merged}");
    assert!(fs::symlink_metadata("/dev/stdout").unwrap().is_symlink());
    let before = fs::read(&csv).unwrap();
    for line in [
        vec!["match", "--records", &csv, "--out", &csv],
        vec!["match", "--records", &csv, "--out", &real, "--merge-out", &real],
        vec!["match", "--records", &csv, "--out", &real, "--report", link.to_str().unwrap()],
    ] {
        let refused = run(&line);
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && error.contains("name another file"), "{line:?}: {error}");
    }
    assert_eq!(fs::read(&csv).unwrap(), before);
}
