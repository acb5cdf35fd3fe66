//! The Import Set API: one staged row, transformed at once.
//!
//! Source: servicenow reference, section 6. `insertMultiple` and the staging tables of contracts and applications are
//! not built and are refused.

use actix_web::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::imports::{PENDING, STAGED_COMPUTERS, table};
use super::processor::stage_done;
use super::rest::{Reply, Request, visible_table};
use super::schema::schema;
use super::store::{Store, StoreError};
use super::tables::{Record, SysId};

/// Answers one request.
pub fn answer(store: &mut Store, request: &Request) -> Result<Reply, StoreError> {
    if let Err(reply) = visible_table(&request.table) {
        return Ok(reply);
    }
    if request.table != STAGED_COMPUTERS {
        let text = format!("only {STAGED_COMPUTERS} takes rows in this stand-in");
        return Ok(Reply::error(400, "Invalid staging table", &text));
    }
    match (&request.method, request.rest.as_deref()) {
        (&Method::POST, None) => insert(store, request),
        (&Method::POST, Some("insertMultiple")) => {
            let text = "insertMultiple is not built in this stand-in: post one row at a time";
            Ok(Reply::error(400, "Requested URI does not represent any resource", text))
        }
        (&Method::GET | &Method::HEAD, Some(id)) => {
            let row = id.parse::<SysId>().ok().and_then(|id| store.tables().get(table(STAGED_COMPUTERS), id));
            Ok(row.map_or_else(Reply::no_record, |row| Reply::json(StatusCode::OK, body(store, request, row))))
        }
        _ => Ok(Reply::no_method()),
    }
}

fn insert(store: &mut Store, request: &Request) -> Result<Reply, StoreError> {
    let columns = match request.columns() {
        Ok(columns) => columns,
        Err(reply) => return Ok(reply),
    };
    store.room()?;
    let staging = table(STAGED_COMPUTERS);
    let sys_id = store.edit(&request.user, |edit| {
        let number = edit.next_number("ISET");
        // Nested JSON is stored with `=` for `:`.
        let known = |name: &str| name.starts_with("u_") && schema().column(staging, name).is_some();
        let data = columns.iter().filter(|(name, _)| known(name));
        let data = data.map(|(name, value)| match value.starts_with(['{', '[']) {
            true => (name.as_str(), value.replace(':', "=")),
            false => (name.as_str(), value.clone()),
        });
        let own = [("import_set", number), ("sys_import_state", PENDING.to_owned())];
        let sys_id = edit.insert(STAGED_COMPUTERS, data.chain(own));
        if let Some(row) = edit.tables().get(staging, sys_id).cloned() {
            stage_done(edit, &row);
        }
        sys_id
    })?;
    let Some(row) = store.tables().get(staging, sys_id) else { return Ok(Reply::no_record()) };
    let mut reply = Reply::json(StatusCode::CREATED, body(store, request, row));
    let location = format!("{}/api/now/import/{STAGED_COMPUTERS}/{sys_id}", request.base);
    reply.headers.push(("Location", location));
    Ok(reply)
}

fn body(store: &Store, request: &Request, row: &Record) -> Value {
    let target_table = row.text("sys_target_table");
    let target = row.text("sys_target_sys_id");
    let record = schema().table(target_table).zip(target.parse().ok());
    let record = record.and_then(|(table, id)| store.tables().get(table, id));
    let mut result = json!({
        "transform_map": "Computer",
        "table": target_table,
        "display_name": "name",
        "display_value": record.map(|record| record.text("name")).unwrap_or_default(),
        "status": row.text("sys_import_state"),
        "sys_id": target,
    });
    if record.is_some() {
        result["record_link"] = json!(format!("{}/api/now/table/{target_table}/{target}", request.base));
    }
    match row.text("sys_import_state") {
        "error" => result["error_message"] = json!(row.text("sys_import_state_comment")),
        _ if !row.text("sys_import_state_comment").is_empty() => {
            result["status_message"] = json!(row.text("sys_import_state_comment"));
        }
        _ => {}
    }
    json!({ "import_set": row.text("import_set"), "staging_table": STAGED_COMPUTERS, "result": [result] })
}
