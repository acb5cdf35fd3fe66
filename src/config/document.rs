//! A TOML text and its errors: file, line, key, and what to do.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest;
use crate::id::shorten;

/// Bytes of a file at most; the largest are libraries, at about 100 bytes a rule.
pub const DOCUMENT_BYTES_MAX: usize = 32 << 20;
/// Deeper keys are not named in errors.
const DEPTH_MAX: usize = 64;
/// What serde says of a text that is no address to listen on.
pub(super) const NO_SOCKET_ADDRESS: &str = "invalid socket address syntax";
pub(super) const LISTEN_HINT: &str = "is no address to listen on, write an address such as 127.0.0.1:7080";
/// Roles of nodes; the file of each has a section of this name.
const ROLES: [&str; 3] = ["agent", "beacon", "server"];
/// Known keys that an error lists at most.
const LISTED_MAX: usize = 24;

/// What is wrong with a file that somebody wrote: `beacon.toml:12: upload.intervall_secs: unknown key, did you mean
/// interval_secs?`, with backticks around the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as the caller names it.
    pub file: String,
    /// Line, counted from 1; `None` when no line is to blame.
    pub line: Option<usize>,
    /// Dotted path of the key, with places in lists (`licence[2].metric`, counted from 1); empty when no key is to
    /// blame.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": `{}`", self.key)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Reads `text`, which `file` names in errors. `T` should refuse unknown fields; of an unknown one the error names the
/// nearest known.
pub fn parse_toml<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    Document { text, file }.read()
}

/// A text and the name of its file: turns places in the text into errors.
///
/// A checked type that is made after reading points at the text with [`toml::Spanned`] fields.
#[derive(Clone, Copy, Debug)]
pub struct Document<'t> {
    /// The TOML text.
    pub text: &'t str,
    /// How errors name it.
    pub file: &'t str,
}

impl Document<'_> {
    /// Reads the text as a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        if self.text.len() > DOCUMENT_BYTES_MAX {
            let problem = format!("has {} bytes, at most {DOCUMENT_BYTES_MAX} are read", self.text.len());
            return Err(self.error(None, problem));
        }
        toml::from_str(self.text).map_err(|error| self.explain(error.message(), error.span()))
    }

    /// The error at a place in the text; `None`: of the file as a whole.
    pub fn error(&self, span: Option<Range<usize>>, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.into(),
            line: span.as_ref().map(|span| self.line(span)),
            key: span.map(|span| self.key_at(span.start)).unwrap_or_default(),
            problem: problem.into(),
        }
    }

    /// The line on which `span` begins, counted from 1.
    pub fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    /// The error at a value that was read.
    pub fn error_at<T>(&self, value: &Spanned<T>, problem: impl Into<String>) -> ConfigError {
        self.error(Some(value.span()), problem)
    }

    /// What the TOML reader or serde says, in our words.
    fn explain(&self, message: &str, span: Option<Range<usize>>) -> ConfigError {
        let mut error = self.error(span.clone(), "");
        if let Some((key, known)) = unknown(message, "unknown field `") {
            if let Some(role) = self.other_role(&known) {
                let article = if role == "agent" { "an" } else { "a" };
                error.problem = format!("this looks like {article} {role}'s file, start it with `muster {role}`");
                return error;
            }
            if last_part(&error.key) != key {
                push_key(&mut error.key, key);
            }
            error.problem = match nearest(key, known.iter().copied()) {
                Some(meant) => format!("unknown key, did you mean `{meant}`?"),
                None => format!("unknown key, {}", listed("no key is known here", &known)),
            };
        } else if let Some((word, known)) = unknown(message, "unknown variant `") {
            let meant = nearest(word, known.iter().copied()).map(|meant| format!(", did you mean `{meant}`?"));
            error.problem = meant.unwrap_or_else(|| format!(", {}", listed("nothing is known here", &known)));
            error.problem.insert_str(0, &format!("`{}` is not known here", shorten(word)));
        } else if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            error.key = span.map(|span| self.table_at(&span)).unwrap_or_default();
            if error.key.is_empty() {
                // The whole text lacks it, not its first line.
                error.line = None;
            }
            push_key(&mut error.key, key);
            error.problem = "is missing, add it".into();
        } else if let Some((found, expected)) = mistaken(message) {
            error.problem = format!("expected {}, found {found}", plain_words(expected));
        } else if message.trim_end() == NO_SOCKET_ADDRESS {
            error.problem = LISTEN_HINT.into();
        } else {
            error.problem = message.trim_end().into();
            if error.key.is_empty() && message == "duplicate key" {
                // The second one is in no table, so it is not found there.
                error.key = shorten(span.and_then(|span| self.text.get(span)).unwrap_or_default());
                error.problem = "stands here a second time, remove one".into();
            }
        }
        error
    }

    /// The role whose section the text has, when that is not one of the `known` sections and none of those is there.
    fn other_role(&self, known: &[&str]) -> Option<&'static str> {
        let (table, _) = DeTable::parse_recoverable(self.text);
        let has = |role: &str| table.get_ref().keys().any(|key| key.get_ref() == role);
        let (own, others): (Vec<&str>, Vec<&str>) = ROLES.iter().partition(|role| known.contains(role));
        if own.is_empty() || own.into_iter().any(has) {
            return None;
        }
        others.into_iter().find(|role| has(role))
    }

    /// Dotted path of the innermost key or value that stands around `offset`; empty when there is none.
    fn key_at(&self, offset: usize) -> String {
        self.find(&|span, _| span.contains(&offset) || span.start == offset)
    }

    /// Dotted path of the table with this span; empty when that is the whole text.
    fn table_at(&self, table: &Range<usize>) -> String {
        self.find(&|span, is_table| is_table && span == table)
    }

    /// Dotted path of the key or value with the shortest span that `fits`, when told whether it is a table's.
    fn find(&self, fits: &dyn Fn(&Range<usize>, bool) -> bool) -> String {
        let (table, _) = DeTable::parse_recoverable(self.text);
        let mut search = Search { fits, shortest: usize::MAX, path: String::new() };
        search.in_table(table.get_ref(), "", 0);
        search.path
    }
}

