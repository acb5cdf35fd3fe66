//! Parameters that several tasks read alike, and the look at all of a task's before it is taken.

use std::path::{Path, PathBuf};

use muster::id::Digest;
use muster::model::task::{Parameters, TaskType};
use muster::roles::batch::NewTask;
use muster::roles::server::is_source_name;

use super::business_import::BusinessImport;
use super::directory::DirectoryImport;
use super::sources::SourceImport;

/// Refuses a task whose parameters cannot be right whatever the server finds when it runs: one is missing, or says nothing
/// that the task understands. Whether files are there is for the run to see, which may be put off.
pub fn check_parameters(task: &NewTask) -> Result<(), String> {
    let NewTask { task, parameters, .. } = task;
    let value = |name: &str| parameters.get(name).map(str::to_owned);
    match task {
        TaskType::InventoryImport | TaskType::InventoryImportWriters => full(parameters).map(|_| ()),
        TaskType::InventoryImportSpreadsheet => SourceImport::of(value).map(|_| ()),
        TaskType::ActiveDirectoryImport => DirectoryImport::of(value).map(|_| ()),
        TaskType::BusinessAdapterImport => BusinessImport::of(value).map(|_| ()),
        TaskType::RecognitionLibraryImport => LibraryImport::of(value).map(|_| ()),
        TaskType::InventoryIntake
        | TaskType::InventoryImportReaders
        | TaskType::LicenseReconcile
        | TaskType::DataWarehouseUpdate
        | TaskType::ServiceNowExport
        | TaskType::ActivityHistoryPurge
        | TaskType::SpoolMaintenance => Ok(()),
    }
}

/// Whether everything that is staged is imported anew.
pub(super) fn full(parameters: &Parameters) -> Result<bool, String> {
    flag("full", parameters.get("full"))
}

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
    let names = "1 to 100 letters, digits, `-`, `_`, `.` or blanks, and not `agent`";
    Err(format!("parameter `source` is `{source}`: write {names}"))
}

/// A file of the server, which only its whole path names: a task runs in no folder.
pub(super) fn whole_path(name: &str, value: String) -> Result<PathBuf, String> {
    match Path::new(&value).is_absolute() {
        true => Ok(value.into()),
        false => Err(format!("parameter `{name}` is `{value}`: write the whole path, from /")),
    }
}

/// A library of recognition rules that is to be imported.
#[derive(Clone, Debug)]
pub(super) struct LibraryImport {
    /// Where it is, unless it lies where libraries come in.
    pub file: Option<PathBuf>,
    /// What its bytes are, unless that stands beside it.
    pub digest: Option<Digest>,
}

impl LibraryImport {
    /// Reads the parameters of a task.
    pub fn of(parameter: impl Fn(&str) -> Option<String>) -> Result<LibraryImport, String> {
        let file = parameter("file").map(|file| whole_path("file", file)).transpose()?;
        let digest = parameter("sha256").map(|text| {
            let wrong =
                || format!("parameter `sha256` is `{text}`: write the 64 hexadecimal digits that `sha256sum` prints");
            text.parse().map_err(|_| wrong())
        });
        Ok(LibraryImport { file, digest: digest.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster::model::task::{TaskOrigin, TaskScope};

    #[test]
    fn wrong_values_are_named_with_what_to_write_and_right_ones_are_taken() {
        let check = |task: TaskType, parameters: &[&str]| {
            let parameters = Parameters::parse(parameters.iter().copied()).unwrap();
            let (scope, origin) = (TaskScope::System, TaskOrigin::Api);
            check_parameters(&NewTask { task, scope, parameters, not_before: None, origin, login: None })
        };
        let digest = format!("sha256={}", Digest::of(b"x"));
        for (task, parameters) in [
            (TaskType::InventoryImport, &["full=true", "n=1"][..]),
            (TaskType::InventoryImportWriters, &["full=false"]),
            (TaskType::InventoryImportSpreadsheet, &["file=/not/there.csv", "source=cmdb", "map=/m.toml"]),
            (TaskType::ActiveDirectoryImport, &["file=/not/there.csv", "kind=subnets"]),
            (TaskType::BusinessAdapterImport, &["file=/not/there.csv", "kind=Purchases", "good_rows=true"]),
            (TaskType::RecognitionLibraryImport, &[]),
            (TaskType::RecognitionLibraryImport, &["file=/l.toml", &digest]),
            (TaskType::SpoolMaintenance, &["full=maybe"]),
        ] {
            assert_eq!(check(task, parameters), Ok(()), "{task} {parameters:?}");
        }
        for (task, parameters, told) in [
            (TaskType::InventoryImport, &["full=yes"][..], "parameter `full` is `yes`: write true or false"),
            (TaskType::InventoryImportWriters, &["full="], "parameter `full` is ``: write true or false"),
            (TaskType::InventoryImportSpreadsheet, &["source=cmdb"], "name the file: file=/"),
            (TaskType::InventoryImportSpreadsheet, &["file=/f.csv"], "source=cmdb"),
            (
                TaskType::InventoryImportSpreadsheet,
                &["file=f.csv", "source=cmdb"],
                "`file` is `f.csv`: write the whole path",
            ),
            (
                TaskType::InventoryImportSpreadsheet,
                &["file=/f", "source=c", "map=m"],
                "`map` is `m`: write the whole path",
            ),
            (TaskType::ActiveDirectoryImport, &["file=/f"], "kind=sites"),
            (
                TaskType::ActiveDirectoryImport,
                &["file=/f", "kind=users", "good_rows=1"],
                "`good_rows` is `1`: write true",
            ),
            (
                TaskType::ActiveDirectoryImport,
                &["file=/f", "kind=rooms"],
                "parameter `kind` is `rooms`: write kind=sites",
            ),
            (
                TaskType::BusinessAdapterImport,
                &["file=/f", "kind=bills"],
                "parameter `kind` is `bills`: write contracts",
            ),
            (
                TaskType::BusinessAdapterImport,
                &["file=/f", "kind=contracts", "source=agent"],
                "`source` is `agent`: write 1",
            ),
            (TaskType::RecognitionLibraryImport, &["file=l.toml"], "`file` is `l.toml`: write the whole path"),
            (TaskType::RecognitionLibraryImport, &["sha256=12"], "parameter `sha256` is `12`: write the 64"),
        ] {
            let why = check(task, parameters).unwrap_err();
            assert!(why.contains(told), "{task} {parameters:?}: {why}");
        }
    }
}
