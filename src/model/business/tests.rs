use proptest::prelude::*;

use super::*;
use crate::id::Digest;
use crate::model::package::{Kind, Origin};

fn canonical(text: &str) -> Result<BusinessHead, String> {
    check(text.as_bytes()).map_err(|error| error.to_string())
}

fn day(text: &str) -> Option<Day> {
    Some(text.parse().unwrap())
}

fn read(text: &str, kind: BusinessKind, spelling: Spelling) -> (Vec<BusinessRow>, Vec<String>) {
    let mut reader = BusinessReader::open(text.as_bytes(), Some(kind), spelling).unwrap();
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    while let Some(row) = reader.next_row().unwrap() {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => bad.push(error.to_string()),
        }
    }
    (rows, bad)
}

#[test]
fn a_canonical_file_is_known_by_its_columns() {
    let head = |kind, rows| Ok(BusinessHead { kind, rows });
    assert_eq!(canonical("contract,name\nC-1,Support\nC-2,\n"), head(BusinessKind::Contracts, 2));
    assert_eq!(canonical("product,purchase,contract,quantity\nx,PO-1,C-1,3\n"), head(BusinessKind::Purchases, 1));
    assert_eq!(canonical("contract\n"), head(BusinessKind::Contracts, 0));
    for (text, part) in [
        ("Contract No;Name\n", "write `delimiter = \";\"`"),
        ("Contract No,Name\n", "no column `contract`, `purchase` or `license` (columns: `Contract No`, `Name`)"),
        ("purchase,quantity\n", "no column `product`"),
        ("contract,nmae\n", "`nmae` is no column of Contracts"),
        ("contract,name,name\n", "two columns `name`"),
        ("contract\nC-1\nC-1\n", "line 3, column `contract`: `C-1` stands in an earlier row"),
    ] {
        let error = canonical(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_file_of_another_spelling_reads_by_its_map() {
    let columns = [("purchase", "Bestellung"), ("product", "Artikel"), ("quantity", "Menge"), ("unit_price", "Preis")];
    let spelling = Spelling {
        delimiter: b';',
        date: "DD.MM.YYYY".parse().unwrap(),
        decimal: ',',
        columns: columns.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).collect(),
        has_others: true,
    };
    let text = "Bestellung;Artikel;Menge;Preis;Notiz;date\n4711;\"Office; Pro\";25;19,9;\"zwei\nZeilen\";1.2.2026\n\
                4712;;1;;;\n4713;x;1,5;;;\n4714;x;1;;;2026-02-01\n4715;x;1;1.999,00;;\n";
    let (rows, bad) = read(text, BusinessKind::Purchases, spelling);
    let bought = Purchase {
        purchase: "4711".into(),
        line: "".into(),
        product: "Office; Pro".into(),
        publisher: "".into(),
        vendor: "".into(),
        quantity: 25,
        unit_price: Some(Amount(199_000)),
        currency: "".into(),
        date: day("2026-02-01"),
        contract: "".into(),
        effective: None,
        expiry: None,
    };
    assert_eq!(rows, [BusinessRow::Purchase(bought)]);
    expect_test::expect![[r#"
        line 4, column `Artikel`: is empty, every row needs one
        line 5, column `Menge`: `1,5` is no whole number, write digits such as 25
        line 6, column `date`: `2026-02-01` is no day, write it as DD.MM.YYYY
        line 7, column `Preis`: `1.999,00` is no amount, write digits such as 1234,50, without blanks and thousands marks"#]]
    .assert_eq(&bad.join("\n"));
}

#[test]
fn a_bad_cell_is_told_with_line_column_and_what_to_write() {
    let rows = [
        "=cmd|' /C calc'!A0,,,,,",
        "C-2,+SUM(A1),,,,",
        "C-3,-x,,,,",
        "C-4,@x,,,,",
        "-5,+49 30,,,,",
        "+5,-1.5,,,,",
        "C-7,,2026-13-01,,,",
        "C-8,,2026-02-01,2026-01-31,,",
        "C-9,,,,-10.50,eur",
        "C-10,,,,ten,",
        "C-11,\"a\nb\",,,,",
        "C-12,\"a,,,,",
    ];
    let text = format!("contract,name,start,end,value,currency\n{}", rows.join("\n"));
    let (rows, bad) = read(&text, BusinessKind::Contracts, Spelling::canonical());
    assert_eq!(rows.iter().map(|row| row.id().0).collect::<Vec<_>>(), ["+5"]);
    expect_test::expect![[r#"
        line 2, column `contract`: `=cmd|\' /C calc\'!A0` would be a formula in a spreadsheet, write it without its first character
        line 3, column `name`: `+SUM(A1)` would be a formula in a spreadsheet, write it without its first character
        line 4, column `name`: `-x` would be a formula in a spreadsheet, write it without its first character
        line 5, column `name`: `@x` would be a formula in a spreadsheet, write it without its first character
        line 6, column `name`: `+49 30` would be a formula in a spreadsheet, write it without its first character
        line 8, column `start`: `2026-13-01` is no day, write it as YYYY-MM-DD
        line 9, column `end`: 2026-01-31 is before `start`, which is 2026-02-01: write a later day
        line 10, column `currency`: `eur` is no currency, write its code such as EUR
        line 11, column `value`: `ten` is no amount, write digits such as 1234.50, without blanks and thousands marks
        line 12, column `name`: `a\nb` holds a line break or another control character, leave it out
        line 14: 2 cells, but the header has 6: put a cell that holds the delimiter or a quote into quotes"#]]
    .assert_eq(&bad.join("\n"));
    let binary = b"contract,name\nC-1,\xff\xfe\nC-2,\0\nC-3,x\n";
    let mut reader = BusinessReader::open(&binary[..], None, Spelling::canonical()).unwrap();
    let mut next = || reader.next_row().unwrap().unwrap().map_err(|error| error.to_string());
    assert!(next().unwrap_err().contains("line 2, column `name`: is not UTF-8"));
    assert!(next().unwrap_err().contains("line 3, column `name`: `\\0` holds"));
    assert!(next().is_ok());
}

#[test]
fn a_later_file_takes_the_place_of_an_earlier_one() {
    let file = |origin: &str, stream: &str, effective: i64| BusinessFile {
        package: PackageKey {
            origin: Origin(origin.into()),
            kind: Kind::IntermediateData,
            digest: Digest::of(effective.to_string().as_bytes()),
        },
        stream: Stream(stream.into()),
        effective: Timestamp(effective),
        rows: 1,
    };
    let known = file("a", "s", 5);
    for (next, wanted) in [
        (file("a", "s", 4), true),
        (file("a", "t", 4), false),
        (file("b", "s", 4), false),
        (file("b", "s", 5), true),
        (file("b", "s", 6), true),
    ] {
        assert_eq!(known.gives_way_to(&next), wanted, "{next:?}");
    }
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Zäß0-9 ,;\"'._-]{0,12}".prop_map(|text| text.trim_start_matches(['-', ' ']).trim().to_owned())
}

fn a_day() -> impl Strategy<Value = Option<Day>> {
    prop::option::of((1u16..=9999, 1u8..=12, 1u8..=28).prop_map(|(y, m, d)| Day::new(y, m, d).unwrap()))
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        given in prop::collection::vec((text(), text(), any::<u64>(), prop::option::of(-9_999_999i64..), a_day()), 0..9),
    ) {
        let rows: Vec<BusinessRow> = given.into_iter().zip(0..).map(|((product, vendor, quantity, price, date), n)| {
            BusinessRow::Purchase(Purchase {
                purchase: format!("PO {n}"),
                line: "1".into(),
                product: format!("x{product}"),
                publisher: "".into(),
                vendor,
                quantity,
                unit_price: price.map(Amount),
                currency: "EUR".into(),
                date,
                contract: "".into(),
                effective: date,
                expiry: date,
            })
        }).collect();
        let mut writer = BusinessWriter::new(BusinessKind::Purchases);
        rows.iter().for_each(|row| writer.row(row));
        let bytes = String::from_utf8(writer.finish()).unwrap();
        prop_assert_eq!(read(&bytes, BusinessKind::Purchases, Spelling::canonical()), (rows.clone(), vec![]));
        let head = BusinessHead { kind: BusinessKind::Purchases, rows: rows.len() as u32 };
        prop_assert_eq!(canonical(&bytes), Ok(head));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(contract|purchase,product,quantity)\n[a-z0-9,\"\n=.é-]{0,80}") {
        let _ = canonical(&text);
    }
}

#[test]
fn rows_of_several_tenants_are_told_apart_and_refused_where_only_one_may_be() {
    let text = "TenantUID,contract\nT1,C-1\nT2,C-1\nT1,C-1\n,C-2\n";
    let open = BusinessReader::open(text.as_bytes(), None, Spelling::canonical()).map(drop);
    assert!(open.unwrap_err().to_string().contains("the column `TenantUID` says that the rows are those of tenants"));
    let mut reader = BusinessReader::open_of_tenants(text.as_bytes(), None, Spelling::canonical()).unwrap();
    assert!(reader.names_tenants());
    let mut seen = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        seen.push((reader.tenant().map(str::to_owned), row.is_ok()));
    }
    let of = |tenant: &str, is_good| (Some(tenant.to_owned()), is_good);
    assert_eq!(seen, [of("T1", true), of("T2", true), of("T1", false), of("", true)]);
    let error = reader.wrong_tenant("is empty".into());
    assert_eq!(error.to_string(), "line 5, column `TenantUID`: is empty");
    let text = "tenant,contract,tenantuid\n";
    assert!(BusinessReader::open_of_tenants(text.as_bytes(), None, Spelling::canonical()).is_err());
}

#[test]
fn entitlements_are_read_and_written_in_one_form() {
    let text = "license,line,quantity,effective,expiry,retired\nL-1,1,25,2026-01-01,2026-12-31,\nL-1,2,Unlimited,,,YES\nL-1,1,3,,,\n\
                L-2,,many,,,\nL-2,,1,,,perhaps\n";
    let mut reader = BusinessReader::open(text.as_bytes(), None, Spelling::canonical()).unwrap();
    assert_eq!(reader.kind(), BusinessKind::Entitlements);
    let (mut writer, mut problems) = (BusinessWriter::new(BusinessKind::Entitlements), Vec::new());
    while let Some(row) = reader.next_row().unwrap() {
        match row {
            Ok(row) => writer.row(&row),
            Err(error) => problems.push(error.to_string()),
        }
    }
    let written = String::from_utf8(writer.finish()).unwrap();
    assert_eq!(
        written,
        "license,line,quantity,effective,expiry,retired\nL-1,1,25,2026-01-01,2026-12-31,no\nL-1,2,unlimited,,,yes\n"
    );
    for (problem, part) in problems.iter().zip([
        "line 4, column `license`: `L-1` with line `1` stands in an earlier row",
        "line 5, column `quantity`: `many` is no whole number, write digits such as 25, or unlimited",
        "line 6, column `retired`: `perhaps` is neither yes nor no",
    ]) {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(problems.len(), 3);
}
