//! `GET /contracts`, `GET /purchases` and `GET /entitlements`: the rows of the business files in force, with the source of each.
//!
//! The rows stand in the packages that the facts name, and are read through for each question: memory is that of one
//! package and one page, whatever the sources are. A source whose package cannot be read is named, and leaves the others.

use std::io::BufReader;

use muster::formats::gzip::Inflate;
use muster::id::Digest;
use muster::model::business::{
    Amount, BusinessFile, BusinessKey, BusinessKind, BusinessReader, BusinessRow, SOURCES_MAX, Spelling,
};
use muster::model::day::Day;
use muster::model::fact::{FactKey, FactKind};
use serde_json::{Value, json};
use tracing::error;

use super::listing::{Asked, Cell, Fields, Form, Window};
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::fleet::Fleet;

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
    let (mut window, mut unreadable) = (Window::new(asked), Vec::new());
    for (source, file) in in_force(api, kind)? {
        // A package that holds no wanted row need not be read.
        if asked.wholes("source").any(|wanted| wanted != source.to_lowercase()) {
            continue;
        }
        let rows = rows(api, &file).and_then(|mut reader| {
            while let Some(row) = reader.next_row().map_err(|error| Chain(&error).to_string())? {
                let row = row.map_err(|error| error.to_string())?;
                let id = id(&source, &row);
                window.offer(&id, Row { source: &source, row }, item);
            }
            Ok(())
        });
        if let Err(error) = rows {
            error!(%source, %kind, package = %file.package.digest, error, "the business file in force cannot be read");
            unreadable.push(source);
        }
    }
    let mut answer = window.page().json(|item| item);
    answer["unreadable"] = unreadable.into();
    Ok(Answer::Json(answer))
}

/// The files in force of a kind, ascending by source.
fn in_force(api: &Api, kind: BusinessKind) -> Result<Vec<(String, BusinessFile)>, Problem> {
    let tenant = &api.books.tenant;
    let mut files = Vec::new();
    for (encoded, _) in api.books.facts.keys(&FactKind::Business.prefix(Some(tenant)), None, SOURCES_MAX as usize) {
        let Some(FactKey::Business(_, key @ BusinessKey { .. })) = FactKey::decode(&encoded) else { continue };
        if key.kind == kind {
            let source = key.source.to_string();
            let file = Fleet::of(&api.books).fact(&FactKey::Business(tenant.clone(), key))?;
            files.extend(file.map(|file| (source, file)));
        }
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files)
}

type Rows = BusinessReader<BufReader<Inflate<std::io::Cursor<bytes::Bytes>>>>;

/// The rows of a file, checked against its digest once more. Error: why there are none.
fn rows(api: &Api, file: &BusinessFile) -> Result<Rows, String> {
    let packages = &api.logs.package_index;
    let held = packages.find(&file.package.encode(&api.books.tenant)).ok_or("its package is not held here")?;
    let record = match packages.read(held.handle) {
        Some(Ok(record)) => record,
        Some(Err(error)) => return Err(Chain(&error).to_string()),
        None => return Err("its package is not held here".into()),
    };
    if Digest::of(&record.body) != file.package.digest {
        return Err("its bytes are not the ones that were received".into());
    }
    let bytes = BufReader::new(Inflate::new(std::io::Cursor::new(record.body)));
    BusinessReader::open(bytes, None, Spelling::canonical()).map_err(|error| Chain(&error).to_string())
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
