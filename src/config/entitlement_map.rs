//! How entitlement documents are read: the file of `muster entitlements --map`.
//!
//! ```toml
//! namespace = ""
//! [names]
//! id = ["@orderId"]
//! [metrics]
//! "seat" = 13
//! ```
//!
//! Every option is shown with its default in `config/imports/entitlements.toml`. What is left out keeps its default.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document, nearest};
use crate::formats::ent::{EntNames, Field, Path, PathError};
use crate::id::shorten;
use crate::model::ent::MetricWords;
use crate::model::licensing::Metric;

/// Bytes of a name, a relation or a word at most.
const TEXT_BYTES_MAX: usize = 200;
/// Elements that are one entitlement at most, and relations.
const TEXTS_MAX: usize = 50;
/// The key of the names of the element that is one entitlement.
const ENTITLEMENT: &str = "entitlement";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    namespace: Option<Spanned<String>>,
    related: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    names: BTreeMap<Spanned<String>, Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    metrics: BTreeMap<Spanned<String>, Spanned<u64>>,
}

/// The map, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntitlementMap {
    /// Where documents say what.
    pub names: EntNames,
    /// What their metrics are.
    pub words: MetricWords,
}

impl Default for EntitlementMap {
    fn default() -> EntitlementMap {
        EntitlementMap { names: EntNames::standard(), words: MetricWords::default() }
    }
}

/// Reads the map of entitlement documents.
pub fn read_entitlement_map(file: &Document<'_>) -> Result<EntitlementMap, ConfigError> {
    let written: MapFile = file.read()?;
    let mut map = EntitlementMap::default();
    if let Some(namespace) = &written.namespace {
        if namespace.get_ref().len() > TEXT_BYTES_MAX {
            return Err(file.error_at(namespace, format!("has more than {TEXT_BYTES_MAX} bytes: write how it begins")));
        }
        map.names.namespace = namespace.get_ref().as_str().into();
    }
    if let Some(related) = &written.related {
        map.names.related = texts(file, related)?;
    }
    for (key, paths) in &written.names {
        if key.get_ref() == ENTITLEMENT {
            map.names.entitlements = texts(file, paths)?;
            let is_odd = |name: &str| name.is_empty() || name.contains([':', '/', '@', ' ']);
            if map.names.entitlements.is_empty() || map.names.entitlements.iter().any(|name| is_odd(name)) {
                return Err(
                    file.error_at(paths, "are names of elements without prefix, one at least: [\"Entitlement\"]")
                );
            }
            continue;
        }
        let Some(field) = Field::ALL.into_iter().find(|field| field.as_str() == key.get_ref()) else {
            let known = || [ENTITLEMENT].into_iter().chain(Field::ALL.map(Field::as_str));
            let problem = match nearest(key.get_ref(), known()) {
                Some(meant) => format!("is nothing that is read, did you mean `{meant}`?"),
                None => format!("is nothing that is read; known: {}", known().collect::<Vec<_>>().join(", ")),
            };
            return Err(file.error_at(key, problem));
        };
        let read = |path: &Spanned<String>| {
            path.get_ref().parse::<Path>().map_err(|error: PathError| file.error_at(path, error.to_string()))
        };
        let read: Vec<Path> = paths.get_ref().iter().map(read).collect::<Result<_, _>>()?;
        map.names.set(field, read).ok_or_else(|| file.error_at(paths, "are too many ways to say one thing"))?;
    }
    for (word, number) in &written.metrics {
        let metric = Metric::new(*number.get_ref()).ok_or_else(|| {
            file.error_at(number, format!("`{}` is no licence type: write a number from 1 to 45", number.get_ref()))
        })?;
        if !word.get_ref().chars().any(char::is_alphanumeric) || word.get_ref().len() > TEXT_BYTES_MAX {
            return Err(file.error_at(word, format!("`{}`: write the word of the document", shorten(word.get_ref()))));
        }
        map.words.set(word.get_ref(), metric);
    }
    Ok(map)
}

/// A list of short texts.
fn texts(file: &Document<'_>, list: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<Box<str>>, ConfigError> {
    if list.get_ref().len() > TEXTS_MAX {
        return Err(file.error_at(list, format!("are more than {TEXTS_MAX}")));
    }
    let text = |text: &Spanned<String>| match text.get_ref() {
        long if long.len() > TEXT_BYTES_MAX => {
            Err(file.error_at(text, format!("has more than {TEXT_BYTES_MAX} bytes")))
        }
        short => Ok(short.as_str().into()),
    };
    list.get_ref().iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EntitlementMap, String> {
        read_entitlement_map(&Document { text, file: "m.toml" }).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_map_shows_the_defaults() {
        let shipped = read(include_str!("../../config/imports/entitlements.toml")).unwrap();
        assert_eq!(shipped, EntitlementMap::default());
        assert_eq!(read(""), Ok(EntitlementMap::default()));
    }

    #[test]
    fn what_the_map_names_is_read_and_the_rest_keeps_its_default() {
        let map = read(
            "namespace = \"\"\nrelated = []\n[names]\nentitlement = [\"Grant\"]\nid = [\"Head/@key\"]\n[metrics]\n\"seat\" = 13\n",
        )
        .unwrap();
        let text = "<Grant name='n'><Head key='k'/></Grant>";
        let document = crate::formats::ent::read_ent(text.as_bytes(), &map.names).unwrap();
        let said = |field| document.entitlements[0].get(field).map(|said| &*said.text);
        assert_eq!((said(Field::Id), said(Field::Name)), (Some("k"), Some("n")));
        assert_eq!(map.words.find("Seats"), Some(Metric::NAMED_USER));
    }

    #[test]
    fn mistakes_are_told_with_line_and_what_is_right() {
        for (text, part) in [
            ("namespaces = \"\"", "m.toml:1: `namespaces`: unknown key, did you mean `namespace`?"),
            ("[names]\nidd = [\"@id\"]", "m.toml:2: `names.idd`: is nothing that is read, did you mean `id`?"),
            ("[names]\nzzzzzz = []", "known: entitlement, id, name"),
            ("[names]\nid = [\n\"@\"]", "m.toml:3"),
            ("[names]\nid = \"@id\"", "m.toml:2"),
            ("[names]\nentitlement = []", "one at least"),
            ("[names]\nentitlement = [\"e:Ent\"]", "without prefix"),
            ("[metrics]\ncore = 46", "m.toml:2: `metrics.core`: `46` is no licence type: write a number from 1 to 45"),
            ("[metrics]\n\" \" = 1", "write the word of the document"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let many = format!("[names]\nid = [{}]", "\"@id\",".repeat(17));
        assert!(read(&many).unwrap_err().contains("too many ways"));
    }
}
