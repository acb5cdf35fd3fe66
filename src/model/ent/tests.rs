//! What becomes of entitlements, and what is said of those that become nothing.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::formats::ent::{EntNames, read_ent};

const OFFICE: &str = include_str!("../../../tests/golden/formats/office.ent");
const PRODUCTS: &str = "reference,application\nexample.com-office-2026,office-2026\nExample Office,office-web\n\
    Example Mail,mail\ntag-1,one\n";

fn import(documents: &[(&str, &str)]) -> Import {
    let (words, products) = (MetricWords::default(), Products::read(PRODUCTS.as_bytes()).unwrap());
    let mut import = Import::default();
    for (file, text) in documents {
        let document = read_ent(text.as_bytes(), &EntNames::standard()).unwrap();
        import.add(file, &document, Known { words: &words, products: &products });
    }
    import
}

fn check(documents: &[(&str, &str)], expected: Expect) {
    let import = import(documents);
    let mut told = String::new();
    if import.problems.is_empty() {
        import.tables().into_iter().for_each(|table| told += &String::from_utf8(table).unwrap());
    }
    import.problems.iter().for_each(|problem| told += &format!("problem {problem}\n"));
    import.notes.iter().for_each(|note| told += &format!("note {note}\n"));
    expected.assert_eq(&told);
}

/// An entitlement with these attributes and children.
fn of(attributes: &str, children: &str) -> String {
    format!("<Ent xmlns='http://standards.iso.org/iso/19770/-3/2016/schema.xsd' {attributes}>\n{children}</Ent>")
}

