//! What operators ask of contracts and purchases.

use std::collections::BTreeSet;
use std::sync::Arc;

use expect_test::expect;
use muster::formats::gzip;
use muster::time::{DAY_MS, Timestamp};
use serde_json::{Value, json};

use super::fixture::{Fixture, NOW, Package, package};
use crate::clock::Clock;
use crate::log::PackageRequest;
use crate::server::api::openapi;
use crate::server::sweep::sweep;

/// A business file of `source`, the `number`-th of its agent; its name tells the stream.
fn file(source: &str, kind: &str, number: u64, text: &str) -> Package {
    let name = format!("IntermediateData/{source}%20on%20x%20({kind}).csv.gz");
    package(1, number, &gzip::compress(text.as_bytes())).named(&name)
}

fn contracts(source: &str, number: u64, text: &str) -> Package {
    file(source, "Contracts", number, text)
}

fn ids(list: &Value) -> Vec<String> {
    let shown = |row: &Value| format!("{} {}", row["source"].as_str().unwrap(), row["contract"].as_str().unwrap());
    list["items"].as_array().unwrap().iter().map(shown).collect()
}

async fn state(fixture: &Fixture, digest: &str) -> (String, String) {
    let package = fixture.get(&format!("/api/v1/packages/{digest}")).await;
    (package["state"].as_str().unwrap().into(), package["reason"].as_str().unwrap_or_default().into())
}

#[actix::test]
async fn rows_are_listed_with_their_source_until_another_file_takes_their_place() {
    let fixture = Fixture::daily().await;
    assert_eq!(ids(&fixture.get("/api/v1/contracts").await), [""; 0]);
    let text = "contract,name,start,end,value,currency\nC-2,Support,2026-01-01,2026-12-31,1200.5,EUR\nC-1,,,,,\n";
    let first = fixture.settle(contracts("erp", 1, text)).await;
    fixture.settle(contracts("crm", 1, "contract\nC-1\n")).await;
    expect![[r#"
        {
          "items": [
            {
              "contract": "C-1",
              "currency": "",
              "end": null,
              "name": "",
              "publisher": "",
              "source": "crm",
              "start": null,
              "value": null,
              "vendor": ""
            },
            {
              "contract": "C-1",
              "currency": "",
              "end": null,
              "name": "",
              "publisher": "",
              "source": "erp",
              "start": null,
              "value": null,
              "vendor": ""
            },
            {
              "contract": "C-2",
              "currency": "EUR",
              "end": "2026-12-31",
              "name": "Support",
              "publisher": "",
              "source": "erp",
              "start": "2026-01-01",
              "value": "1200.50",
              "vendor": ""
            }
          ],
          "next": null,
          "total": 3,
          "unreadable": []
        }"#]]
    .assert_eq(&fixture.pretty(&fixture.get("/api/v1/contracts").await, &[]));
    let bad = fixture.settle(contracts("erp", 2, "contract,end\nC-9,\nC-8,soon\n")).await;
    let (quarantined, reason) = state(&fixture, &bad).await;
    assert_eq!(quarantined, "quarantined");
    assert!(reason.contains("line 3, column `end`: `soon` is no day"), "{reason}");
    assert_eq!(ids(&fixture.get("/api/v1/contracts?source=ERP").await), ["erp C-1", "erp C-2"]);

    fixture.settle(contracts("erp", 3, "contract\nC-7\n")).await;
    assert_eq!(state(&fixture, &first).await.0, "imported");
    assert_eq!(ids(&fixture.get("/api/v1/contracts").await), ["crm C-1", "erp C-7"]);
    let page = fixture.get("/api/v1/contracts?limit=1&sort=-source").await;
    assert_eq!((ids(&page), &page["total"]), (vec!["erp C-7".to_owned()], &json!(2)));
    let next = page["next"].as_str().unwrap();
    let rest = fixture.get(&format!("/api/v1/contracts?limit=1&sort=-source&after={next}")).await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["crm C-1".to_owned()], &Value::Null));
    let (status, error) = fixture.refused("/api/v1/contracts?filter=contrcat:7").await;
    assert_eq!((status, error["message"].as_str().unwrap().contains("did you mean `contract`?")), (400, true));
    let fixture = fixture.restarted().await;
    assert_eq!(ids(&fixture.get("/api/v1/contracts").await), ["crm C-1", "erp C-7"]);
    fixture.stop().await;
}

