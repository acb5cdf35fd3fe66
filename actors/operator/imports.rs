//! What `muster imports` prints.

use serde_json::Value;

use super::output::{text, time};

/// Columns of `muster imports`.
pub const HEAD: [&str; 10] =
    ["IMPORT", "FINISHED", "RECORDS", "SETS", "CHANGED", "NEW", "BOUND", "MERGED", "MULTI-HITS", "CLONES"];

/// A row of the list.
pub fn row(import: &Value) -> Vec<String> {
    vec![
        text(&import["id"]),
        time(&import["finished"]),
        text(&import["records"]),
        text(&import["sets"]),
        text(&import["changed"]),
        text(&import["created"]),
        text(&import["bound"]),
        text(&import["merged"]),
        text(&import["multi_hits"]["count"]),
        text(&import["clones"]["count"]),
    ]
}
