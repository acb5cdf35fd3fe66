//! The Table API: lists with encoded queries and paging, single records, changes.
//!
//! Source: servicenow reference, sections 6 and 7.

use actix_web::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::imports::{self, RUNS, TRANSACTIONS, is_open};
use super::query::Query;
use super::rest::{Reply, Request, View, visible_table};
use super::schema::{TableId, schema};
use super::store::{Store, StoreError};
use super::tables::{Record, SysId};

/// Rows of a page when none are asked for, and the most. Source: Table API, `sysparm_limit`.
const LIMIT: usize = 10_000;
/// A page ends here even when more rows were asked for; its `Link` leads on. [P]
const PAGE_BYTES: usize = 16 << 20;
/// Columns that only the program sets.
const OWN_COLUMNS: [&str; 7] = [
    "sys_id",
    "sys_created_on",
    "sys_created_by",
    "sys_updated_on",
    "sys_updated_by",
    "sys_mod_count",
    "sys_class_name",
];

/// Answers one request.
pub fn answer(store: &mut Store, request: &Request) -> Result<Reply, StoreError> {
    let table = match visible_table(&request.table) {
        Ok(table) => table,
        Err(reply) => return Ok(reply),
    };
    let Some(id) = &request.rest else {
        return match request.method {
            Method::GET | Method::HEAD => Ok(list(store, request, table)),
            Method::POST => insert(store, request, table),
            _ => Ok(Reply::no_method()),
        };
    };
    let Some(record) = id.parse().ok().and_then(|id| store.tables().get(table, id)) else {
        return Ok(Reply::no_record());
    };
    let sys_id = record.sys_id;
    match request.method {
        Method::GET | Method::HEAD => Ok(shown(store, request, table, sys_id, StatusCode::OK)),
        Method::PUT | Method::PATCH => update(store, request, table, sys_id),
        Method::DELETE => match refusal(&request.table, true) {
            Some(reply) => Ok(reply),
            None => {
                store.edit(&request.user, |edit| edit.delete(table, sys_id))?;
                Ok(Reply { status: StatusCode::NO_CONTENT, headers: Vec::new(), body: None })
            }
        },
        _ => Ok(Reply::no_method()),
    }
}

fn list(store: &Store, request: &Request, table: TableId) -> Reply {
    let tables = store.tables();
    let offset = match request.param("sysparm_offset").map(str::parse::<i64>) {
        Some(Ok(offset)) if offset < 0 => return Reply::error(400, "Invalid offset", "sysparm_offset is negative"),
        Some(Ok(offset)) => usize::try_from(offset).unwrap_or(usize::MAX),
        _ => 0,
    };
    let limit = request.param("sysparm_limit").and_then(|limit| limit.parse().ok()).unwrap_or(LIMIT).min(LIMIT);
    let query = match request.param("sysparm_query") {
        Some(text) => Query::parse(table, text),
        None => {
            let filters = request.params.iter().filter(|(name, _)| !name.starts_with("sysparm_"));
            Query::equal(table, filters.map(|(name, value)| (name.as_str(), value.as_str())))
        }
    };
    let everything = query.is_everything();
    let mut found: Vec<&Record> =
        tables.all(table).filter(|record| everything || query.matches(tables, record)).collect();
    if query.is_ordered() {
        found.sort_by(|left, right| query.compare(tables, left, right));
    }
    if found.is_empty() && request.version == "v1" {
        return Reply::no_record();
    }
    let view = View::of(request, table);
    let mut bytes = 0;
    let mut page: Vec<Value> = Vec::new();
    for record in found.iter().skip(offset).take(limit) {
        if bytes > PAGE_BYTES {
            break;
        }
        bytes += 500 + record.values().map(|(_, value)| value.len()).sum::<usize>();
        page.push(view.record(tables, record));
    }
    let mut headers = Vec::new();
    if !request.flag("sysparm_no_count") {
        headers.push(("X-Total-Count", found.len().to_string()));
    }
    if !request.flag("sysparm_suppress_pagination_header") && limit > 0 {
        headers.push(("Link", links(request, offset, limit, page.len(), found.len())));
    }
    Reply { status: StatusCode::OK, headers, body: Some(json!({ "result": page })) }
}

