//! `/licensing`: the tables of licences that operators keep: listed, read, imported whole, changed row by row.

use std::collections::BTreeMap;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use muster::model::folder::{Cells, LicenceTable, TableEdit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Sent;
use super::listing::{Asked, Form, Window, take_parameter};
use super::listing::{Cell, Fields};
use super::pairs::Pairs;
use super::problem::{Problem, shorten};
use super::settings::check_address;
use super::{Answer, Api, Question};
use crate::errors::Chain;
use crate::server::licensing::{
    NewTable, SHIPPED_POINTS, TableError, TablesTaken, put_tables, read_table, table_state,
};
use crate::server::server::DevicesChanged;

/// Bytes of a body: a table, in JSON at worst twice its size.
pub(super) const BYTES_MAX: usize = 256 << 20;

impl From<TableError> for Problem {
    fn from(error: TableError) -> Problem {
        let text = Chain(&error).to_string();
        match error {
            error if error.is_of_sender() => Problem::wrong("table", text),
            error if error.is_for_now() => Problem::unavailable("table", text),
            _ => Problem::internal("table", text),
        }
    }
}

fn named(name: &str) -> Result<LicenceTable, Problem> {
    let names = || LicenceTable::ALL.map(LicenceTable::as_str).join(", ");
    name.parse().map_err(|()| Problem::missing(format!("there is no table `{}`: there are {}", shorten(name), names())))
}

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    question.takes_no_parameters()?;
    let item = |table: LicenceTable| -> Result<Value, Problem> {
        let state = table_state(&api.books, table)?;
        Ok(json!({
            "table": table.as_str(),
            "columns": table.form().columns,
            "required": table.form().required,
            "key": table.form().key,
            "rows": state.as_ref().map_or(0, |state| state.rows),
            "bytes": state.as_ref().map_or(0, |state| state.bytes),
            "taken": state.map(|state| state.taken.to_rfc3339()),
        }))
    };
    let items = LicenceTable::ALL.into_iter().map(item).collect::<Result<Vec<Value>, Problem>>()?;
    Ok(Answer::Json(json!({ "total": items.len(), "next": null, "items": items })))
}

/// A row with its line.
struct Row<'r> {
    columns: &'r [&'static str],
    cells: &'r [Box<str>],
}

impl Fields for Row<'_> {
    fn cell(&self, field: &str) -> Cell<'_> {
        let place = self.columns.iter().position(|column| *column == field);
        place.map_or(Cell::Null, |place| Cell::text(&*self.cells[place]))
    }
}

/// The rows of a table; `form=csv`: its file.
pub(super) fn get(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let table = named(&question.id)?;
    let (form, rest) = take_parameter(&question.query, "form")?;
    // What is in force where nobody imported a table is shown, too.
    let shipped = || (table == LicenceTable::PointsRules).then(|| SHIPPED_POINTS.as_bytes().to_vec());
    let text = read_table(&api.books, table)?.or_else(shipped);
    match form {
        Some("csv") => {
            Question { id: String::new(), query: rest }.takes_no_parameters()?;
            let bytes = text.ok_or_else(|| Problem::missing(format!("the table `{table}` has no file yet")))?;
            return Ok(Answer::Bytes { bytes: bytes.into(), name: table.file().into() });
        }
        None | Some("json") => {}
        Some(_) => return Err(Problem::wrong("form", "`form` is json or csv")),
    }
    let asked = Asked::of(&rest, &Form { fields: table.form().columns, parameters: &[] })?;
    let rows = table.rows(text.as_deref().unwrap_or_default()).map_err(TableError::from)?;
    let mut window = Window::new(&asked);
    for (line, cells) in &rows.lines {
        window.offer(&(*line as u64).to_be_bytes(), Row { columns: &rows.columns, cells }, |row| {
            row.columns.iter().zip(row.cells).map(|(column, cell)| (*column, &**cell)).collect::<BTreeMap<_, _>>()
        });
    }
    Ok(Answer::Json(window.page().json(|cells| json!(cells))))
}

