//! The error policy of section 1: what is refused, and where the message points. Both engines are asked.

use std::collections::BTreeMap;

use super::slow::csv;
use super::{both, real_bytes};

type Files = BTreeMap<String, String>;

/// A folder with all files and nothing to complain of.
pub const SOUND: &[(&str, &str)] = &[
    ("devices.csv", "device,kind,host,cores,processors\nd1,,,8,2\nd2,vm,d1,2,1\n"),
    ("users.csv", "user,group,builtin\nu1,g1,no\n"),
    ("groups.csv", "group,parent\ng1,g2\ng2,\n"),
    ("applications.csv", "application,product,version\na1,A,1\na2,B,1\na3,C,1\n"),
    ("suites.csv", "suite,member\na1,a2\n"),
    ("evidence.csv", "device,kind,name\nd1,installer,x\n"),
    ("evidence_rules.csv", "rule,application,kind,name\n1,a1,installer,y\n"),
    ("installations.csv", "device,application\nd1,a1\n"),
    ("usage.csv", "device,application,user,quantity\nd1,a1,u1,2\n"),
    ("access.csv", "application,device,user\na1,d1,\n"),
    ("licenses.csv", "license,type\nL1,2\nL2,3\n"),
    ("license_applications.csv", "license,application,role\nL1,a1,\nL1,a3,supplementary\n"),
    ("entitlements.csv", "license,quantity\nL1,5\n"),
    ("allocations.csv", "license,device,user\nL1,d2,\n"),
    ("exempt_roles.csv", "license,role\nL1,test\n"),
    ("points_rules.csv", "set,rule,points\np,1,70\n"),
    ("steps.csv", "set,up_to,rate\ns,10,1\n"),
    ("peaks.csv", "license,region,peak,since\nL1,eu,5,2026-06-01\n"),
];

