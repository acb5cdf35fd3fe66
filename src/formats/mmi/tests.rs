//! Reader and writer against each other and against the example of the reference.

use proptest::prelude::*;

use super::*;
use crate::formats::gzip::{GzipError, compress};
use crate::id::Guid;
use crate::time::Timestamp;

/// The example of `agent-beacon-batch` reference, section 5.2.
const WEB07: &[u8] = include_bytes!("../../../tests/golden/formats/web07.mmi");

const A: &str = "{c2bb5a7e-3f43-4a0e-8c55-3b4a1c7f0d21}";
const B: &str = "{c2bb5a7e-3f43-4a0e-8c55-3b4a1c7f0d22}";

fn write(file: &Mmi) -> Vec<u8> {
    file.write(Vec::new()).unwrap()
}

fn read(document: &str) -> (Mmi, Vec<Finding>) {
    let (file, findings) = read_mmi(document.as_bytes()).unwrap();
    // Without their places, which would make each test a count of bytes.
    (file, findings.into_iter().map(|finding| Finding { first_at: 0, ..finding }).collect())
}

/// The reason with its cause, as it stands in the quarantine.
fn reason(document: &str) -> String {
    let error = read_mmi(document.as_bytes()).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn finding(kind: FindingKind, element: &'static str, attribute: &'static str, count: u64) -> Finding {
    Finding { kind, element, attribute, count, first_at: 0 }
}

fn period(user: &str, guid: &str, children: &str) -> String {
    format!("<USAGE USER='{user}' TYPE='Session' STARTDATE='20250310T080000' GUID='{guid}'>{children}</USAGE>")
}

fn inside(children: &str) -> String {
    format!("<USAGE VERSION='1.00' USAGEAGENT='1'><MD NAME='m'>{children}</MD></USAGE>")
}

fn users(file: &Mmi) -> Vec<&str> {
    file.periods.iter().map(|period| &*period.user).collect()
}

#[test]
fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
    let (file, findings) = read_mmi(WEB07).unwrap();
    assert_eq!(findings, []);
    assert_eq!((&*file.version, &*file.usage_agent), ("1.00", "0.1.0"));
    assert_eq!(file.device.guid.unwrap().to_string(), "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11");
    let [period] = &file.periods[..] else { panic!("{:?}", file.periods) };
    assert_eq!((period.kind, period.start.to_stamp()), (PeriodType::WeeklySummary, "20250310T000000".into()));
    let draw = &period.applications[0];
    assert_eq!((draw.runs, draw.run_secs, draw.active_secs), (6, 18_230, 9_010));
    assert_eq!(draw.last_used.unwrap().to_stamp(), "20250313T164200");
    assert_eq!(String::from_utf8(write(&file)).unwrap(), String::from_utf8(WEB07.to_vec()).unwrap());
}

#[test]
fn users_beside_the_machine_are_those_inside_it() {
    let both = period("kim", A, "<APPUSAGE NAME='a' RUNS='1'/>") + &period("lee", B, "");
    let (nested, _) = read(&inside(&both));
    let (beside, findings) = read(&format!("<USAGE VERSION='1.00' USAGEAGENT='1'><MD NAME='m'/>{both}</USAGE>"));
    let (before, _) = read(&format!("<USAGE VERSION='1.00' USAGEAGENT='1'>{both}<MD NAME='m'/></USAGE>"));
    assert_eq!(users(&nested), ["kim", "lee"]);
    assert_eq!((&beside, &before), (&nested, &nested));
    assert_eq!(findings, []);
}

#[test]
fn a_file_that_is_no_usage_or_names_no_machine_is_refused() {
    assert_eq!(reason("<Inventory/>"), "the root element is `Inventory`, not `USAGE`");
    assert_eq!(reason("<usage/>"), "the root element is `usage`, not `USAGE`");
    assert_eq!(reason("<USAGE/>"), "no `MD` names the machine");
    assert_eq!(reason("<USAGE><MD DOMAIN='d'/></USAGE>"), "no `MD` names the machine");
    assert_eq!(
        reason("<USAGE><MD NAME='m'>"),
        "usage XML is refused: not well-formed at byte 20: the document ends inside 2 open elements"
    );
}

#[test]
fn a_second_machine_is_left_out_with_its_users_in_either_nesting() {
    let again = [finding(FindingKind::Again, "MD", "", 1)];
    let document =
        format!("<USAGE><MD NAME='m'>{}</MD><MD NAME='n'>{}</MD></USAGE>", period("kim", A, ""), period("lee", B, ""));
    let (file, findings) = read(&document);
    assert_eq!((users(&file), &*file.device.name), (vec!["kim"], "m"));
    assert_eq!(findings, again);
    let document =
        format!("<USAGE><MD NAME='m'/>{}<MD NAME='n'/>{}</USAGE>", period("kim", A, ""), period("lee", B, ""));
    let (file, findings) = read(&document);
    assert_eq!((users(&file), &*file.device.name), (vec!["kim"], "m"));
    assert_eq!(findings, again);
}

