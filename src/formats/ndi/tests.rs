//! Reader and writer against each other and against the example of the reference.

use proptest::prelude::*;

use super::*;
use crate::formats::gzip::{GzipError, compress};

/// The example of `agent-beacon-batch` reference, section 4.3.
const WEB07: &[u8] = include_bytes!("../../../tests/golden/formats/web07.ndi");

/// Writes what was read.
fn write(file: &NdiFile) -> Vec<u8> {
    let mut ndi = NdiWriter::new(Vec::new(), &file.head()).unwrap();
    for (hardware, properties) in file.hardware() {
        ndi.hardware(&hardware, &properties.collect::<Vec<_>>()).unwrap();
    }
    for (package, properties) in file.packages() {
        ndi.package(&package, &properties.collect::<Vec<_>>()).unwrap();
    }
    file.files().for_each(|row| ndi.file(&row).unwrap());
    file.accesses().for_each(|row| ndi.access(&row).unwrap());
    file.services().for_each(|row| ndi.service(&row).unwrap());
    let mut open = 0;
    for Provider { provider, depth, properties, .. } in file.providers() {
        for _ in depth..open {
            ndi.end_provider().unwrap();
        }
        open = depth + 1;
        ndi.begin_provider(&provider, &properties.collect::<Vec<_>>()).unwrap();
    }
    ndi.finish().unwrap()
}

#[test]
fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
    let (file, findings) = read_ndi(WEB07).unwrap();
    assert_eq!(findings, []);
    assert_eq!(file.head().machine_name, "web07");
    assert_eq!(file.head().collected_at().unwrap().to_stamp(), "20250314T031522");
    let (system, properties) = file.hardware().next().unwrap();
    assert_eq!((system.class, properties.len()), ("MGS_ComputerSystem", 4));
    assert_eq!(properties.get("Model"), Some("R-220"));
    assert_eq!(file.files().next().unwrap().size, Some(914_233));
    assert_eq!(String::from_utf8(write(&file)).unwrap(), String::from_utf8(WEB07.to_vec()).unwrap());
}
const ROOT: &str =
    "<Inventory Tracker='1' Audience='Machine' MachineName='m' UserName='u' DateTime='20250314T031522' Type='Full'";

fn inventory(children: &str) -> String {
    format!("{ROOT}>{children}</Inventory>")
}

fn read(document: &str) -> (NdiFile, Vec<Finding>) {
    read_ndi(document.as_bytes()).unwrap()
}