/// What is wrong, the file and its text, how the refusal begins. The line is that of the row's first cell.
#[rustfmt::skip]
pub const REFUSALS: &[(&str, &str, &str, &str)] = &[
    // Required columns; without a header the first column is named.
    ("no header", "devices.csv", "", "devices.csv:1 device:"),
    ("column missing", "devices.csv", "name\nx\n", "devices.csv:1 device:"),
    ("column missing after a blank line", "applications.csv", "\nproduct\nx\n", "applications.csv:2 application:"),
    ("column of another case", "licenses.csv", "license,Type\nL1,2\n", "licenses.csv:1 type:"),
    ("column missing", "users.csv", "group\ng1\n", "users.csv:1 user:"),
    ("column missing", "groups.csv", "parent\ng1\n", "groups.csv:1 group:"),
    ("column missing", "suites.csv", "suite\na1\n", "suites.csv:1 member:"),
    ("column missing", "evidence.csv", "device\nd1\n", "evidence.csv:1 kind:"),
    ("column missing", "evidence_rules.csv", "rule,kind\n1,file\n", "evidence_rules.csv:1 application:"),
    ("column missing", "installations.csv", "device\nd1\n", "installations.csv:1 application:"),
    ("column missing", "usage.csv", "device,application\nd1,a1\n", "usage.csv:1 user:"),
    ("column missing", "access.csv", "device\nd1\n", "access.csv:1 application:"),
    ("column missing", "license_applications.csv", "license\nL1\n", "license_applications.csv:1 application:"),
    ("column missing", "entitlements.csv", "license\nL1\n", "entitlements.csv:1 quantity:"),
    ("column missing", "allocations.csv", "device\nd1\n", "allocations.csv:1 license:"),
    ("column missing", "exempt_roles.csv", "license\nL1\n", "exempt_roles.csv:1 role:"),
    ("column missing", "points_rules.csv", "set,rule\np,1\n", "points_rules.csv:1 points:"),
    ("column missing", "steps.csv", "set\ns\n", "steps.csv:1 rate:"),
    ("column missing", "peaks.csv", "license,peak\nL1,1\n", "peaks.csv:1 since:"),
    // Required cells.
    ("cell blank", "devices.csv", "device,os\nd1,\n,Linux\n", "devices.csv:3 device:"),
    ("cell of white space", "applications.csv", "application,product\n\u{2003}\u{a0},x\n", "applications.csv:2 application:"),
    ("cell missing at the end", "suites.csv", "suite,member\na1\n", "suites.csv:2 member:"),
    ("cell blank", "users.csv", "group,user\ng1,\n", "users.csv:2 user:"),
    ("cell blank", "groups.csv", "group,parent\n,g1\n", "groups.csv:2 group:"),
    ("cell blank", "evidence.csv", "device,kind\nd1,\n", "evidence.csv:2 kind:"),
    ("cell blank", "evidence_rules.csv", "rule,application,kind\n,a1,file\n", "evidence_rules.csv:2 rule:"),
    ("cell blank", "installations.csv", "device,application\nd1,\n", "installations.csv:2 application:"),
    ("cell blank", "usage.csv", "device,application,user\nd1,a1,\n", "usage.csv:2 user:"),
    ("cell blank", "access.csv", "application,device\n,d1\n", "access.csv:2 application:"),
    ("cell blank", "licenses.csv", "license,type\nL1,\n", "licenses.csv:2 type:"),
    ("cell blank", "license_applications.csv", "license,application\nL1,\n", "license_applications.csv:2 application:"),
    ("cell blank", "entitlements.csv", "license,quantity,retired\nL1,,yes\n", "entitlements.csv:2 quantity:"),
    ("cell blank", "allocations.csv", "license,device\n,d1\n", "allocations.csv:2 license:"),
    ("cell blank", "exempt_roles.csv", "license,role\nL1,\n", "exempt_roles.csv:2 role:"),
    ("cell blank", "points_rules.csv", "set,rule,points\np,1,\n", "points_rules.csv:2 points:"),
    ("cell blank", "steps.csv", "set,up_to,rate\ns,1,\n", "steps.csv:2 rate:"),
    ("cell blank", "peaks.csv", "license,region,peak,since\nL1,eu,,2026-01-01\n", "peaks.csv:2 peak:"),
    // Bad cells of each sort, section 2.
    ("list word", "devices.csv", "device,kind\nd1,virtual\n", "devices.csv:2 kind:"),
    ("list word", "devices.csv", "device,partition\nd1,lpar\n", "devices.csv:2 partition:"),
    ("number below zero", "devices.csv", "device,cores\nd1,-1\n", "devices.csv:2 cores:"),
    ("number with an exponent", "devices.csv", "device,threads\nd1,1e3\n", "devices.csv:2 threads:"),
    ("number with ten places", "devices.csv", "device,pool_cores\nd1,0.0000000001\n", "devices.csv:2 pool_cores:"),
    ("number of thirteen digits", "devices.csv", "device,entitled_capacity\nd1,1000000000000\n", "devices.csv:2 entitled_capacity:"),
    ("number with a comma", "devices.csv", "device,cores\nd1,\"1,5\"\n", "devices.csv:2 cores:"),
    ("integer with a point", "devices.csv", "device,processors\nd1,1.0\n", "devices.csv:2 processors:"),
    ("integer of other digits", "devices.csv", "device,processors\nd1,\u{663}\n", "devices.csv:2 processors:"),
    ("date that is none", "devices.csv", "device,bought\nd1,2025-02-29\n", "devices.csv:2 bought:"),
    ("date of another form", "devices.csv", "device,bought\nd1,1.2.2025\n", "devices.csv:2 bought:"),
    ("yes or no", "users.csv", "user,builtin\nu1,y\n", "users.csv:2 builtin:"),
    ("yes or no", "applications.csv", "application,licensable\na1,never\n", "applications.csv:2 licensable:"),
    ("list word", "evidence.csv", "device,kind\nd1,wmi\n", "evidence.csv:2 kind:"),
    ("integer", "evidence_rules.csv", "rule,application,kind\nr1,a1,file\n", "evidence_rules.csv:2 rule:"),
    ("list word", "evidence_rules.csv", "rule,application,kind\n1,a1,wmi\n", "evidence_rules.csv:2 kind:"),
    ("list word", "evidence_rules.csv", "rule,application,kind,role\n1,a1,file,optional\n", "evidence_rules.csv:2 role:"),
    ("number", "usage.csv", "device,application,user,quantity\nd1,a1,u1,two\n", "usage.csv:2 quantity:"),
    ("line of the row after a quoted break", "devices.csv", "device,name,cores\nd1,\"a\nb\",1\nd2,,x\n", "devices.csv:4 cores:"),
    ("CRLF counts as one line", "devices.csv", "device,cores\r\nd1,1\r\n\r\nd2,x\r\n", "devices.csv:4 cores:"),
    // points_rules.csv and steps.csv belong to no licence.
    ("integer", "points_rules.csv", "set,rule,points\np,one,70\n", "points_rules.csv:2 rule:"),
    ("number", "points_rules.csv", "set,rule,points\np,1,seventy\n", "points_rules.csv:2 points:"),
    ("integer", "points_rules.csv", "set,rule,sockets_min,points\np,1,0.5,70\n", "points_rules.csv:2 sockets_min:"),
    ("integer", "points_rules.csv", "set,rule,sockets_max,points\np,1,x,70\n", "points_rules.csv:2 sockets_max:"),
    ("date", "points_rules.csv", "set,rule,bought_before,points\np,1,2010,70\n", "points_rules.csv:2 bought_before:"),
    ("number", "steps.csv", "set,up_to,rate\ns,unlimited,1\n", "steps.csv:2 up_to:"),
    ("number", "steps.csv", "set,up_to,rate\ns,1,-1\n", "steps.csv:2 rate:"),
    // A second row with the same key, in each table with one.
    ("key twice", "devices.csv", "device\nd1\nd2\nd1\n", "devices.csv:4 device:"),
    ("key twice", "users.csv", "user\nu1\nu1\n", "users.csv:3 user:"),
    ("key twice", "groups.csv", "group,parent\ng1,\ng1,g2\n", "groups.csv:3 group:"),
    ("key twice", "applications.csv", "application\na1\na1\n", "applications.csv:3 application:"),
    ("key twice", "suites.csv", "suite,member\na1,a2\na1,a3\na1,a2\n", "suites.csv:4 suite:"),
    ("key twice", "evidence_rules.csv", "rule,application,kind\n1,a1,file\n1,a2,file\n", "evidence_rules.csv:3 rule:"),
    ("key twice", "licenses.csv", "license,type\nL1,2\nL1,3\n", "licenses.csv:3 license:"),
    ("key twice", "license_applications.csv", "license,application,priority\nL1,a1,1\nL1,a1,2\n", "license_applications.csv:3 license:"),
    ("device twice", "allocations.csv", "license,device,user\nL1,d1,\nL1,,d1\nL1,d1,\n", "allocations.csv:4 license:"),
    ("user twice", "allocations.csv", "license,device,user\nL1,,u1\nL2,,u1\nL1,,u1\n", "allocations.csv:4 license:"),
    ("key twice", "exempt_roles.csv", "license,role\nL1,test\nL1,test\n", "exempt_roles.csv:3 license:"),
    ("key twice", "points_rules.csv", "set,rule,points\np,1,70\nq,1,70\np,1,80\n", "points_rules.csv:4 set:"),
    ("key twice, region blank", "peaks.csv", "license,region,peak,since\nL1,,1,2026-01-01\nL1,,2,2026-01-01\n", "peaks.csv:3 license:"),
    // Too many cells, though blank. There is no column to name.
    ("too many cells", "devices.csv", "device,os\nd1,Linux,x\n", "devices.csv:2"),
    ("too many blank cells", "entitlements.csv", "license,quantity\nL1,1,\n", "entitlements.csv:2"),
    // Circles; the lowest line on one.
    ("groups", "groups.csv", "group,parent\ng0,g1\ng1,g2\ng2,g3\ng3,g1\n", "groups.csv:3 parent:"),
    ("its own parent", "groups.csv", "group,parent\ng1,g1\n", "groups.csv:2 parent:"),
    ("hosts", "devices.csv", "device,kind,host\nd1,vm,d2\nd2,vm,d3\nd3,vm,d2\n", "devices.csv:3 host:"),
    ("its own host", "devices.csv", "device,host\nd1,d1\n", "devices.csv:2 host:"),
    ("suites", "suites.csv", "suite,member\na1,a2\na2,a3\na3,a1\n", "suites.csv:2 member:"),
    ("its own suite", "suites.csv", "suite,member\na1,a1\n", "suites.csv:2 member:"),
    ("levels of a suite and a licence", "suites.csv", "suite,member\na3,a1\n", "license_applications.csv:3 application:"),
    ("levels of two licences", "license_applications.csv",
     "license,application,role\nL1,a1,\nL1,a3,supplementary\nL2,a3,\nL2,a1,supplementary\n", "license_applications.csv:3 application:"),
];

