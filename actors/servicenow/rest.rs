//! Requests and replies of the REST resources, apart from the server that carries them.
//!
//! Every scalar is a JSON string and errors have one shape. Source: servicenow reference, section 6.

use actix_web::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::query::Path;
use super::schema::{Kind, OAUTH_TOKENS, TableId, schema};
use super::tables::{Record, Tables};

/// One request that is authenticated and whose body is read.
#[derive(Debug)]
pub struct Request {
    /// After `X-HTTP-Method-Override`.
    pub method: Method,
    /// `v1`, `v2` or nothing.
    pub version: String,
    /// The table.
    pub table: String,
    /// What follows the table in the path: a `sys_id`, or `insertMultiple`.
    pub rest: Option<String>,
    /// `http://host:port` as the client named it.
    pub base: String,
    /// The path.
    pub path: String,
    /// The query as it came.
    pub query: String,
    /// The query's parameters; empty ones count as absent.
    pub params: Vec<(String, String)>,
    /// Whether `X-no-response-body` asks for an answer without a body.
    pub no_response_body: bool,
    /// The body.
    pub body: Vec<u8>,
    /// Who asks.
    pub user: String,
}

impl Request {
    /// A parameter that is there and not empty.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A boolean parameter, in any case; false when absent.
    pub fn flag(&self, name: &str) -> bool {
        self.param(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The body as columns: scalars as text, anything nested as JSON text.
    pub fn columns(&self) -> Result<Vec<(String, String)>, Reply> {
        let body: Value = serde_json::from_slice(&self.body)
            .map_err(|error| Reply::error(400, "Exception while reading request", &error.to_string()))?;
        let Value::Object(body) = body else {
            return Err(Reply::error(400, "Exception while reading request", "the body is not one JSON object"));
        };
        let text = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            Value::Object(mut object) if matches!(object.get("value"), Some(Value::String(_))) => {
                object.remove("value").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
            }
            other => other.to_string(),
        };
        Ok(body.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// The body; `None` for none.
    pub body: Option<Value>,
}

impl Reply {
    /// An answer with a body.
    pub fn json(status: StatusCode, body: Value) -> Reply {
        Reply { status, headers: Vec::new(), body: Some(body) }
    }

    /// The error shape.
    pub fn error(status: u16, message: &str, detail: &str) -> Reply {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Reply::json(status, json!({ "error": { "message": message, "detail": detail }, "status": "failure" }))
    }

    /// 404 of a record.
    pub fn no_record() -> Reply {
        Reply::error(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
    }

    /// 405.
    pub fn no_method() -> Reply {
        Reply::error(405, "Method not supported", "the resource does not take this method")
    }
}

/// A table that may be seen; 400 otherwise.
pub fn visible_table(name: &str) -> Result<TableId, Reply> {
    let name_short: String = name.chars().take(60).collect();
    let unknown = || Reply::error(400, &format!("Invalid table {name_short}"), "the table does not exist");
    schema().table(name).filter(|_| name != OAUTH_TOKENS).ok_or_else(unknown)
}

/// How values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    Raw,
    Shown,
    Both,
}

/// Which columns are shown, and how.
pub struct View {
    display: Display,
    exclude_link: bool,
    fields: Option<Vec<(String, Path)>>,
    base: String,
}

impl View {
    /// What the parameters ask for. Unknown fields are left out.
    pub fn of(request: &Request, table: TableId) -> View {
        let display = match request.param("sysparm_display_value").map(str::to_lowercase).as_deref() {
            Some("true") => Display::Shown,
            Some("all") => Display::Both,
            _ => Display::Raw,
        };
        let path = |name: &str| Path::parse(table, name.trim()).map(|path| (name.trim().to_owned(), path));
        let fields = request.param("sysparm_fields").map(|list| list.split(',').filter_map(path).collect());
        let exclude_link = request.flag("sysparm_exclude_reference_link");
        View { display, exclude_link, fields, base: request.base.clone() }
    }

    /// A record as JSON.
    pub fn record(&self, tables: &Tables, record: &Record) -> Value {
        let mut object = Map::new();
        match &self.fields {
            Some(fields) => {
                for (name, path) in fields {
                    object.insert(name.clone(), self.value(tables, path.kind(), path.value(tables, record)));
                }
            }
            None => {
                for (field, kind) in &schema().of(record.class).columns {
                    let value = self.value(tables, *kind, record.get(*field));
                    object.insert(schema().name(*field).to_owned(), value);
                }
            }
        }
        Value::Object(object)
    }

    fn value(&self, tables: &Tables, kind: Kind, value: &str) -> Value {
        let link = match kind {
            Kind::Reference(target) if !value.is_empty() && !self.exclude_link => {
                Some(format!("{}/api/now/table/{target}/{value}", self.base))
            }
            _ => None,
        };
        match (self.display, link) {
            (Display::Raw, None) => json!(value),
            (Display::Raw, Some(link)) => json!({ "link": link, "value": value }),
            (Display::Shown, None) => json!(tables.display(kind, value)),
            (Display::Shown, Some(link)) => json!({ "display_value": tables.display(kind, value), "link": link }),
            (Display::Both, None) => json!({ "display_value": tables.display(kind, value), "value": value }),
            (Display::Both, Some(link)) => {
                json!({ "display_value": tables.display(kind, value), "value": value, "link": link })
            }
        }
    }
}