#[test]
fn entitlements_become_rows_of_the_three_tables() {
    check(
        &[("office.ent", OFFICE)],
        expect![[r#"
        license,name,type
        example.com-mail-site,Example Mail,12
        example.com-office-4711,"Example Office, 250 devices",2
        license,application
        example.com-mail-site,mail
        example.com-office-4711,office-2026
        example.com-office-4711,office-web
        license,quantity,effective,expiry
        example.com-mail-site,unlimited,,
        example.com-office-4711,250,2026-01-01,2026-12-31
        note office.ent:11: the link `swid:example.com-office-2024` is `supersedes`, which covers nothing, and is left out
        note office.ent: not read, because no table has a place for it: Meta/@edition, Right
    "#]],
    );
}

#[test]
fn what_has_no_metric_quantity_or_id_is_refused_with_what_to_do() {
    check(
        &[("a.ent", &of("", ""))],
        expect![[r#"
        problem a.ent:1: the entitlement has no id: add it, or name where it stands under `id` in the map (--map)
        problem a.ent:1: the entitlement has no metric: add it, or name where it stands under `metric` in the map (--map)
    "#]],
    );
    check(
        &[("a.ent", &of("id='a'", "<Metric type='per core' quantity='5'/>"))],
        expect![[r#"
        problem a.ent:2: the metric `per core` is no licence type that we know: give it the number of one, 1 to 45, under [metrics] in the map (--map)
    "#]],
    );
    check(
        &[("a.ent", &of("id='a'", "<Metric type='user'/>"))],
        expect![[r#"
        problem a.ent:1: the entitlement has no quantity: add it, or name where it stands under `quantity` in the map (--map)
    "#]],
    );
    check(
        &[("a.ent", &of("id='a'", "<Metric type='user' quantity='-5'/>"))],
        expect![[r#"
        problem a.ent:2: the quantity `-5` is no number, nor `unlimited`: write digits such as 250
    "#]],
    );
    check(
        &[("a.ent", &of("id='a'", "<Metric type='user' quantity='5'/>\n<Metric type='device' quantity='7'/>"))],
        expect![[r#"
            problem a.ent:3: the entitlement has a second metric here, another one than before: part it into one for each
            problem a.ent:3: the entitlement has a second quantity here, another one than before: part it into one for each
        "#]],
    );
}

#[test]
fn days_are_taken_as_written_and_checked() {
    check(
        &[(
            "a.ent",
            &of(
                "id='tag-1' effectiveDate='2026-01-31T23:00:00-05:00' expiryDate='2027-01-31Z'",
                "<Metric type='user' quantity='unlimited'/>",
            ),
        )],
        expect![[r#"
            license,name,type
            tag-1,,4
            license,application
            tag-1,one
            license,quantity,effective,expiry
            tag-1,unlimited,2026-01-31,2027-01-31
        "#]],
    );
    let metric = "<Metric type='user' quantity='1.50'/>";
    check(
        &[("a.ent", &of("id='a' effectiveDate='31.01.2026' expiryDate='2026-02-30'", metric))],
        expect![[r#"
        problem a.ent:1: the effective day `31.01.2026` is no day: write YYYY-MM-DD
        problem a.ent:1: the expiry day `2026-02-30` is no day: write YYYY-MM-DD
    "#]],
    );
    check(
        &[("a.ent", &of("id='a' effectiveDate='2026-01-01 at noon'", metric))],
        expect![[r#"
        problem a.ent:1: the effective day `2026-01-01 at noon` is no day: write YYYY-MM-DD
    "#]],
    );
    check(
        &[("a.ent", &of("id='a' effectiveDate='2026-02-01' expiryDate='2026-01-31'", metric))],
        expect![[r#"
        problem a.ent:1: the entitlement ends on 2026-01-31, before it begins on 2026-02-01: mend either day
    "#]],
    );
}

#[test]
fn one_id_is_one_entitlement_also_in_several_documents() {
    let one = of("id='tag-1'", "<Metric type='site'/>");
    check(
        &[("a.ent", &one), ("b.ent", &one)],
        expect![[r#"
        problem b.ent:1: the entitlement `tag-1` stands at a.ent:1 too: leave one of them out
    "#]],
    );
}

#[test]
fn what_a_spreadsheet_would_run_and_what_breaks_a_row_is_refused() {
    check(
        &[("a.ent", &of("id='=1+1' name='a&#10;b'", "<Metric type='site'/>"))],
        expect![[r#"
        problem a.ent:1: id: `=1+1` would be a formula in a spreadsheet, write it without its first character
        problem a.ent:1: name: `a\nb` holds a line break or another control character, leave it out
    "#]],
    );
    check(
        &[(
            "a.ent",
            &of("id='a,\"b\"' name='tag-1, too'", "<Link rel='component' href='swid:tag-1'/><Metric type='site'/>"),
        )],
        expect![[r#"
            license,name,type
            "a,""b""","tag-1, too",12
            license,application
            "a,""b""",one
            license,quantity,effective,expiry
            "a,""b""",unlimited,,
        "#]],
    );
}

#[test]
fn tags_that_nobody_knows_are_told_and_a_type_with_points_asks_for_its_set() {
    let links = "<Link rel='component' href='swid:tag-1'/>\n<Link rel='component' href='swid:tag-2'/>";
    check(
        &[("a.ent", &of("id='a'", &format!("{links}<Metric type='core points' quantity='8'/>")))],
        expect![[r#"
        license,name,type
        a,,15
        license,application
        a,one
        license,quantity,effective,expiry
        a,8,,
        note a.ent:3: the tag `tag-2` is not in the table of --applications and is left out
        note a.ent:1: Core Points needs a `points_set` in licenses.csv, which no document names: add it there
    "#]],
    );
}

/// What is written is read by the reconcile without a word.
#[test]
fn the_tables_are_those_of_the_reconcile() {
    use crate::model::folder::{Folder, FolderError, Source};
    struct Files(Vec<(&'static str, Vec<u8>)>);
    impl Source for Files {
        type Bytes = Vec<u8>;
        type Error = FolderError;
        fn file(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, FolderError> {
            Ok(self.0.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.clone()))
        }
    }
    let mut files: Vec<_> = TABLES.into_iter().zip(import(&[("office.ent", OFFICE)]).tables()).collect();
    files.push(("devices.csv", b"device\nd1\n".into()));
    files.push(("applications.csv", b"application\noffice-2026\noffice-web\nmail\n".into()));
    let folder = Folder::read(&mut Files(files)).unwrap();
    assert!(folder.notes.warnings.is_empty() && folder.notes.unknown_columns.is_empty(), "{:?}", folder.notes);
    let office = &folder.licensing.licences[1];
    assert_eq!(
        (office.metric, office.bad_data.as_deref(), office.links.len(), office.total("2026-12-31".parse().unwrap())),
        (Some(Metric::DEVICE), None, 2, Total::Limited(250_u64.into()))
    );
    assert_eq!(office.total("2027-01-01".parse().unwrap()), Total::Limited(0_u64.into()));
}

proptest! {
    #[test]
    fn any_texts_convert_without_panic(id in ".{0,20}", metric in ".{0,12}", quantity in ".{0,12}", day in ".{0,24}") {
        let escaped = |text: &str| {
            let legal = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
            text.chars().filter(legal).map(|c| format!("&#{};", u32::from(c))).collect::<String>()
        };
        let (id, metric, quantity, day) = (escaped(&id), escaped(&metric), escaped(&quantity), escaped(&day));
        let text = of(&format!("id='{id}' effectiveDate='{day}'"), &format!("<Metric type='{metric}' quantity='{quantity}'/>"));
        let _ = import(&[("a.ent", &text)]).tables();
    }
}