/// A bad cell, the licence it spoils, the subject of its `bad_data`.
#[rustfmt::skip]
pub const SPOILT: &[(&str, &str, &str, &str)] = &[
    ("licenses.csv", "license,type\nL1,0\nL2,2\n", "L1", "licenses.csv:2 type"),
    ("licenses.csv", "license,type\nL1,46\nL2,2\n", "L1", "licenses.csv:2 type"),
    ("licenses.csv", "license,type\nL1,two\nL2,2\n", "L1", "licenses.csv:2 type"),
    ("licenses.csv", "license,type,true_up\nL1,2,maybe\nL2,2,\n", "L1", "licenses.csv:2 true_up"),
    ("licenses.csv", "license,type,true_up_date\nL1,2,soon\n", "L1", "licenses.csv:2 true_up_date"),
    ("licenses.csv", "license,type,quantity\nL1,29,-5\n", "L1", "licenses.csv:2 quantity"),
    ("licenses.csv", "license,type,allocations_consume\nL1,2,all\n", "L1", "licenses.csv:2 allocations_consume"),
    ("licenses.csv", "license,type,upgrade,downgrade\nL1,2,x,\nL2,2,,x\n", "L2", "licenses.csv:3 downgrade"),
    ("licenses.csv", "license,type,multiple_use\nL1,2,x\n", "L1", "licenses.csv:2 multiple_use"),
    ("licenses.csv", "license,type,second_use\nL1,2,x\n", "L1", "licenses.csv:2 second_use"),
    ("licenses.csv", "license,type,vm_use\nL1,2,1.5\n", "L1", "licenses.csv:2 vm_use"),
    ("licenses.csv", "license,type,installs_per_right\nL1,2,0\n", "L1", "licenses.csv:2 installs_per_right"),
    ("licenses.csv", "license,type,core_cap\nL1,30,0\n", "L1", "licenses.csv:2 core_cap"),
    ("licenses.csv", "license,type,points_set\nL1,15,q\n", "L1", "licenses.csv:2 points_set"),
    ("licenses.csv", "license,type,points_set\nL1,25,q\n", "L1", "licenses.csv:2 points_set"),
    ("licenses.csv", "license,type\nL1,18\n", "L1", "licenses.csv:2 points_set"),
    ("licenses.csv", "license,type,sub_capacity\nL1,25,x\n", "L1", "licenses.csv:2 sub_capacity"),
    ("licenses.csv", "license,type,period_days\nL1,25,x\n", "L1", "licenses.csv:2 period_days"),
    ("licenses.csv", "license,type,standard_edition\nL1,16,EE\n", "L1", "licenses.csv:2 standard_edition"),
    ("licenses.csv", "license,type,soft_level\nL1,16,vcenter\n", "L1", "licenses.csv:2 soft_level"),
    ("licenses.csv", "license,type,minimum,minimum_per\nL1,17,ten,server\n", "L1", "licenses.csv:2 minimum"),
    ("licenses.csv", "license,type,minimum,minimum_per\nL1,17,10,core\n", "L1", "licenses.csv:2 minimum_per"),
    ("licenses.csv", "license,type,minimum,minimum_per\nL1,17,10,\n", "L1", "licenses.csv:2 minimum_per"),
    ("licenses.csv", "license,type,minimum,minimum_per\nL1,17,,server\n", "L1", "licenses.csv:2 minimum"),
    ("licenses.csv", "license,type,rule\nL1,41,enterprise\n", "L1", "licenses.csv:2 rule"),
    ("licenses.csv", "license,type,rule\nL1,33,Datacenter\n", "L1", "licenses.csv:2 rule"),
    ("licenses.csv", "license,type,count\nL1,41,guest\n", "L1", "licenses.csv:2 count"),
    ("licenses.csv", "license,type,maintenance\nL1,41,x\n", "L1", "licenses.csv:2 maintenance"),
    ("licenses.csv", "license,type,processors_per_license\nL1,22,0\n", "L1", "licenses.csv:2 processors_per_license"),
    ("licenses.csv", "license,type,minimum_processors\nL1,22,x\n", "L1", "licenses.csv:2 minimum_processors"),
    ("licenses.csv", "license,type,vms_per_license\nL1,22,0\n", "L1", "licenses.csv:2 vms_per_license"),
    ("licenses.csv", "license,type,resource\nL1,31,users\n", "L1", "licenses.csv:2 resource"),
    ("licenses.csv", "license,type,steps_set\nL1,31,t\n", "L1", "licenses.csv:2 steps_set"),
    // A bad cell of a setting for other types.
    ("licenses.csv", "license,type,core_cap\nL1,4,many\n", "L1", "licenses.csv:2 core_cap"),
    // Columns count in the order listed, not as they stand.
    ("licenses.csv", "core_cap,license,true_up,type\n0,L1,x,2\n", "L1", "licenses.csv:2 true_up"),
    ("license_applications.csv", "license,application,priority\nL1,a1,1.5\n", "L1", "license_applications.csv:2 priority"),
    ("license_applications.csv", "license,application,role\nL1,a1,main\n", "L1", "license_applications.csv:2 role"),
    ("license_applications.csv", "license,application,ratio\nL1,a1,1/2\n", "L1", "license_applications.csv:2 ratio"),
    ("entitlements.csv", "license,quantity\nL1,5\nL1,lots\n", "L1", "entitlements.csv:3 quantity"),
    ("entitlements.csv", "license,quantity,effective\nL1,5,2026-13-01\n", "L1", "entitlements.csv:2 effective"),
    ("entitlements.csv", "license,quantity,expiry\nL1,5,never\n", "L1", "entitlements.csv:2 expiry"),
    ("entitlements.csv", "license,quantity,retired\nL1,5,old\n", "L1", "entitlements.csv:2 retired"),
    ("allocations.csv", "license,device,user\nL1,d1,u1\n", "L1", "allocations.csv:2 device"),
    ("allocations.csv", "license,device,user,kind\nL1,,,allocated\n", "L1", "allocations.csv:2 device"),
    ("allocations.csv", "license,device,kind\nL1,d1,sometimes\n", "L1", "allocations.csv:2 kind"),
    ("allocations.csv", "license,device,exemption\nL1,d1,15\n", "L1", "allocations.csv:2 exemption"),
    ("allocations.csv", "license,device,exemption\nL1,d1,0\n", "L1", "allocations.csv:2 exemption"),
    ("exempt_roles.csv", "license,role,reason\nL1,test,15\n", "L1", "exempt_roles.csv:2 reason"),
    ("peaks.csv", "license,region,peak,since\nL1,eu,x,2026-01-01\n", "L1", "peaks.csv:2 peak"),
    ("peaks.csv", "license,region,peak,since\nL1,eu,1,x\n", "L1", "peaks.csv:2 since"),
];

