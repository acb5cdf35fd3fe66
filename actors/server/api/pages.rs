//! `GET /`, `/devices/{id}`, `/licenses/{id}`, `/reconciles` and `/reconciles/{id}`: what an operator looks at first. One document each, without scripts; all texts of
//! reports are escaped by the templates.

mod device;
mod home;
mod licence;
mod run;

use std::fmt::Write;

use askama::Template;
use muster::id::TenantId;
use muster::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Timestamp};
use serde_json::Value;

use super::problem::Problem;
use super::{Answer, Api};

pub(super) use device::device;
pub(super) use home::home;
pub(super) use licence::licence;
pub(super) use run::{changes, run, runs};

/// What a browser may do with a page: show it. No script, no image, nothing from elsewhere, no frame around it.
pub(super) const SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Tenants that a page leads to.
const TENANTS_MAX: usize = 100;

fn rendered(page: &impl Template) -> Result<Answer, Problem> {
    let text = page.render().map_err(|error| Problem::internal("page", error.to_string()))?;
    Ok(Answer::Page(text))
}

/// A text, number or nothing of an answer, as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `2025-03-14 03:15:22` of `2025-03-14T03:15:22.000Z`; anything else stays.
fn time(rfc3339: &str) -> String {
    match rfc3339.split_once('T') {
        Some((day, clock)) if clock.len() >= 8 && clock.is_ascii() => format!("{day} {}", &clock[..8]),
        _ => rfc3339.to_owned(),
    }
}

/// Whose page it is; empty where there is only one tenant.
fn page_tenant(api: &Api) -> String {
    let is_one = api.books.tenants.now().count() == 1;
    if is_one { String::new() } else { api.books.tenant.to_string() }
}

/// The tenants that a page leads to; of very many the first.
fn page_tenants(api: &Api) -> Vec<String> {
    let tenants = api.books.tenants.now();
    let others = tenants.iter().map(|(tenant, _)| tenant).filter(|tenant| **tenant != api.books.tenant);
    others.take(TENANTS_MAX).map(TenantId::to_string).collect()
}

fn shown(at: Timestamp) -> String {
    time(&at.to_rfc3339())
}

/// `3 d`, `5 h`, `12 min`, `40 s`: the largest unit that fits.
fn span(ms: i64) -> String {
    match ms.max(0) {
        ms if ms >= 2 * DAY_MS => format!("{} d", ms / DAY_MS),
        ms if ms >= 2 * HOUR_MS => format!("{} h", ms / HOUR_MS),
        ms if ms >= 2 * MINUTE_MS => format!("{} min", ms / MINUTE_MS),
        ms => format!("{} s", ms / SECOND_MS),
    }
}

/// One segment of an address.
fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    out
}

/// Nodes a package passed, in words.
fn hops(hops: &Value) -> Vec<String> {
    let hop = |hop: &Value| {
        let name = if hop["name"].is_null() { &hop["node"] } else { &hop["name"] };
        format!("{} at {}", text(name), time(&text(&hop["received"])))
    };
    hops.as_array().into_iter().flatten().map(hop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_are_short() {
        assert_eq!(time("2025-03-14T03:15:22.000Z"), "2025-03-14 03:15:22");
        assert_eq!((time("Té"), time("2025-03-14T1")), ("Té".to_owned(), "2025-03-14T1".to_owned()));
        let spans = [-5, 59_000, 119_999, 120_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(spans, ["0 s", "59 s", "119 s", "2 min", "2 h", "2 d"]);
    }

    #[test]
    fn a_segment_of_an_address_is_encoded() {
        assert_eq!(segment("a-b_1.~"), "a-b_1.~");
        assert_eq!(segment("é/\"<"), "%C3%A9%2F%22%3C");
    }
}