async fn put_all(api: &Api, tables: BTreeMap<LicenceTable, NewTable>) -> Result<HttpResponse, Problem> {
    let own = api.clone();
    // Of its own: whoever asked may be gone before the tables are in force, and the server has to hear of them then, too.
    let taken = actix_web::rt::spawn(async move {
        let taken = put_tables(&own.books, &own.files, tables, own.clock.now()).await?;
        if let Some(server) = own.server.get() {
            let _ = server.send(DevicesChanged(own.books.tenant.clone(), taken.state.clone())).await;
        }
        Ok::<_, TableError>(taken)
    });
    let TablesTaken { changes, findings, .. } = taken.await.map_err(|_| TableError::Panicked)??;
    let changes = changes.iter().map(|change| {
        json!({
            "table": change.table.as_str(),
            "rows": change.rows,
            "added": change.added,
            "removed": change.removed,
        })
    });
    Ok(HttpResponse::Ok().json(json!({ "tables": changes.collect::<Vec<Value>>(), "findings": findings })))
}

/// A whole table as CSV.
pub(super) async fn put(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    Sent(body): Sent,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    put_all(&api, BTreeMap::from([(named(&id)?, NewTable::Whole(body.to_vec()))])).await
}

/// Takes a table away.
pub(super) async fn delete(api: Data<Api>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    put_all(&api, BTreeMap::from([(named(&id)?, NewTable::None)])).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    /// CSV by the name of the table, or null to empty it.
    tables: Pairs<Option<String>>,
}

/// Several tables at once, all or none.
pub(super) async fn post(api: Data<Api>, request: HttpRequest, Sent(body): Sent) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let like = r#"the body has to be like {"tables": {"licenses": "license,type\nl1,2\n"}}"#;
    let Tables { tables } =
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("json", format!("{like}: {error}")))?;
    if tables.0.is_empty() {
        return Err(Problem::wrong("table", format!("{like}: it names no table")));
    }
    let mut all = BTreeMap::new();
    for (name, text) in tables.once()? {
        let table = named(&name)?;
        let text = text.map_or(NewTable::None, |text| NewTable::Whole(text.into_bytes()));
        if all.insert(table, text).is_some() {
            return Err(Problem::wrong("table", format!("the table `{table}` stands there twice")));
        }
    }
    put_all(&api, all).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    /// Rows to remove, by any of their cells.
    #[serde(default)]
    remove: Vec<Pairs<Value>>,
    /// Rows to change by their key, or to add.
    #[serde(default)]
    put: Vec<Pairs<Value>>,
}

/// A cell as JSON has it.
fn cells(row: Pairs<Value>) -> Result<Cells, Problem> {
    let cell = |(column, value): (Box<str>, Value)| match value {
        Value::Null => Ok((column.into(), String::new())),
        Value::Bool(is) => Ok((column.into(), if is { "yes" } else { "no" }.to_owned())),
        Value::Number(number) => Ok((column.into(), number.to_string())),
        Value::String(text) if !text.contains(['\n', '\r']) => Ok((column.into(), text)),
        _ => Err(Problem::wrong(
            "cell",
            format!("`{}`: a cell is a text of one line, a number, true, false or null", shorten(&column)),
        )),
    };
    row.once()?.into_iter().map(cell).collect()
}

/// Changes rows of a table.
pub(super) async fn patch(
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    Sent(body): Sent,
) -> Result<HttpResponse, Problem> {
    check_address(&request)?;
    let api = api.of_request(&request)?;
    let table = named(&id)?;
    let like = r#"the body has to be like {"put": [{"license": "l1", "type": 2}], "remove": [{"license": "l0"}]}"#;
    let Rows { remove, put } =
        serde_json::from_slice(&body).map_err(|error| Problem::wrong("json", format!("{like}: {error}")))?;
    if remove.is_empty() && put.is_empty() {
        return Err(Problem::wrong("json", format!("{like}: it names no row")));
    }
    let rows = |rows: Vec<_>| rows.into_iter().map(cells).collect::<Result<Vec<Cells>, Problem>>();
    let edit = TableEdit { remove: rows(remove)?, put: rows(put)? };
    put_all(&api, BTreeMap::from([(table, NewTable::Edited(edit))])).await
}