fn sound() -> Files {
    SOUND.iter().map(|(file, text)| ((*file).to_string(), (*text).to_string())).collect()
}

fn with(file: &str, text: &str) -> Files {
    let mut files = sound();
    files.insert(file.to_string(), text.to_string());
    files
}

#[test]
fn a_sound_folder_is_accepted() {
    let written = both(&sound(), "2026-06-15").expect("no refusal");
    assert_eq!(written.len(), 8);
    let without: Files = sound().into_iter().filter(|(file, _)| needed(file)).collect();
    assert_eq!(without.len(), 3);
    both(&without, "2026-06-15").expect("no refusal");
}

fn needed(file: &str) -> bool {
    matches!(file, "devices.csv" | "applications.csv" | "licenses.csv")
}

#[test]
fn a_refusal_names_file_line_and_column() {
    for (what, file, text, begins) in REFUSALS {
        let refusal = both(&with(file, text), "2026-06-15").expect_err(what);
        assert!(refusal.starts_with(begins), "{what}: {refusal:?} does not begin with {begins:?}");
    }
}

#[test]
fn a_missing_file_is_refused_by_name() {
    for (file, _) in SOUND.iter().filter(|(file, _)| needed(file)) {
        let mut files = sound();
        files.remove(*file);
        let refusal = both(&files, "2026-06-15").expect_err(file);
        assert!(refusal.starts_with(&format!("{file}: ")), "{refusal}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_refused_at_its_line() {
    let mut files: BTreeMap<String, Vec<u8>> =
        sound().into_iter().map(|(file, text)| (file, text.into_bytes())).collect();
    files.insert("notes.txt".to_string(), vec![0xff]);
    real_bytes(&files, "2026-06-15").expect("other files are not looked at");
    files.insert("users.csv".to_string(), b"user,group\nu1,caf\xe9\n".to_vec());
    let refusal = real_bytes(&files, "2026-06-15").expect_err("not UTF-8");
    assert!(refusal.starts_with("users.csv:2"), "{refusal}");
}

#[test]
fn a_bad_cell_of_a_licence_spoils_that_licence_only() {
    for (file, text, license, subject) in SPOILT {
        let written = both(&with(file, text), "2026-06-15").expect(subject);
        let warnings: Vec<Vec<String>> =
            csv::parse(&written["warnings.csv"]).into_iter().map(|row| row.cells).collect();
        assert!(
            warnings.contains(&vec!["bad_data".to_string(), (*license).to_string(), (*subject).to_string()]),
            "{subject}: {warnings:?}"
        );
        for row in csv::parse(&written["license_result.csv"]).iter().filter(|row| row.cells[0] == *license) {
            assert_eq!(
                [&row.cells[2], &row.cells[3], &row.cells[4], &row.cells[11]],
                ["0", "0", "0", "Unknown"],
                "{subject}"
            );
            assert_eq!(row.cells[1].is_empty(), subject.ends_with(" type"), "{subject}");
        }
        let rows = csv::parse(&written["consumption.csv"]);
        assert!(rows.iter().all(|row| row.cells[0] != *license), "{subject}");
    }
}

#[test]
fn of_several_bad_cells_the_first_by_file_line_and_column_is_named() {
    let mut files = with("licenses.csv", "license,type,true_up\nL1,2,x\n");
    files.insert("entitlements.csv".to_string(), "license,quantity\nL1,x\n".to_string());
    files.insert("license_applications.csv".to_string(), "license,application,priority\nL1,a1,x\n".to_string());
    let warnings = both(&files, "2026-06-15").expect("no refusal")["warnings.csv"].clone();
    assert_eq!(warnings, "code,license,subject\nbad_data,L1,entitlements.csv:2 quantity\n");
}

#[test]
fn rows_that_name_what_is_not_there_are_dropped_with_a_warning() {
    for (file, text, warning) in [
        ("devices.csv", "device,host\nd1,d9\nd2,\n", "unknown_device,,d9"),
        ("evidence.csv", "device,kind\nd9,file\n", "unknown_device,,d9"),
        ("installations.csv", "device,application\nd9,a1\n", "unknown_device,,d9"),
        ("installations.csv", "device,application\nd1,a9\n", "unknown_application,,a9"),
        ("usage.csv", "device,application,user\nd9,a1,u1\n", "unknown_device,,d9"),
        ("access.csv", "application,device\na1,d9\n", "unknown_device,,d9"),
        ("access.csv", "application,user\na9,u1\n", "unknown_application,,a9"),
        ("suites.csv", "suite,member\na9,a1\n", "unknown_application,,a9"),
        ("evidence_rules.csv", "rule,application,kind\n1,a9,file\n", "unknown_application,,a9"),
        ("license_applications.csv", "license,application\nL1,a9\n", "unknown_application,,a9"),
        ("license_applications.csv", "license,application\nL9,a1\n", "unknown_license,,L9"),
        ("entitlements.csv", "license,quantity\nL9,1\n", "unknown_license,,L9"),
        ("allocations.csv", "license,device\nL9,d1\n", "unknown_license,,L9"),
        ("exempt_roles.csv", "license,role\nL9,test\n", "unknown_license,,L9"),
        ("peaks.csv", "license,region,peak,since\nL9,,1,2026-01-01\n", "unknown_license,,L9"),
    ] {
        let warnings = both(&with(file, text), "2026-06-15").expect(file)["warnings.csv"].clone();
        assert!(warnings.lines().any(|line| line == warning), "{file}: {warnings}");
    }
    // Allocations may name devices and users that are not (yet) known.
    let text = "license,device,user\nL1,d9,\nL1,,u9\n";
    let warnings = both(&with("allocations.csv", text), "2026-06-15").expect("no refusal")["warnings.csv"].clone();
    assert!(!warnings.contains("unknown"), "{warnings}");
}