#[test]
fn the_same_guid_again_replaces_and_never_adds() {
    let (file, findings) = read(&inside(
        &(period("kim", A, "<APPUSAGE NAME='old' RUNS='1'/>")
            + &period("lee", B, "")
            + &period("kim", A, "<APPUSAGE NAME='new' RUNS='2'/>")),
    ));
    assert_eq!(users(&file), ["kim", "lee"]);
    let names: Vec<_> = file.periods[0].applications.iter().map(|usage| (&*usage.name, usage.runs)).collect();
    assert_eq!(names, [("new", 2)]);
    assert_eq!(findings, [finding(FindingKind::Again, "USAGE", "GUID", 1)]);
}

#[test]
fn a_period_that_cannot_be_placed_is_skipped_with_its_applications() {
    let good = period("kim", A, "");
    let (file, findings) = read(&inside(
        &[
            good.replace(" USER='kim'", ""),
            good.replace(" TYPE='Session'", ""),
            good.replace(" STARTDATE='20250310T080000'", ""),
            good.replace(&format!(" GUID='{A}'"), ""),
            good.replace("Session", "Hourly").replace("</", "<APPUSAGE NAME='lost'/></"),
            good.replace("20250310T080000", "monday"),
            good.replace(A, "1"),
        ]
        .concat(),
    ));
    assert_eq!(file.periods, []);
    let missing = |attribute| finding(FindingKind::Missing, "USAGE", attribute, 1);
    assert_eq!(
        findings,
        [
            missing("USER"),
            missing("TYPE"),
            missing("STARTDATE"),
            missing("GUID"),
            finding(FindingKind::NotAType, "USAGE", "TYPE", 1),
            finding(FindingKind::NotATime, "USAGE", "STARTDATE", 1),
            finding(FindingKind::NotAGuid, "USAGE", "GUID", 1),
        ]
    );
}

#[test]
fn a_bad_value_of_an_application_costs_only_itself() {
    let (file, findings) = read(&inside(&period(
        "kim",
        A,
        "<APPUSAGE VERSION='1'/>
         <APPUSAGE NAME='a' RUNS='-1' RUNTIME='4294967296' ACTIVETIME='4294967295' LASTUSED='x'/>",
    )));
    let [usage] = &file.periods[0].applications[..] else { panic!() };
    assert_eq!((usage.runs, usage.run_secs, usage.active_secs, usage.last_used), (0, 0, u32::MAX, None));
    assert_eq!(
        findings,
        [
            finding(FindingKind::Missing, "APPUSAGE", "NAME", 1),
            finding(FindingKind::NotANumber, "APPUSAGE", "RUNS", 1),
            finding(FindingKind::NotANumber, "APPUSAGE", "RUNTIME", 1),
            finding(FindingKind::NotATime, "APPUSAGE", "LASTUSED", 1),
        ]
    );
}

#[test]
fn a_long_value_is_cut_at_a_character_and_counted() {
    let limits = [
        ("NAME", 256),
        ("VERSION", 72),
        ("FILENAME", 256),
        ("FILECOMPANY", 100),
        ("FILEDESCRIPTION", 200),
        ("FILEPRODUCTNAME", 256),
        ("FILEPRODUCTVERSION", 200),
        ("EVIDENCE", 32),
    ];
    let row = |more: usize| {
        let texts = limits.map(|(name, max)| format!(" {name}='{}'", "\u{e9}".repeat(max + more)));
        format!("<APPUSAGE{}/>", texts.concat())
    };
    let (file, findings) = read(&inside(&period("kim", A, &(row(0) + &row(1) + &row(1)))));
    let [whole, cut, _] = &file.periods[0].applications[..] else { panic!() };
    assert_eq!(whole, cut);
    assert_eq!(cut.name, "\u{e9}".repeat(256));
    assert_eq!(findings, limits.map(|(name, _)| finding(FindingKind::Cut, "APPUSAGE", name, 2)));
}

#[test]
fn a_key_that_is_long_or_holds_control_characters_is_null() {
    let long = "x".repeat(1025);
    let (file, findings) = read(&format!(
        "<USAGE><MD NAME='{long}' DOMAIN='a&#10;b' GUID='?'/>{}{}</USAGE>",
        period(&long, A, ""),
        period(&long[1..], B, "")
    ));
    assert_eq!((&*file.device.name, &*file.device.domain, file.device.guid), ("", "", None));
    assert_eq!(users(&file), ["", &long[1..]]);
    assert_eq!(
        findings,
        [
            finding(FindingKind::Null, "MD", "NAME", 1),
            finding(FindingKind::Null, "MD", "DOMAIN", 1),
            finding(FindingKind::NotAGuid, "MD", "GUID", 1),
            finding(FindingKind::Null, "USAGE", "USER", 1),
        ]
    );
}