/// The reason with its cause, as it stands in the quarantine.
fn reason(document: &str) -> String {
    let error = read_ndi(document.as_bytes()).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn finding(kind: FindingKind, element: &'static str, attribute: &'static str, count: u64) -> Finding {
    Finding { kind, element, attribute, count, first_at: 0 }
}

/// The findings without their places.
fn placeless(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().map(|finding| Finding { first_at: 0, ..finding }).collect()
}

#[test]
fn names_of_the_root_are_read_in_any_case_and_others_are_not() {
    let (file, findings) = read(
        "<Inventory TRACKER='1' audience='Machine' MachineName='m' Username='kim' HARDWARE='true' DateTime='20250314T031522Z'
          Type='Full' other='x'><hardware Class='c' Name='n'/><Hardware class='c' Name='n'/></Inventory>",
    );
    let head = file.head();
    assert_eq!((head.user_name, head.has_hardware, head.has_software), ("kim", true, false));
    assert_eq!(head.collected_at().unwrap().to_stamp(), "20250314T031522");
    assert_eq!(file.hardware().len(), 0);
    assert_eq!(placeless(findings), [finding(FindingKind::Missing, "Hardware", "Class", 1)]);
}

#[test]
fn a_file_that_is_no_inventory_or_names_no_machine_is_refused() {
    assert_eq!(reason("<Discovery/>"), "the root element is `Discovery`, not `Inventory`");
    assert_eq!(reason("<inventory/>"), "the root element is `inventory`, not `Inventory`");
    assert_eq!(
        reason("<Inventory Tracker='1' Audience='Machine'/>"),
        "the root element has no attribute `MachineName`"
    );
    assert_eq!(
        reason(&format!("{ROOT}>")),
        "inventory XML is refused: not well-formed at byte 110: the document ends inside 1 open elements"
    );
}

#[test]
fn a_time_that_cannot_be_read_stays_as_text() {
    let (file, findings) = read(&inventory("").replace("20250314T031522", "yesterday"));
    assert_eq!((file.head().date_time, file.head().collected_at()), ("yesterday", None));
    assert_eq!(placeless(findings), [finding(FindingKind::NotATime, "Inventory", "DateTime", 1)]);
}

#[test]
fn an_element_without_a_required_attribute_is_skipped_with_its_children() {
    let (file, findings) = read(&inventory(
        "<Hardware Name='n'><Property Name='lost' Value='1'/></Hardware>
         <Hardware Class='c' Name='n'><Property Value='1'/><Property Name='kept' Value=''/><Property Name='x'/></Hardware>
         <Software><Package Name='n'/><Package Name='n'/><File/><Access Product='p'/></Software>
         <Service/><ServiceProvider Name='n'><ServiceProvider Type='t' Name='lost'/></ServiceProvider>",
    ));
    let objects: Vec<_> = file.hardware().map(|(_, properties)| properties.collect::<Vec<_>>()).collect();
    assert_eq!(objects, [[Property { name: "kept", value: "" }]]);
    assert_eq!((file.packages().len(), file.files().len(), file.accesses().len()), (0, 0, 0));
    assert_eq!((file.services().len(), file.providers().len()), (0, 0));
    let missing = |element, attribute, count| finding(FindingKind::Missing, element, attribute, count);
    assert_eq!(
        placeless(findings),
        [
            missing("Hardware", "Class", 1),
            missing("Property", "Name", 1),
            missing("Property", "Value", 1),
            missing("Package", "Evidence", 2),
            missing("File", "Name", 1),
            missing("Access", "Mode", 1),
            missing("Service", "Name", 1),
            missing("ServiceProvider", "Type", 1),
        ]
    );
}

#[test]
fn unknown_elements_and_attributes_are_skipped_without_a_word() {
    let (file, findings) = read(&inventory(
        "<News><Hardware Class='c' Name='lost'/><Software><File Name='lost'/></Software></News>
         <Hardware Class='c' Name='n' Colour='red'><Hardware Class='c' Name='lost'/>text<Property Name='a' Value='1'>
         <Property Name='lost' Value='1'/></Property></Hardware>
         <File Name='lost'/><Software><Hardware Class='c' Name='lost'/><!-- c --><File Name='kept'/></Software>",
    ));
    let objects: Vec<_> = file.hardware().map(|(object, properties)| (object.name, properties.count())).collect();
    assert_eq!(objects, [("n", 1)]);
    assert_eq!(file.files().map(|file| file.name.to_string()).collect::<Vec<_>>(), ["kept"]);
    assert_eq!(findings, []);
}

#[test]
fn a_long_value_is_cut_at_a_character_and_counted() {
    let name = "é".repeat(256);
    let package = |name: &str| format!("<Package Name='{name}' Version='{}' Evidence='deb'/>", "9".repeat(73));
    let (file, findings) =
        read(&inventory(&format!("<Software>{}{}</Software>", package(&name), package(&(name.clone() + "é")))));
    for (package, _) in file.packages() {
        assert_eq!((package.name, package.version.len()), (&name[..], 72));
    }
    let cut = |attribute, count| finding(FindingKind::Cut, "Package", attribute, count);
    assert_eq!(placeless(findings), [cut("Version", 2), cut("Name", 1)]);
}

#[test]
fn a_key_that_is_long_or_holds_control_characters_is_null() {
    let long = "x".repeat(1025);
    let (file, findings) = read(&inventory(&format!(
        "<Hardware Class='MGS_BIOS' Name='a&#9;b'>
           <Property Name='SerialNumber' Value='{long}'/><Property Name='uuid' Value='1&#10;2'/>
           <Property Name='HostID' Value='1&#x85;'/><Property Name='Caption' Value='{long}'/>
           <Property Name='MachineId' Value='{}'/></Hardware>
         <Software><Package Name='n' Evidence='deb'><Property Name='SerialNumber' Value='{long}'/></Package></Software>",
        "x".repeat(1024)
    )));
    let (object, properties) = file.hardware().next().unwrap();
    assert_eq!(object.name, "");
    assert_eq!(properties.map(|property| property.value.len()).collect::<Vec<_>>(), [0, 0, 0, 1025, 1024]);
    let (_, mut properties) = file.packages().next().unwrap();
    assert_eq!(properties.next().unwrap().value.len(), 1025, "a package is not told apart by it");
    let null = |element, attribute| finding(FindingKind::Null, element, attribute, 1);
    assert_eq!(
        placeless(findings),
        [
            null("Hardware", "Name"),
            null("Property", "SerialNumber"),
            null("Property", "UUID"),
            null("Property", "HostId")
        ]
    );
}

#[test]
fn a_number_that_is_none_is_absent() {
    let (file, findings) = read(&inventory(
        "<Hardware Class='c' Name='n' Occurrence='-1'/><Hardware Class='c' Name='n' Occurrence='4294967296'/>
         <Software><File Name='f' Size='1e9'/><File Name='f' Size='18446744073709551615'/></Software>",
    ));
    assert_eq!(file.hardware().map(|(object, _)| object.occurrence).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(file.files().map(|file| file.size).collect::<Vec<_>>(), [None, Some(u64::MAX)]);
    assert_eq!(
        placeless(findings),
        [
            finding(FindingKind::NotANumber, "Hardware", "Occurrence", 2),
            finding(FindingKind::NotANumber, "File", "Size", 1)
        ]
    );
}

#[test]
fn providers_keep_their_tree_and_their_own_properties() {
    let (file, _) = read(&inventory(
        "<ServiceProvider Type='t' Name='a'><Property Name='p' Value='1'/>
           <ServiceProvider Type='t' Name='b'><Property Name='p' Value='2'/></ServiceProvider>
           <Property Name='p' Value='3'/><ServiceProvider Type='t' Name='c'/></ServiceProvider>
         <ServiceProvider Type='t' Name='d'><Property Name='p' Value='4'/></ServiceProvider>",
    ));
    let tree: Vec<_> = file
        .providers()
        .map(|Provider { provider, depth, parent, properties }| {
            (provider.name, depth, parent, properties.map(|property| property.value).collect::<String>())
        })
        .collect();
    let row = |name, depth, parent, values: &str| (name, depth, parent, values.to_string());
    assert_eq!(
        tree,
        [row("a", 0, None, "13"), row("b", 1, Some(0), "2"), row("c", 1, Some(0), ""), row("d", 0, None, "4")]
    );
}

#[test]
fn ten_thousand_property_names_are_taken_and_one_more_is_refused() {
    let file = |names: usize| {
        let properties: String = (0..names).map(|name| format!("<Property Name='p{name}' Value=''/>")).collect();
        inventory(&format!("<Hardware Class='c' Name='n'>{properties}{properties}</Hardware>"))
    };
    let (hardware, _) = read(&file(PROPERTY_NAMES_MAX));
    assert_eq!(hardware.hardware().next().unwrap().1.len(), 2 * PROPERTY_NAMES_MAX);
    assert_eq!(reason(&file(PROPERTY_NAMES_MAX + 1)), "more than 10000 distinct property names");
}

#[test]
fn what_is_kept_of_one_file_is_bounded() {
    let file = format!("<File Name='f' ProductName='{}'/>", "x".repeat(64 << 10));
    let document = inventory(&format!("<Software>{}</Software>", file.repeat(1025)));
    assert_eq!(reason(&document), "inventory XML is refused: more than 67108864 bytes would be kept in memory");
}

#[test]
fn findings_do_not_grow_with_the_faults() {
    let (_, findings) = read(&inventory(&format!("<Software>{}</Software>", "<File/>".repeat(100_000))));
    assert_eq!(placeless(findings), [finding(FindingKind::Missing, "File", "Name", 100_000)]);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let gzip = compress(WEB07);
    assert!(read_ndi_gz(&gzip[..]).is_ok());
    for end in 0..gzip.len() {
        assert!(matches!(read_ndi_gz(&gzip[..end]), Err(NdiError::Gzip(GzipError::Truncated { .. }))), "{end}");
    }
    for end in 0..WEB07.trim_ascii_end().len() {
        assert!(read_ndi(&WEB07[..end]).is_err(), "{end}");
    }
}

#[test]
fn limits_of_the_inflation_are_told_as_such() {
    let bomb = compress(inventory(&"<x/>".repeat(1_900_000)).as_bytes());
    assert!(matches!(read_ndi_gz(&bomb[..]), Err(NdiError::Gzip(GzipError::Ratio { .. }))));
    let members = [compress(WEB07), compress(b"\n").repeat(64)].concat();
    assert!(matches!(read_ndi_gz(&members[..]), Err(NdiError::Gzip(GzipError::Members))));
    assert!(matches!(read_ndi_gz(WEB07), Err(NdiError::Gzip(GzipError::NotGzip { at: 0 }))));
}

#[test]
fn the_writer_nests_providers_as_deep_as_the_reader_takes() {
    let provider = ServiceProvider { kind: "t", name: "n", version: "" };
    let mut ndi = NdiWriter::new(Vec::new(), &Head::default()).unwrap();
    for _ in 0..62 {
        ndi.begin_provider(&provider, &[Property { name: "p", value: "v" }]).unwrap();
    }
    let (file, _) = read_ndi(&ndi.finish().unwrap()[..]).unwrap();
    assert_eq!(file.providers().last().unwrap().depth, 61);
}

#[test]
#[should_panic(expected = "not written in one run")]
fn software_is_written_in_one_run() {
    let mut ndi = NdiWriter::new(Vec::new(), &Head::default()).unwrap();
    ndi.file(&File::default()).unwrap();
    ndi.service(&Service::default()).unwrap();
    ndi.file(&File::default()).unwrap();
}

/// What becomes of a value on its way through XML, and then by the rule of its attribute.
fn carried(value: &str) -> String {
    value.replace(
        |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}'),
        "\u{fffd}",
    )
}

fn cut(value: &str, max: usize) -> String {
    carried(value).chars().take(max).collect()
}

fn key(value: &str, max: usize) -> String {
    let value = carried(value);
    if value.len() > 1024 || value.chars().any(char::is_control) { String::new() } else { cut(&value, max) }
}

/// Any text: mostly short, now and then past the limits.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => any::<String>(), 1 => "[a\u{e9}\u{1f600}\"&<>\n\t]{200,420}", 1 => Just(String::new())]
}

