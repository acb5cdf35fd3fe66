//! `GET /contracts`, `GET /purchases` and `GET /entitlements`: the rows of the business files in force, with the source of each.
//!
//! They are read through for each question. A source whose package cannot be read is named, and leaves the others.

use muster::model::business::{Amount, BusinessKind, BusinessRow};
use muster::model::day::Day;
use serde_json::{Value, json};

use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::server::business_rows::BusinessRows;

const CONTRACTS: Form = Form {
    fields: &["source", "contract", "name", "publisher", "vendor", "start", "end", "currency"],
    parameters: &["source"],
};

const PURCHASES: Form = Form {
    fields: &[
        "source",
        "purchase",
        "line",
        "product",
        "publisher",
        "vendor",
        "quantity",
        "currency",
        "date",
        "contract",
        "effective",
        "expiry",
    ],
    parameters: &["source", "contract"],
};

const ENTITLEMENTS: Form = Form {
    fields: &["source", "license", "line", "quantity", "effective", "expiry", "retired"],
    parameters: &["source"],
};

/// A row and whose it is.
struct Row<'s> {
    source: &'s str,
    row: BusinessRow,
}

fn day(day: Option<Day>) -> Cell<'static> {
    day.map_or(Cell::Null, |day| Cell::text(day.to_string()))
}

impl Fields for Row<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        match (&self.row, field) {
            (_, "source") => Cell::text(self.source),
            (BusinessRow::Contract(row), field) => match field {
                "contract" => Cell::text(&row.contract),
                "name" => Cell::text(&row.name),
                "publisher" => Cell::text(&row.publisher),
                "vendor" => Cell::text(&row.vendor),
                "start" => day(row.start),
                "end" => day(row.end),
                "currency" => Cell::text(&row.currency),
                _ => Cell::Null,
            },
            (BusinessRow::Purchase(row), field) => match field {
                "purchase" => Cell::text(&row.purchase),
                "line" => Cell::text(&row.line),
                "product" => Cell::text(&row.product),
                "publisher" => Cell::text(&row.publisher),
                "vendor" => Cell::text(&row.vendor),
                "quantity" => Cell::count(row.quantity),
                "currency" => Cell::text(&row.currency),
                "date" => day(row.date),
                "contract" => Cell::text(&row.contract),
                "effective" => day(row.effective),
                "expiry" => day(row.expiry),
                _ => Cell::Null,
            },
            (BusinessRow::Entitlement(row), field) => match field {
                "license" => Cell::text(&row.license),
                "line" => Cell::text(&row.line),
                "quantity" => row.quantity.map_or(Cell::Null, Cell::count),
                "effective" => day(row.effective),
                "expiry" => day(row.expiry),
                "retired" => Cell::text(if row.retired { "true" } else { "false" }),
                _ => Cell::Null,
            },
        }
    }
}

pub(super) fn contracts(api: &Api, question: &Question) -> Result<Answer, Problem> {
    list(api, &Asked::of(&question.query, &CONTRACTS)?, BusinessKind::Contracts)
}

pub(super) fn purchases(api: &Api, question: &Question) -> Result<Answer, Problem> {
    list(api, &Asked::of(&question.query, &PURCHASES)?, BusinessKind::Purchases)
}

pub(super) fn entitlements(api: &Api, question: &Question) -> Result<Answer, Problem> {
    list(api, &Asked::of(&question.query, &ENTITLEMENTS)?, BusinessKind::Entitlements)
}

fn list(api: &Api, asked: &Asked, kind: BusinessKind) -> Result<Answer, Problem> {
    let mut window = Window::new(asked);
    let rows = BusinessRows { books: api.books.clone(), packages: api.logs.package_index.clone() };
    // A package that holds no wanted row need not be read.
    let is_wanted = |source: &str| !asked.wholes("source").any(|wanted| wanted != source.to_lowercase());
    let unreadable = rows.each(kind, is_wanted, |source, row| {
        let id = id(source, &row);
        window.offer(&id, Row { source, row }, item);
    })?;
    let mut answer = window.page().json(|item| item);
    answer["unreadable"] = unreadable.into();
    Ok(Answer::Json(answer))
}

/// What no other row of the list has: texts hold no control characters, so a zero parts them.
fn id(source: &str, row: &BusinessRow) -> Vec<u8> {
    let (id, part) = row.id();
    [source, id, part].join("\0").into_bytes()
}

fn item(Row { source, row }: Row<'_>) -> Value {
    let amount = |amount: Option<Amount>| amount.map(|amount| amount.to_string());
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    match row {
        BusinessRow::Contract(row) => json!({
            "source": source,
            "contract": row.contract,
            "name": row.name,
            "publisher": row.publisher,
            "vendor": row.vendor,
            "start": day(row.start),
            "end": day(row.end),
            "value": amount(row.value),
            "currency": row.currency,
        }),
        BusinessRow::Purchase(row) => json!({
            "source": source,
            "purchase": row.purchase,
            "line": row.line,
            "product": row.product,
            "publisher": row.publisher,
            "vendor": row.vendor,
            "quantity": row.quantity,
            "unit_price": amount(row.unit_price),
            "currency": row.currency,
            "date": day(row.date),
            "contract": row.contract,
            "effective": day(row.effective),
            "expiry": day(row.expiry),
        }),
        BusinessRow::Entitlement(row) => json!({
            "source": source,
            "license": row.license,
            "line": row.line,
            "quantity": row.quantity,
            "effective": day(row.effective),
            "expiry": day(row.expiry),
            "retired": row.retired,
        }),
    }
}