struct Search<'f> {
    fits: &'f dyn Fn(&Range<usize>, bool) -> bool,
    shortest: usize,
    path: String,
}

impl Search<'_> {
    /// Looks at everything below `table`: the span of a `[table]` is its header alone.
    fn in_table(&mut self, table: &DeTable<'_>, path: &str, depth: usize) {
        for (key, value) in table {
            let mut path = path.to_owned();
            push_key(&mut path, key.get_ref());
            self.look_at(&key.span(), false, &path);
            self.look_at(&value.span(), value.get_ref().is_table(), &path);
            self.in_value(value.get_ref(), &path, depth + 1);
        }
    }

    fn in_value(&mut self, value: &DeValue<'_>, path: &str, depth: usize) {
        match value {
            DeValue::Table(table) if depth <= DEPTH_MAX => self.in_table(table, path, depth),
            DeValue::Array(list) if depth <= DEPTH_MAX => {
                for (place, item) in list.iter().enumerate() {
                    let path = format!("{path}[{}]", place + 1);
                    self.look_at(&item.span(), item.get_ref().is_table(), &path);
                    self.in_value(item.get_ref(), &path, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn look_at(&mut self, span: &Range<usize>, is_table: bool, path: &str) {
        if span.len() < self.shortest && (self.fits)(span, is_table) {
            (self.shortest, self.path) = (span.len(), path.to_owned());
        }
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(&shorten(key));
}

fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Of serde's ``unknown field `x`, expected one of `a`, `b` ``: x, and the known ones.
fn unknown<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let rest = message.strip_prefix(start)?;
    let (word, known) = rest.split_once("`, expected ").or_else(|| rest.split_once("`, there are no "))?;
    Some((word, known.split('`').skip(1).step_by(2).collect()))
}

fn listed(none: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return none.into();
    }
    let names: Vec<String> = known.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    let more = if known.len() > LISTED_MAX { ", ..." } else { "" };
    format!("known here: {}{more}", names.join(", "))
}

/// Of serde's `invalid type: string "x", expected u64`: what was found and what was expected.
fn mistaken(message: &str) -> Option<(&str, &str)> {
    let rest =
        ["invalid type: ", "invalid value: ", "invalid length: "].iter().find_map(|s| message.strip_prefix(s))?;
    // From the end: what was found is quoted from the file and may say ", expected ".
    rest.trim_end().rsplit_once(", expected ")
}

/// Rust's name of a type as a person would call it.
fn plain_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list in square brackets",
        "a map" => "a table",
        other if other.starts_with("a nonzero ") => "a whole number above 0",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only errors are looked at")]
    struct File {
        listen: String,
        #[serde(default)]
        upload: Upload,
        #[serde(default)]
        parents: Vec<Parent>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code, reason = "only errors are looked at")]
    struct Upload {
        interval_secs: u16,
        gzip: bool,
        mode: Option<Mode>,
        retry: Retry,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code, reason = "only errors are looked at")]
    struct Retry {
        base_ms: i64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        Direct,
        Relayed,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only errors are looked at")]
    struct Parent {
        url: String,
        #[serde(default)]
        weight: u8,
    }

    fn check(text: &str, error: &str) {
        let found = parse_toml::<File>(text, "beacon.toml").unwrap_err().to_string();
        assert_eq!(found, error, "{text}");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
        check("lisen = 'a'", "beacon.toml:1: `lisen`: unknown key, did you mean `listen`?");
        check(
            "listen = 'a'\n\n[upload]\ninterval = 3",
            "beacon.toml:4: `upload.interval`: unknown key, did you mean `interval_secs`?",
        );
        check(
            "listen = 'a'\n\n[upload]\ncolour = 3",
            "beacon.toml:4: `upload.colour`: unknown key, known here: `interval_secs`, `gzip`, `mode`, `retry`",
        );
        check(
            "listen = 'a'\n[upload]\nintervall_secs = 3",
            "beacon.toml:3: `upload.intervall_secs`: unknown key, did you mean `interval_secs`?",
        );
        check(
            "listen = 'a'\nupload.retry.base = 3",
            "beacon.toml:2: `upload.retry.base`: unknown key, did you mean `base_ms`?",
        );
        check("listen = 'a'\n[uplod]\n", "beacon.toml:2: `uplod`: unknown key, did you mean `upload`?");
        check(
            "listen = 'a'\n[[parents]]\nurl = 'x'\n[[parents]]\nurl = 'y'\nwheight = 3\n",
            "beacon.toml:6: `parents[2].wheight`: unknown key, did you mean `weight`?",
        );
    }

    #[test]
    fn a_wrong_value_says_what_is_expected_in_plain_words() {
        check(
            "listen = 'a'\n[upload]\ninterval_secs = '30s'",
            "beacon.toml:3: `upload.interval_secs`: expected a whole number from 0 to 65535, found string \"30s\"",
        );
        check(
            "listen = 'a'\n[upload]\ninterval_secs = 70000",
            "beacon.toml:3: `upload.interval_secs`: expected a whole number from 0 to 65535, found integer `70000`",
        );
        check(
            "listen = 'a'\nupload = { gzip = 'yes, expected u8' }",
            "beacon.toml:2: `upload.gzip`: expected true or false, found string \"yes, expected u8\"",
        );
        check(
            "listen = 'a'\nupload.mode = 'relaid'",
            "beacon.toml:2: `upload.mode`: `relaid` is not known here, did you mean `relayed`?",
        );
        check(
            "listen = 'a'\nparents = 'x'",
            "beacon.toml:2: `parents`: expected a list in square brackets, found string \"x\"",
        );
    }

    #[test]
    fn a_missing_key_is_named_where_it_belongs() {
        check("", "beacon.toml: `listen`: is missing, add it");
        check("\n[upload]\ngzip = true\n", "beacon.toml: `listen`: is missing, add it");
        check(
            "listen = 'a'\n[[parents]]\nurl = 'x'\n[[parents]]\nweight = 3\n",
            "beacon.toml:4: `parents[2].url`: is missing, add it",
        );
        check("listen = 'a'\nparents = [{ weight = 3 }]", "beacon.toml:2: `parents[1].url`: is missing, add it");
    }

    #[test]
    fn a_text_that_is_no_toml_says_where_it_stops_being_one() {
        let error = parse_toml::<File>("listen = 'a'\nparents = [\n", "beacon.toml").unwrap_err();
        assert_eq!(error.line, Some(2), "{error}");
        let error = parse_toml::<File>("listen = 'a'\nlisten = 'b'\n", "beacon.toml").unwrap_err();
        assert_eq!(
            (error.line, error.key.as_str(), error.problem.as_str()),
            (Some(2), "listen", "stands here a second time, remove one")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), toml in "[a-c.='\"\\[\\]{}\n0-9 ]{0,60}") {
            let _ = parse_toml::<File>(&text, "x");
            let _ = parse_toml::<File>(&toml, "x");
        }
    }
}