/// An element of an inventory, often without what it must have, with values that are cut, or with names in another order.
fn child() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(
            "<Software><Package Name='a' Version='1' Evidence='deb'/>\n<Package Evidence='deb' Name='&lt;b&#9;'/></Software>"
        ),
        Just("<Software><Package Version='1' Evidence='deb'/><File Name='/x' Size='7' Evidence='file'/></Software>"),
        Just(
            "<Software><File Name='/t' ProductName='p' Evidence='swidtag'/><File Evidence='swidtag' Size='x'/></Software>"
        ),
        Just(
            "<Software><File Size='-1' MD5='0123456789012345678901234567890123456789012345678901234567890123456789' Name='/y'/></Software>"
        ),
        Just(
            "<Software><File Size='1'/><Access Product='p' Mode='user' Count='many'/><Access Mode='user'/></Software>"
        ),
        Just("<Service Name='s' State='running'/><Service State='stopped'/>"),
        Just("<Hardware Class='c' Name='n'><Property Name='UUID' Value='u'/><Property Value='lost'/></Hardware>"),
        Just("<Hardware Name='n' Class='c' Name='n'/>"),
        Just("<ServiceProvider Type='t' Name='n'><Property Name='k' Value='v'/></ServiceProvider>"),
        Just("<Other a_name_of_more_than_16='1'/><!-- c -->"),
        Just("text"),
    ]
}

