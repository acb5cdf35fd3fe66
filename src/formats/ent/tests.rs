//! What is read of a document, and what is refused of it.

use std::io::Write as _;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::formats::xml::DEPTH_MAX;

const OFFICE: &str = include_str!("../../../tests/golden/formats/office.ent");

fn read(text: &str) -> Result<EntDocument, EntError> {
    read_ent(text.as_bytes(), &EntNames::standard())
}

fn check(text: &str, expected: Expect) {
    let told = match read(text) {
        Ok(document) => {
            let mut out = String::new();
            for ent in &document.entitlements {
                out += &format!("{}:", ent.line);
                for field in Field::ALL {
                    ent.all(field).for_each(|said| out += &format!(" {field}={}@{}", said.text, said.line));
                }
                ent.related.iter().for_each(|(rel, said)| out += &format!(" {rel}->{}@{}", said.text, said.line));
                ent.twice.iter().for_each(|(field, line)| out += &format!(" twice {field}@{line}"));
                out.push('\n');
            }
            document.unread.iter().for_each(|path| out += &format!("unread {path}\n"));
            out
        }
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&told);
}

/// A document in the namespace of the standard.
fn of(inside: &str) -> String {
    format!("<Entitlement xmlns='http://standards.iso.org/iso/19770/-3/2016/schema.xsd' {inside}")
}