#[test]
fn unknown_elements_and_attributes_are_skipped_without_a_word() {
    let (file, findings) = read(&inside(&format!(
        "<NEWS>{}</NEWS>{}<APPUSAGE NAME='lost'/>",
        period("lost", B, ""),
        period("kim", A, "<APPUSAGE NAME='a' COLOUR='red'><APPUSAGE NAME='lost'/></APPUSAGE><USAGE USER='lost'/>")
    )));
    assert_eq!(users(&file), ["kim"]);
    assert_eq!(file.periods[0].applications.len(), 1);
    assert_eq!(findings, []);
}

#[test]
fn what_is_kept_of_one_file_is_bounded_and_findings_do_not_grow() {
    let row = "<APPUSAGE NAME='a'/>";
    let document = inside(&period("kim", A, &row.repeat((64 << 20) / size_of::<AppUsage>() + 1)));
    assert_eq!(reason(&document), "usage XML is refused: more than 67108864 bytes would be kept in memory");
    let (_, findings) = read(&inside(&period("kim", A, &"<APPUSAGE/>".repeat(100_000))));
    assert_eq!(findings, [finding(FindingKind::Missing, "APPUSAGE", "NAME", 100_000)]);
}

#[test]
fn a_file_cut_anywhere_is_refused_and_limits_of_the_inflation_are_told_as_such() {
    let gzip = compress(WEB07);
    assert_eq!(read_mmi_gz(&gzip[..]).unwrap(), read_mmi(WEB07).unwrap());
    for end in 0..gzip.len() {
        assert!(matches!(read_mmi_gz(&gzip[..end]), Err(MmiError::Gzip(GzipError::Truncated { .. }))), "{end}");
    }
    for end in 0..WEB07.trim_ascii_end().len() {
        assert!(read_mmi(&WEB07[..end]).is_err(), "{end}");
    }
    let bomb = compress(inside(&"<x/>".repeat(1_900_000)).as_bytes());
    assert!(matches!(read_mmi_gz(&bomb[..]), Err(MmiError::Gzip(GzipError::Ratio { .. }))));
}

#[test]
fn a_further_application_adds_about_250_bytes_to_an_upload() {
    let (file, _) = read_mmi(WEB07).unwrap();
    let with = |count: usize| {
        let mut file = file.clone();
        let rows = (0..count).map(|n| {
            let noise = crate::rng::mix(n as u64, 1);
            AppUsage {
                name: format!("Acme Product {noise:x}"),
                file_name: format!("acme{noise:x}"),
                run_secs: noise as u32 % 30_000,
                ..file.periods[0].applications[0].clone()
            }
        });
        file.periods[0].applications = rows.collect();
        compress(&write(&file)).len()
    };
    let each = (with(100) - with(0)) / 100;
    assert!(each <= 250, "{each}");
}

/// Text that a key or a short attribute carries unchanged.
fn text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}\u{fffe}\u{ffff}]{0,32}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0..253_402_207_199i64).prop_map(|secs| Timestamp(secs * 1_000))
}

fn applications() -> impl Strategy<Value = Vec<AppUsage>> {
    let one = (proptest::collection::vec(text(), 8), any::<[u32; 3]>(), proptest::option::of(time())).prop_map(
        |(t, [runs, run_secs, active_secs], last_used)| AppUsage {
            name: t[0].clone(),
            version: t[1].clone(),
            file_name: t[2].clone(),
            file_company: t[3].clone(),
            file_description: t[4].clone(),
            file_product_name: t[5].clone(),
            file_product_version: t[6].clone(),
            runs,
            run_secs,
            active_secs,
            last_used,
            evidence: t[7].clone(),
        },
    );
    proptest::collection::vec(one, 0..4)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        t in proptest::collection::vec(text(), 4),
        guid in proptest::option::of(any::<[u8; 16]>()),
        periods in proptest::collection::vec((text(), text(), any::<bool>(), time(), applications()), 0..4),
    ) {
        let periods = periods.into_iter().zip(0u8..).map(|((user, domain, is_week, start, applications), n)| Period {
            user,
            domain,
            kind: if is_week { PeriodType::WeeklySummary } else { PeriodType::Session },
            start,
            guid: Guid::from_random([n; 16]),
            applications,
        });
        let device =
            ManagedDevice { name: t[0].clone(), domain: t[1].clone(), guid: guid.map(Guid::from_random) };
        let file = Mmi { version: t[2].clone(), usage_agent: t[3].clone(), device, periods: periods.collect() };
        let (read, findings) = read_mmi(&write(&file)[..]).unwrap();
        prop_assert_eq!(read, file);
        prop_assert_eq!(findings, []);
    }

    #[test]
    fn what_is_read_is_written_and_read_as_the_same(
        flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = WEB07.to_vec();
        for (at, byte) in flips {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        if let Ok((file, _)) = read_mmi(&bytes[..]) {
            prop_assert_eq!(read_mmi(&write(&file)[..]).unwrap().0, file);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_mmi(&bytes[..]);
        let _ = read_mmi_gz(&bytes[..]);
    }
}
