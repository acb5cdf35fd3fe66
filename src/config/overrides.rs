//! Options of a node given in its environment: `MUSTER_<SECTION>_<OPTION>`.
//!
//! ```text
//! [upload]                       MUSTER_UPLOAD_INTERVAL_SECS=30
//! interval_secs = 60
//! ```
//!
//! Which options there are is read from the shipped file of the node, which is complete; so is the kind of value each
//! takes. A value never stands in an error: secrets come by this way too.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::document::{LISTEN_HINT, NO_SOCKET_ADDRESS};
use super::{ConfigError, nearest, parse_toml};
use crate::id::shorten;

/// How names of options begin in the environment.
const PREFIX: &str = "MUSTER_";
/// Bytes of one value at most; the longest are lists of servers.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Reads `text` as [`parse_toml`] does, then as `variables` override it. `shipped` is the complete file of the node.
///
/// A mistake in the file is told with its line, even when a variable hides it. Without a variable of ours it is
/// `parse_toml`.
pub fn parse_with_overrides<T: DeserializeOwned>(
    text: &str,
    file: &str,
    shipped: &Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<T, ConfigError> {
    let mut table: Table = parse_toml(text, file)?;
    let overridden = apply_overrides(&mut table, shipped, variables)?;
    let alone = parse_toml::<T>(text, file);
    if overridden.is_empty() {
        return alone;
    }
    match (T::deserialize(table), alone) {
        (Ok(checked), _) => Ok(checked),
        (Err(_), Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(ConfigError {
            file: overridden.join(", "),
            line: None,
            key: String::new(),
            // The message may quote the value, so only what was expected is repeated.
            problem: match error.message().rsplit_once(", expected ") {
                Some((_, expected)) => format!("not a value of this option, expected {}", expected.trim_end()),
                None if error.message().trim_end() == NO_SOCKET_ADDRESS => LISTEN_HINT.into(),
                None => "not a value of this option".into(),
            },
        }),
    }
}

/// The same with a check of what was read. What the check finds wrong with a value that a variable gave, it says of the
/// variable: the file may be right.
pub fn parse_checked<F: DeserializeOwned, C>(
    text: &str,
    file: &str,
    shipped: &Table,
    variables: impl IntoIterator<Item = (String, String)>,
    check: impl FnOnce(F, &str) -> Result<C, ConfigError>,
) -> Result<C, ConfigError> {
    let ours = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let ours: BTreeMap<String, String> = ours.collect();
    let read = parse_with_overrides(text, file, shipped, ours.clone())?;
    check(read, file).map_err(|error| {
        // `agent.servers[2]` is of the variable that gives the whole list.
        let option = error.key.split('[').next().unwrap_or_default();
        let name = variable_name(option);
        if option.is_empty() || !ours.contains_key(&name) {
            return error;
        }
        ConfigError { file: "environment".into(), line: None, key: name, problem: error.problem }
    })
}

fn variable_name(option: &str) -> String {
    format!("{PREFIX}{}", option.replace(['.', '-'], "_").to_uppercase())
}

/// Sets in `table` what `variables` override, and gives the names of those that did, sorted.
///
/// Names are upper case. A name that belongs to no section of `shipped` is left alone, it may be meant for another node
/// on this host; an unknown option of a known section is an error. The value is read as TOML when that gives the kind of
/// value that stands there (in `table`, else in `shipped`); for an option that holds a text any value is the text
/// itself, for a list of texts it may also be separated by commas. Of two variables of one name the last counts.
pub fn apply_overrides(
    table: &mut Table,
    shipped: &Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<String>, ConfigError> {
    let mut options = Options::default();
    options.collect(shipped, &mut Vec::new());
    let ours = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let ours: BTreeMap<String, String> = ours.collect();
    let mut overridden = Vec::new();
    for (name, text) in ours {
        let wrong = |key: &str, problem: String| {
            Err(ConfigError { file: "environment".into(), line: None, key: key.into(), problem })
        };
        let Some(path) = options.paths.get(&name) else {
            // `MUSTER_UPLOAD_LIMITS_X` belongs to `[upload_limits]` before it does to `[upload]`.
            let of_section = |section: &&String| name.strip_prefix(*section).is_some_and(|rest| rest.starts_with('_'));
            let Some(section) = options.sections.iter().filter(of_section).max_by_key(|section| section.len()) else {
                continue;
            };
            let rest = &name[section.len() + 1..];
            let siblings = options.paths.keys().filter_map(|known| known.strip_prefix(section)?.strip_prefix('_'));
            let advice = match nearest(rest, siblings) {
                Some(meant) => format!("did you mean `{section}_{meant}`?"),
                None => format!("the options are those of `{}`", section[PREFIX.len()..].to_lowercase()),
            };
            return wrong(&shorten(&name), format!("unknown option, {advice}"));
        };
        if text.len() > VALUE_BYTES_MAX {
            return wrong(&name, format!("has {} bytes, at most {VALUE_BYTES_MAX} are read", text.len()));
        }
        let Some(default) = at(shipped, path) else { continue };
        let kind = at(table, path).unwrap_or(default);
        let Some(value) = value_like(kind, &text) else {
            return wrong(&name, format!("`{}` takes {}", path.join("."), article(kind)));
        };
        if !set(table, path, value) {
            return wrong(&name, format!("`{}` is no table in the file", path[..path.len() - 1].join(".")));
        }
        overridden.push(name);
    }
    Ok(overridden)
}

/// The options of a shipped file by the names of their variables.
#[derive(Default)]
struct Options {
    paths: BTreeMap<String, Vec<String>>,
    sections: Vec<String>,
}

impl Options {
    fn collect(&mut self, table: &Table, path: &mut Vec<String>) {
        for (key, value) in table {
            path.push(key.clone());
            let name = variable_name(&path.join("."));
            match value {
                Value::Table(section) => {
                    self.sections.push(name);
                    self.collect(section, path);
                }
                _ => {
                    self.paths.insert(name, path.clone());
                }
            }
            path.pop();
        }
    }
}

fn at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Value> {
    let (last, sections) = path.split_last()?;
    sections.iter().try_fold(table, |table, section| table.get(section)?.as_table())?.get(last)
}

/// Sets the value, making sections that are absent; false when a section is something else.
fn set(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((last, sections)) = path.split_last() else { return false };
    let mut table = table;
    for section in sections {
        match table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => table = inner,
            _ => return false,
        }
    }
    table.insert(last.clone(), value);
    true
}

/// `text` as a value of the same kind as `kind`.
fn value_like(kind: &Value, text: &str) -> Option<Value> {
    let read = read_value(text);
    match (kind, read) {
        (Value::Float(_), Some(Value::Integer(whole))) => Some(Value::Float(whole as f64)),
        (kind, Some(value)) if kind.same_type(&value) => Some(value),
        (Value::String(_), _) => Some(Value::String(text.into())),
        (Value::Array(list), _) if list.iter().all(Value::is_str) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Some(Value::Array(parts.map(|part| Value::String(part.into())).collect()))
        }
        _ => None,
    }
}

/// One TOML value and nothing else: a line break would smuggle in a second key.
fn read_value(text: &str) -> Option<Value> {
    if text.contains(['\n', '\r']) {
        return None;
    }
    let mut table: Table = toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value")
}

fn article(kind: &Value) -> &'static str {
    match kind {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list in square brackets",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Node {
        name: String,
        upload: Upload,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Upload {
        interval_secs: u16,
        #[serde(default)]
        parents: Vec<String>,
        rate: Option<f64>,
        gzip: Option<bool>,
    }

    const SHIPPED: &str = "name = 'a'\n[upload]\ninterval_secs = 60\nparents = []\nrate = 0.5\ngzip = true\n\
                           [upload_limits]\nbytes = 5\nretry.base_ms = 7\n";

    fn shipped() -> Table {
        SHIPPED.parse().unwrap()
    }

    fn with(variables: &[(&str, &str)]) -> Result<Node, String> {
        let text = "name = 'n'\n[upload]\ninterval_secs = 60\n";
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        parse_with_overrides(text, "f.toml", &shipped(), variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_sets_a_value_of_the_kind_that_stands_there() {
        let node = with(&[
            ("PATH", "/bin"),
            ("MUSTER_NAME", "17"),
            ("MUSTER_UPLOAD_INTERVAL_SECS", "30"),
            ("MUSTER_UPLOAD_PARENTS", "http://a, http://b"),
            ("MUSTER_UPLOAD_RATE", "2"),
            ("MUSTER_UPLOAD_GZIP", "false"),
            ("MUSTER_BATCH_SIZE", "not of this node"),
            ("MUSTER_UPLOADS", "x"),
        ]);
        let parents = vec!["http://a".to_owned(), "http://b".into()];
        let upload = Upload { interval_secs: 30, parents, rate: Some(2.0), gzip: Some(false) };
        assert_eq!(node, Ok(Node { name: "17".into(), upload }));
        assert_eq!(with(&[("MUSTER_NAME", "'quoted, x'")]).unwrap().name, "quoted, x");
        assert_eq!(with(&[("MUSTER_NAME", "a\nb = 3")]).unwrap().name, "a\nb = 3");
        assert_eq!(with(&[("MUSTER_UPLOAD_PARENTS", "['c,d']")]).unwrap().upload.parents, ["c,d"]);
    }

    #[test]
    fn an_unknown_option_of_a_known_section_names_the_nearest() {
        let wrong = |name, problem: &str| assert_eq!(with(&[(name, "1")]).unwrap_err(), problem);
        wrong(
            "MUSTER_UPLOAD_INTERVALL_SECS",
            "environment: `MUSTER_UPLOAD_INTERVALL_SECS`: unknown option, did you mean `MUSTER_UPLOAD_INTERVAL_SECS`?",
        );
        wrong(
            "MUSTER_UPLOAD_LIMITS_BYTE",
            "environment: `MUSTER_UPLOAD_LIMITS_BYTE`: unknown option, did you mean `MUSTER_UPLOAD_LIMITS_BYTES`?",
        );
        wrong(
            "MUSTER_UPLOAD_LIMITS_RETRY_BASE",
            "environment: `MUSTER_UPLOAD_LIMITS_RETRY_BASE`: unknown option, did you mean \
             `MUSTER_UPLOAD_LIMITS_RETRY_BASE_MS`?",
        );
        wrong(
            "MUSTER_UPLOAD_COLOUR",
            "environment: `MUSTER_UPLOAD_COLOUR`: unknown option, the options are those of `upload`",
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_and_not_repeated() {
        assert_eq!(
            with(&[("MUSTER_UPLOAD_INTERVAL_SECS", "s3cret")]).unwrap_err(),
            "environment: `MUSTER_UPLOAD_INTERVAL_SECS`: `upload.interval_secs` takes a whole number"
        );
        assert_eq!(
            with(&[("MUSTER_UPLOAD_INTERVAL_SECS", "70000")]).unwrap_err(),
            "MUSTER_UPLOAD_INTERVAL_SECS: not a value of this option, expected u16"
        );
    }

    #[test]
    fn a_key_that_the_file_lacks_may_come_from_the_environment() {
        let read = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            parse_with_overrides::<Node>("name = 'n'\n", "f.toml", &shipped(), variables)
        };
        assert_eq!(read(&[("MUSTER_UPLOAD_INTERVAL_SECS", "5")]).unwrap().upload.interval_secs, 5);
        assert_eq!(read(&[]).unwrap_err().to_string(), "f.toml: `upload`: is missing, add it");
        let mut table: Table = "upload = 3".parse().unwrap();
        let variables = [("MUSTER_UPLOAD_GZIP".to_owned(), "true".to_owned())];
        let error = apply_overrides(&mut table, &shipped(), variables).unwrap_err();
        assert_eq!(error.problem, "`upload` is no table in the file");
    }
}