#[test]
fn an_entitlement_is_read_with_the_lines_of_what_it_says() {
    check(
        OFFICE,
        expect![[r#"
        4: id=example.com-office-4711@4 name=Example Office, 250 devices@4 metric=device@12 quantity=250@12 effective=2026-01-01@4 expiry=2026-12-31T23:59:59Z@4 product=Example Office@9 tag=swid:example.com-office-2026@10 supersedes->swid:example.com-office-2024@11
        14: id=example.com-mail-site@14 name=Example Mail@14 metric=Site@15
        unread Meta/@edition
        unread Right
    "#]],
    );
}

#[test]
fn entitlements_stand_in_other_elements_with_a_prefix_or_without() {
    check(
        "<l:Library xmlns:l='urn:l' xmlns:e='http://standards.iso.org/iso/19770/-3/2016/schema.xsd'>
            <l:Group>
              <e:Ent id='a'><e:Metric> device </e:Metric><e:Quantity>5</e:Quantity></e:Ent>
            </l:Group>
            <e:Ent id='b' xmlns:e='http://standards.iso.org/iso/19770/-3/2027/other.xsd'/>
            <Ent xmlns='http://standards.iso.org/iso/19770/-3/x' id='c'/>
        </l:Library>",
        expect![[r#"
            3: id=a@3 metric=device@3 quantity=5@3
            5: id=b@5
            6: id=c@6
        "#]],
    );
}

#[test]
fn what_is_preferred_counts_and_what_is_said_twice_is_told() {
    check(
        &of(
            "id='second' tagId='first' metric='site'><Metric type='device' quantity='5'/>\n<Metric type='user' quantity='5'/></Entitlement>",
        ),
        expect![[r#"
            1: id=first@1 metric=device@1 quantity=5@1 twice metric@2
        "#]],
    );
}

#[test]
fn links_to_other_things_than_what_is_covered_stand_apart() {
    check(
        &of(
            "id='a'>\n<Link rel='component' href='swid:x'/><Link rel='supersedes' href='ent:old'/><Link rel='' href=' '/></Entitlement>",
        ),
        expect![[r#"
            1: id=a@1 tag=swid:x@2 supersedes->ent:old@2
        "#]],
    );
}

#[test]
fn what_says_nothing_here_is_named_and_what_is_of_another_namespace_is_not_taken_for_ours() {
    check(
        &of("id='a' version='2' xml:lang='en'><Right type='upgrade'><Metric type='x'/></Right><Metric type='device' unit='1'/>
             <d:Metric xmlns:d='urn:d' type='user'/><Metric xmlns='urn:d' type='user'/>
             <Signature xmlns='urn:s'><Entitlement/></Signature></Entitlement>"),
        expect![[r#"
            1: id=a@1 metric=device@1
            unread @version
            unread Metric
            unread Metric/@unit
            unread Right
            unread Signature
            unread d:Metric
        "#]],
    );
}

#[test]
fn a_document_that_is_no_entitlement_is_refused_with_what_to_do() {
    for (text, expected) in [
        (
            "<Licence/>",
            expect![[r#"
            1: no entitlement is in this document, whose root is `Licence`: name the element that is one in the map (--map)
        "#]],
        ),
        (
            "<SoftwareIdentity name='a' tagId='b'/>",
            expect![[r#"
            1: this is a software identification tag (ISO/IEC 19770-2): it says what is installed, not what was bought
        "#]],
        ),
        (
            "\n<Entitlement\nid='a'/>",
            expect![[r#"
            2: `Entitlement` is of no namespace, not of one that begins with `http://standards.iso.org/iso/19770/-3/`: if it is an entitlement all the same, set `namespace` in the map (--map)
        "#]],
        ),
        (
            "<a xmlns:e='urn:e'>\n\n<e:Ent id='a'/></a>",
            expect![[r#"
            3: `e:Ent` is of the namespace `urn:e`, not of one that begins with `http://standards.iso.org/iso/19770/-3/`: if it is an entitlement all the same, set `namespace` in the map (--map)
        "#]],
        ),
    ] {
        check(text, expected);
    }
    check(
        &of("id='a'>\n<Entitlement id='b'/></Entitlement>"),
        expect![[r#"
        2: an entitlement stands inside another one, which is not read: part them
    "#]],
    );
}

#[test]
fn hostile_documents_are_refused_at_their_place() {
    for (text, expected) in [
        (
            "<!DOCTYPE a [<!ENTITY b 'c'>]>\n<Entitlement id='&b;'/>".to_owned(),
            expect![[r#"
            1: the document type has an internal subset, which is refused
        "#]],
        ),
        (
            of("\n\nid='&lol;'/>"),
            expect![[r#"
            3: entity `&lol;` is refused: only amp, lt, gt, quot and apos are known
        "#]],
        ),
        (
            of("id='a'>\n<Metric>"),
            expect![[r#"
            2: not well-formed at byte 91: the document ends inside 2 open elements
        "#]],
        ),
        (
            of("id='a'>\n</Metric>"),
            expect![[r#"
            2: not well-formed at byte 83: `</Metric>` stands where `</Entitlement>` belongs
        "#]],
        ),
        (
            of(&format!("id='a'>{}", "\n<Metric>".repeat(DEPTH_MAX))),
            expect![[r#"
            65: elements are nested deeper than 64
        "#]],
        ),
        (
            of(&format!("id='a'><Link\n{}/></Entitlement>", (0..65).map(|n| format!(" a{n}=''")).collect::<String>())),
            expect![[r#"
                2: element `Link` has more than 64 attributes
            "#]],
        ),
        (
            of(&format!("id='{}'/>", "x".repeat(70_000))),
            expect![[r#"
            1: a value has 70000 bytes or more, the limit is 65536
        "#]],
        ),
    ] {
        check(&text, expected);
    }
    let large = vec![b' '; ENT_BYTES_MAX + 1];
    let error = read_ent(&large, &EntNames::standard()).unwrap_err();
    assert!(matches!(error.problem, EntProblem::TooLarge), "{error}");
}

#[test]
fn no_document_holds_more_entitlements_than_are_read() {
    let one = "<Ent xmlns='http://standards.iso.org/iso/19770/-3/'/>";
    let text = |count: usize| format!("<a>{}</a>", one.repeat(count));
    assert_eq!(read(&text(ENTITLEMENTS_MAX)).unwrap().entitlements.len(), ENTITLEMENTS_MAX);
    let error = read(&text(ENTITLEMENTS_MAX + 1)).unwrap_err();
    assert!(matches!(error.problem, EntProblem::TooMany), "{error}");
}

#[test]
fn names_of_what_is_not_read_do_not_grow_with_the_document() {
    let many: String = (0..1_000).map(|n| format!("<x{n}/>")).collect();
    let document = read(&of(&format!("id='a'>{many}</Entitlement>"))).unwrap();
    assert_eq!(document.unread.len(), UNREAD_MAX);
}

#[test]
fn a_document_in_utf_16_has_the_same_lines() {
    let text = of("id='a'>\n<Link href='é'/>\n<Metric type='device'/></Entitlement>");
    let expected = read(&text).unwrap();
    assert_eq!(expected.entitlements[0].get(Field::Metric).unwrap().line, 3);
    for (mark, bytes) in [([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xfe, 0xff], u16::to_be_bytes)] {
        let mut encoded = mark.to_vec();
        text.encode_utf16().for_each(|unit| encoded.write_all(&bytes(unit)).unwrap());
        assert_eq!(read_ent(&encoded, &EntNames::standard()).unwrap(), expected);
    }
}

#[test]
fn other_names_are_read_when_they_are_told() {
    let mut names = EntNames::standard();
    names.namespace = "".into();
    names.entitlements = vec!["Grant".into()];
    names.set(Field::Id, vec!["Head/Key".parse().unwrap()]).unwrap();
    names.set(Field::Metric, vec!["Entity/@counts".parse().unwrap()]).unwrap();
    let text = "<Grant><Head><Key>k-1</Key></Head><Entity counts='user'/></Grant>";
    let document = read_ent(text.as_bytes(), &names).unwrap();
    let said = |field| document.entitlements[0].get(field).map(|said| &*said.text);
    assert_eq!((said(Field::Id), said(Field::Metric)), (Some("k-1"), Some("user")));
}

proptest! {
    #[test]
    fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = read_ent(&bytes, &EntNames::standard());
        for mark in [[0xff, 0xfe], [0xfe, 0xff]] {
            let _ = read_ent(&[&mark[..], &bytes].concat(), &EntNames::standard());
        }
    }

    #[test]
    fn any_damage_reads_without_panic(at in 0usize..OFFICE.len(), byte in any::<u8>()) {
        let mut bytes = OFFICE.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = read_ent(&bytes, &EntNames::standard());
    }

    #[test]
    fn any_tags_read_without_panic_and_lines_stay_inside(
        tags in prop::collection::vec(prop::sample::select(vec![
            "<Ent>", "<Ent id='a'>", "</Ent>", "<Metric>", "</Metric>", "<Metric type='x'/>", "<Link rel='requires' href='h'/>",
            "<x:Ent xmlns:x='urn:x'>", "</x:Ent>", "<a xmlns='urn:a'>", "</a>", "t", "\n", "<Quantity>5</Quantity>", "<b/>",
        ]), 0..40)
    ) {
        let mut names = EntNames::standard();
        names.namespace = "".into();
        let text = format!("<a>{}</a>", tags.concat());
        let lines = text.lines().count() as u32;
        match read_ent(text.as_bytes(), &names) {
            Ok(document) => prop_assert!(document.entitlements.iter().all(|ent| (1..=lines).contains(&ent.line))),
            Err(error) => prop_assert!((1..=lines).contains(&error.line), "{}", error),
        }
    }
}