proptest! {
    #[test]
    fn any_text_in_any_attribute_comes_back_as_far_as_xml_and_the_limits_carry_it(
        t in proptest::collection::vec(text(), 11),
        size: Option<u64>,
        occurrence: u32,
        flags: [bool; 3],
    ) {
        let head = Head {
            tracker: &t[0], audience: &t[1], scope: &t[2], machine_name: &t[3], user_name: &t[4],
            has_hardware: flags[0], has_software: flags[1], has_service_providers: flags[2],
            date_time: &t[5], kind: &t[6], machine_id: &t[7], site: &t[8], tenant_uid: &t[9],
        };
        let hardware = Hardware { class: &t[0], name: &t[1], occurrence, evidence: &t[2] };
        let properties = [Property { name: &t[3], value: &t[4] }, Property { name: "UUID", value: &t[5] }];
        let package = Package {
            name: &t[0], version: &t[1], publisher: &t[2], evidence: &t[3], product_code: &t[4],
            install_date: &t[5], install_path: &t[6], user_name: &t[7],
        };
        let file = File {
            name: &t[0], path: &t[1], version: &t[2], company: &t[3], description: &t[4], product_name: &t[5],
            product_version: &t[6], size, md5: &t[7], last_modified: &t[8], evidence: &t[9],
        };
        let access = Access {
            product: &t[0], version: &t[1], mode: &t[2], count: size, last_access: &t[3], user_name: &t[4],
            client_name: &t[5],
        };
        let service = Service { name: &t[0], state: &t[1], start_mode: &t[2], path: &t[3], account: &t[4] };
        let provider = ServiceProvider { kind: &t[0], name: &t[1], version: &t[2] };
        let mut ndi = NdiWriter::new(Vec::new(), &head).unwrap();
        ndi.hardware(&hardware, &properties).unwrap();
        ndi.package(&package, &properties).unwrap();
        ndi.file(&file).unwrap();
        ndi.access(&access).unwrap();
        ndi.service(&service).unwrap();
        ndi.begin_provider(&provider, &properties).unwrap();
        let document = ndi.finish().unwrap();

        let (read, _) = read_ndi(&document[..]).unwrap();
        prop_assert_eq!(read.head(), Head {
            tracker: &cut(&t[0], 64), audience: &cut(&t[1], 64), scope: &key(&t[2], 1024),
            machine_name: &key(&t[3], 1024), user_name: &key(&t[4], 1024), date_time: &cut(&t[5], 64),
            kind: &cut(&t[6], 64), machine_id: &key(&t[7], 1024), site: &key(&t[8], 1024),
            tenant_uid: &key(&t[9], 1024), ..head
        });
        let expected = [
            Property { name: &cut(&t[3], 256), value: &carried(&t[4]) },
            Property { name: "UUID", value: &key(&t[5], 1024) },
        ];
        let (object, properties) = read.hardware().next().unwrap();
        prop_assert_eq!(object, Hardware {
            class: &cut(&t[0], 256), name: &key(&t[1], 256), occurrence, evidence: &cut(&t[2], 32),
        });
        prop_assert_eq!(properties.collect::<Vec<_>>(), &expected[..]);
        prop_assert_eq!(read.packages().next().unwrap().0, Package {
            name: &cut(&t[0], 256), version: &cut(&t[1], 72), publisher: &cut(&t[2], 200), evidence: &cut(&t[3], 32),
            product_code: &cut(&t[4], 55), install_date: &cut(&t[5], 64), install_path: &carried(&t[6]),
            user_name: &carried(&t[7]),
        });
        prop_assert_eq!(read.files().next().unwrap(), File {
            name: &cut(&t[0], 256), path: &cut(&t[1], 400), version: &cut(&t[2], 100), company: &cut(&t[3], 100),
            description: &cut(&t[4], 200), product_name: &carried(&t[5]), product_version: &cut(&t[6], 200), size,
            md5: &cut(&t[7], 64), last_modified: &cut(&t[8], 64), evidence: &cut(&t[9], 32),
        });
        prop_assert_eq!(read.accesses().next().unwrap(), Access {
            product: &carried(&t[0]), version: &carried(&t[1]), mode: &cut(&t[2], 64), count: size,
            last_access: &cut(&t[3], 64), user_name: &carried(&t[4]), client_name: &carried(&t[5]),
        });
        prop_assert_eq!(read.services().next().unwrap(), Service {
            name: &carried(&t[0]), state: &cut(&t[1], 64), start_mode: &cut(&t[2], 64), path: &carried(&t[3]),
            account: &carried(&t[4]),
        });
        prop_assert_eq!(read.providers().next().unwrap().provider, ServiceProvider {
            kind: &carried(&t[0]), name: &key(&t[1], 1024), version: &carried(&t[2]),
        });
    }

    #[test]
    fn what_was_read_once_is_written_and_read_without_a_finding(
        names in proptest::collection::vec(text(), 0..6),
        depths in proptest::collection::vec(0..4u32, 0..6),
    ) {
        let mut ndi = NdiWriter::new(Vec::new(), &Head { date_time: "20250314T031522", ..Head::default() }).unwrap();
        for name in &names {
            ndi.hardware(&Hardware { class: name, name, ..Hardware::default() }, &[Property { name, value: name }]).unwrap();
        }
        let mut open = 0;
        for depth in depths {
            let depth = depth.min(open);
            (depth..open).for_each(|_| ndi.end_provider().unwrap());
            open = depth + 1;
            ndi.begin_provider(&ServiceProvider { kind: "t", name: "n", version: "" }, &[]).unwrap();
        }
        let (once, _) = read_ndi(&ndi.finish().unwrap()[..]).unwrap();
        let document = write(&once);
        let (twice, findings) = read_ndi(&document[..]).unwrap();
        prop_assert_eq!(findings, vec![]);
        prop_assert_eq!(write(&twice), document);
    }

    #[test]
    fn what_is_read_for_titles_only_is_refused_and_found_alike(
        children in proptest::collection::vec(child(), 0..12), at in any::<usize>(), byte: u8, is_damaged: bool,
    ) {
        let mut document = inventory(&children.concat()).into_bytes();
        if is_damaged {
            let at = at % document.len();
            document[at] = byte;
        }
        match (read_ndi(&document[..]), read_ndi_gz_titles(&compress(&document)[..])) {
            (Ok((whole, found)), Ok((titles, found_in_titles))) => {
                prop_assert_eq!(found, found_in_titles);
                prop_assert_eq!(whole.head(), titles.head());
                let objects = |file: &NdiFile| file.hardware().map(|(of, in_it)| format!("{of:?} {:?}", in_it.collect::<Vec<_>>())).collect::<Vec<_>>();
                prop_assert_eq!(objects(&whole), objects(&titles));
                let packages = |file: &NdiFile| file.packages().map(|(of, _)| format!("{of:?}")).collect::<Vec<_>>();
                prop_assert_eq!(packages(&whole), packages(&titles));
                let tags = whole.files().filter(|file| file.evidence == SWID_TAG).collect::<Vec<_>>();
                prop_assert_eq!(tags, titles.files().collect::<Vec<_>>());
                prop_assert_eq!(whole.files().len(), titles.files_met());
                prop_assert_eq!((titles.accesses().len(), titles.services().len()), (0, 0));
            }
            (whole, titles) => {
                let reason = |read: Result<(NdiFile, Vec<Finding>), NdiError>| read.map(|_| ()).map_err(|error| format!("{error:?}"));
                prop_assert_eq!(reason(whole), reason(titles));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0..WEB07.len(),
        byte: u8,
    ) {
        let _ = read_ndi(&bytes[..]);
        let _ = read_ndi_gz(&bytes[..]);
        let mut damaged = WEB07.to_vec();
        damaged[at] = byte;
        if let Ok((file, _)) = read_ndi(&damaged[..]) {
            prop_assert!(read_ndi(&write(&file)[..]).is_ok());
        }
    }
}