#[actix::test]
async fn purchases_are_listed_and_rows_have_the_fields_that_the_document_names() {
    let fixture = Fixture::daily().await;
    let text = "purchase,line,product,quantity,unit_price,currency,contract,expiry\n\
                PO-1,1,Office,25,19.99,EUR,C-1,2027-01-31\nPO-1,2,Server,2,,,,\n";
    fixture.settle(file("erp", "Purchases", 1, text)).await;
    fixture.settle(contracts("erp", 1, "contract\nC-1\n")).await;
    let list = fixture.get("/api/v1/purchases?contract=c-1").await;
    let row = &list["items"][0];
    assert_eq!((&list["total"], &row["quantity"], &row["unit_price"]), (&json!(1), &json!(25), &json!("19.99")));
    let most = fixture.get("/api/v1/purchases?sort=-quantity&filter=product:e").await;
    assert_eq!([&most["items"][0]["line"], &most["items"][1]["line"]], ["1", "2"]);
    let text = "license,line,quantity,expiry,retired\nL-1,1,5,2027-01-31,\nL-1,2,unlimited,,yes\n";
    fixture.settle(file("erp", "Entitlements", 1, text)).await;
    let list = fixture.get("/api/v1/entitlements?sort=-quantity").await;
    let shown = |row: &Value| (row["line"].clone(), row["quantity"].clone(), row["retired"].clone());
    let rows: Vec<_> = list["items"].as_array().unwrap().iter().map(shown).collect();
    assert!(
        rows.contains(&(json!("1"), json!(5), json!(false))) && rows.contains(&(json!("2"), Value::Null, json!(true)))
    );
    let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    for (path, schema) in [("contracts", "Contract"), ("purchases", "Purchase"), ("entitlements", "Entitlement")] {
        let described = &document["components"]["schemas"][schema]["properties"];
        assert_eq!(keys(&fixture.get(&format!("/api/v1/{path}")).await["items"][0]), keys(described));
    }
    fixture.stop().await;
}

/// So many days after the fixture's present.
struct Later(i64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        NOW.plus_ms(self.0 * DAY_MS)
    }
}

#[actix::test]
async fn the_package_of_rows_in_force_is_kept_and_that_of_replaced_ones_goes_after_its_time() {
    let fixture = Fixture::daily().await;
    fixture.settle(contracts("erp", 1, "contract\nC-1\n")).await;
    let second = fixture.settle(contracts("erp", 2, "contract\nC-2\n")).await;
    let held = || fixture.server.api.logs.package_index.totals().0;
    assert_eq!(held(), 2);
    for (days, wanted) in [(29, 2), (31, 1), (400, 1)] {
        sweep(fixture.server.api.logs.clone(), fixture.server.books.clone(), Arc::new(Later(days))).await.unwrap();
        assert_eq!(held(), wanted, "after {days} days");
    }
    assert_eq!(ids(&fixture.get("/api/v1/contracts").await), ["erp C-2"]);
    let fixture = fixture.restarted().await;
    assert_eq!(ids(&fixture.get("/api/v1/contracts").await), ["erp C-2"]);
    let path = format!("/api/v1/packages/{second}/body");
    assert_eq!(fixture.raw(reqwest::Method::GET, &path).await.0, 200);
    fixture.stop().await;
}

#[actix::test]
async fn a_source_whose_package_is_gone_is_named_and_leaves_the_others() {
    let fixture = Fixture::daily().await;
    fixture.settle(contracts("erp", 1, "contract\nC-1\n")).await;
    fixture.settle(contracts("crm", 1, "contract\nC-2\n")).await;
    let logs = &fixture.server.api.logs;
    let gone = logs.package_index.after(None, 1).remove(0).key;
    logs.packages.ask(PackageRequest::Forget(vec![gone])).await.unwrap();
    let list = fixture.get("/api/v1/contracts").await;
    assert_eq!((ids(&list), &list["unreadable"]), (vec!["crm C-2".to_owned()], &json!(["erp"])));
    // Sent again with other bytes it is whole again.
    fixture.settle(contracts("erp", 2, "contract\nC-1\nC-3\n")).await;
    assert_eq!(fixture.get("/api/v1/contracts").await["total"], 3);
    // A file without rows takes its source away.
    fixture.settle(contracts("crm", 2, "contract\n")).await;
    let list = fixture.get("/api/v1/contracts").await;
    assert_eq!((ids(&list), &list["unreadable"]), (vec!["erp C-1".to_owned(), "erp C-3".to_owned()], &json!([])));
    fixture.stop().await;
}