fn links(request: &Request, offset: usize, limit: usize, shown: usize, total: usize) -> String {
    let kept = request.query.split('&').filter(|part| !part.is_empty() && !part.starts_with("sysparm_offset="));
    let kept: String = kept.map(|part| format!("{part}&")).collect();
    let link = |rel: &str, offset: usize| {
        format!("<{}{}?{kept}sysparm_offset={offset}>;rel=\"{rel}\"", request.base, request.path)
    };
    let mut links = vec![link("first", 0)];
    if offset > 0 {
        links.push(link("prev", offset.min(total).saturating_sub(limit)));
    }
    if offset.saturating_add(shown) < total && shown > 0 {
        links.push(link("next", offset + shown));
    }
    links.push(link("last", total.saturating_sub(1) / limit * limit));
    links.join(",")
}

fn shown(store: &Store, request: &Request, table: TableId, sys_id: SysId, status: StatusCode) -> Reply {
    let Some(record) = store.tables().get(table, sys_id) else { return Reply::no_record() };
    let value = View::of(request, table).record(store.tables(), record);
    let mut reply = Reply::json(status, json!({ "result": value }));
    if status == StatusCode::CREATED {
        let class = schema().of(record.class).name;
        reply.headers.push(("Location", format!("{}/api/now/table/{class}/{sys_id}", request.base)));
        if request.no_response_body {
            reply.body = None;
        }
    }
    reply
}

/// Tables that the program alone writes.
fn refusal(table: &str, deletes: bool) -> Option<Reply> {
    let why = match table {
        "sys_dictionary" => "the dictionary follows from the program",
        RUNS if !deletes => return None,
        RUNS | TRANSACTIONS => "import runs and transactions are written by the integration endpoint",
        name if name.ends_with("_import") || name == "x_muster_import_row" => {
            "staging tables are written through /api/now/import"
        }
        _ => return None,
    };
    Some(Reply::error(403, "Operation Failed", why))
}

fn writable(columns: Vec<(String, String)>, table: TableId) -> Vec<(String, String)> {
    let fits = |name: &str| !OWN_COLUMNS.contains(&name) && schema().column(table, name).is_some();
    columns.into_iter().filter(|(name, _)| fits(name)).collect()
}

fn insert(store: &mut Store, request: &Request, table: TableId) -> Result<Reply, StoreError> {
    if let Some(reply) = refusal(&request.table, request.table == RUNS) {
        return Ok(reply);
    }
    let columns = match request.columns() {
        Ok(columns) => writable(columns, table),
        Err(reply) => return Ok(reply),
    };
    store.room()?;
    let sys_id = store.edit(&request.user, |edit| {
        let mut set: Vec<(&str, String)> = columns.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        if request.table == "incident" && !columns.iter().any(|(name, value)| name == "number" && !value.is_empty()) {
            set.push(("number", edit.next_number("INC")));
        }
        edit.insert(&request.table, set)
    })?;
    Ok(shown(store, request, table, sys_id, StatusCode::CREATED))
}

fn update(store: &mut Store, request: &Request, table: TableId, sys_id: SysId) -> Result<Reply, StoreError> {
    if let Some(reply) = refusal(&request.table, false) {
        return Ok(reply);
    }
    let columns = match request.columns() {
        Ok(columns) => writable(columns, table),
        Err(reply) => return Ok(reply),
    };
    if request.table == RUNS {
        // The one change an operator makes to a run: to give it up. Nothing leaves Succeeded or Failed.
        let open = store.tables().get(table, sys_id).is_some_and(is_open);
        let message = columns.iter().find(|(name, _)| name == "message").map(|(_, message)| message.as_str());
        if !open || !columns.iter().any(|(name, state)| name == "state" && state == "Failed") {
            let text = "an open run can be set to Failed, and nothing else of a run can be changed";
            return Ok(Reply::error(403, "Operation Failed", text));
        }
        store.edit(&request.user, |edit| imports::close(edit, sys_id, message.unwrap_or("closed by an operator")))?;
    } else {
        store.edit(&request.user, |edit| {
            edit.update(table, sys_id, columns.iter().map(|(name, value)| (name.as_str(), value.clone())))
        })?;
    }
    Ok(shown(store, request, table, sys_id, StatusCode::OK))
}
