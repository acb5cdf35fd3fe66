//! Parameters that several tasks read alike.

use muster::roles::server::is_source_name;

/// One that is true or false; false when it is not given.
pub(super) fn flag(name: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("parameter `{name}` is `{other}`: write true or false")),
    }
}

/// The name of a source.
pub(super) fn source_name(source: String) -> Result<String, String> {
    if is_source_name(&source) {
        return Ok(source);
    }
    Err(format!("source `{source}`: write 1 to 100 letters, digits, `-`, `_`, `.` or blanks, and not `agent`"))
}
