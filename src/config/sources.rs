//! `sources.toml`: files of other programs whose computers are imported by themselves.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document};
use crate::id::{TenantId, shorten};
use crate::model::source::is_source_name;

/// The file as it is shipped: every option with its default and reason.
pub const SHIPPED: &str = include_str!("../../config/sources.toml");

/// Sources at most: each is looked at in every import.
const SOURCES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcesFile {
    #[serde(default)]
    source: Vec<SourceTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    name: Spanned<String>,
    file: Spanned<String>,
    map: Option<Spanned<String>>,
    #[serde(default)]
    good_rows: bool,
    tenant: Option<Spanned<String>>,
}

/// A source of computers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name among the sources of its tenant.
    pub name: String,
    /// Whose computers it has.
    pub tenant: TenantId,
    /// The CSV file, by its whole path.
    pub file: PathBuf,
    /// Its column map, by its whole path.
    pub map: Option<PathBuf>,
    /// Whether good rows are taken although others are bad.
    pub good_rows: bool,
}

/// Reads and checks a file; `own` is the tenant of sources that name none.
pub fn read_sources(file: &Document<'_>, own: &TenantId) -> Result<Vec<SourceConfig>, ConfigError> {
    let SourcesFile { source: tables } = file.read()?;
    let mut sources: Vec<SourceConfig> = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.name.get_ref();
        if !is_source_name(name) {
            let problem = "write 1 to 100 letters, digits, `-`, `_`, `.` or blanks, and not `agent`";
            return Err(file.error_at(&table.name, format!("`{}`: {problem}", shorten(name))));
        }
        let tenant = match &table.tenant {
            None => own.clone(),
            Some(tenant) => tenant.get_ref().parse::<TenantId>().map_err(|_| {
                let problem = "is no tenant: 1 to 40 letters, digits, `-` or `_`";
                file.error_at(tenant, format!("`{}` {problem}", shorten(tenant.get_ref())))
            })?,
        };
        if sources.iter().any(|known| known.name == *name && known.tenant == tenant) {
            let problem = format!(
                "`{name}` is twice: a file is the whole of its source, so the second one would replace the first"
            );
            return Err(file.error_at(&table.name, problem));
        }
        if sources.len() == SOURCES_MAX {
            return Err(file.error_at(&table.name, format!("is one more than {SOURCES_MAX} sources")));
        }
        let path = |text: &Spanned<String>| match Path::new(text.get_ref()).is_absolute() {
            true => Ok(PathBuf::from(text.get_ref())),
            false => Err(file.error_at(text, format!("`{}`: write the whole path, from /", shorten(text.get_ref())))),
        };
        sources.push(SourceConfig {
            name: name.clone(),
            tenant,
            file: path(&table.file)?,
            map: table.map.as_ref().map(path).transpose()?,
            good_rows: table.good_rows,
        });
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<SourceConfig>, String> {
        read_sources(&Document { text, file: "s.toml" }, &TenantId::default_tenant()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_names_no_source_and_its_example_is_one() {
        assert_eq!(read(SHIPPED), Ok(Vec::new()));
        let example: String =
            SHIPPED.lines().filter_map(|line| line.strip_prefix("#: ")).map(|line| format!("{line}\n")).collect();
        let [source] = &read(&example).unwrap()[..] else { panic!("{example}") };
        assert_eq!((&*source.name, source.good_rows), ("cmdb", false));
        assert_eq!(source.map.as_deref(), Some(Path::new("/etc/muster/imports/computers.toml")));
        assert_eq!(source.tenant, TenantId::default_tenant());
    }

    #[test]
    fn two_tenants_may_have_sources_of_one_name() {
        let text =
            "[[source]]\nname = \"a\"\nfile = \"/a\"\n[[source]]\nname = \"a\"\nfile = \"/b\"\ntenant = \"T1\"\n";
        assert_eq!(read(text).unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_told_with_line_and_what_is_right() {
        let one = "[[source]]\nname = \"a\"\nfile = \"/a\"\n";
        for (text, part) in [
            (one.replace("\"a\"", "\"agent\""), "s.toml:2: `source[1].name`: `agent`: write 1 to 100 letters"),
            (one.replace("/a", "a.csv"), "s.toml:3: `source[1].file`: `a.csv`: write the whole path, from /"),
            (format!("{one}map = \"m\"\n"), "s.toml:4: `source[1].map`: `m`: write the whole path"),
            (one.replace("file", "fiel"), "did you mean `file`?"),
            (one.replace("source", "sources"), "did you mean `source`?"),
            (format!("{one}{one}"), "s.toml:5: `source[2].name`: `a` is twice"),
            (format!("{one}tenant = \"a b\"\n"), "`a b` is no tenant"),
            ("[[source]]\nname = \"a\"\n".into(), "`source[1].file`: is missing, add it"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
