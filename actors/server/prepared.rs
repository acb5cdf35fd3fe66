//! Everything that a server's configuration names, read before the server starts.

use std::path::Path;

use jiff::tz::TimeZone;
use muster::config::Document;
use muster::config::server::{ServerConfig, ServiceNowTarget};
use muster::config::tasks::TasksConfig;
use muster::export::ExportSettings;
use muster::matching::{Forbidden, Matchers, Placeholders, standard_matchers};
use muster::roles::server::ImportRules;

use super::exporter::{Credentials, Target};
use super::licensing::RuleFiles;
use super::run::ServerError;
use super::source_files::sources_of;
use super::zone::zone;

/// Path of the integration endpoint below an instance. Source: servicenow reference, section 3.
pub const SERVICENOW_ENDPOINT: &str = "api/x_fls_flexera_fnms/integration/fnmstosn";

/// Where exports go, with its secret read.
#[derive(Clone)]
pub struct ExportTarget {
    /// Base address, account.
    pub target: Target,
    /// Limits and times.
    pub settings: ExportSettings,
}

/// Everything that a configuration names and that can be wrong, read: for `--check`, and for a start.
pub struct Prepared {
    pub(super) rules: ImportRules,
    pub(super) files: RuleFiles,
    pub(super) tasks: TasksConfig,
    pub(super) zone: TimeZone,
    pub(super) export: Option<ExportTarget>,
}

impl Prepared {
    /// Reads the files that `config` names.
    pub fn of(config: &ServerConfig) -> Result<Prepared, ServerError> {
        let files = RuleFiles {
            recognition: config.recognition_file.clone(),
            imported: config.data.join("libraries/recognition.toml"),
        };
        files.read()?;
        if let Some(path) = &config.sources_file {
            sources_of(path, &config.tenant).map_err(ServerError::Sources)?;
        }
        let export = config.servicenow.as_ref().map(export_target).transpose()?;
        let tasks = tasks(config)?;
        let zone = zone(tasks.time_zone.as_deref())?;
        Ok(Prepared { rules: import_rules(config)?, files, tasks, zone, export })
    }

    /// The same, exporting to `target`.
    pub fn exporting_to(self, target: ExportTarget) -> Prepared {
        Prepared { export: Some(target), ..self }
    }
}

fn import_rules(config: &ServerConfig) -> Result<ImportRules, ServerError> {
    let path = config.matchers_file.as_deref();
    let read = |path: &Path| {
        let failed = |source| ServerError::File { option: "import.matchers_file", path: path.to_path_buf(), source };
        std::fs::read_to_string(path).map_err(failed)
    };
    let own = path.map(read).transpose()?;
    let matchers = Matchers::load(standard_matchers(), own.as_deref()).map_err(|source| ServerError::Matchers {
        path: path.unwrap_or(Path::new("built in")).to_path_buf(),
        source,
    })?;
    Ok(ImportRules {
        matchers,
        placeholders: Placeholders::default(),
        forbidden: Forbidden::default(),
        primary: (!config.primary_source.is_empty()).then(|| config.primary_source.clone()),
    })
}

/// The batch tasks that a server is set to.
pub fn tasks(config: &ServerConfig) -> Result<TasksConfig, ServerError> {
    let Some(path) = &config.tasks_file else { return Ok(TasksConfig::shipped()?) };
    let failed = |source| ServerError::File { option: "server.tasks_file", path: path.clone(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(TasksConfig::read(&Document { text: &text, file: &path.display().to_string() })?)
}

fn export_target(target: &ServiceNowTarget) -> Result<ExportTarget, ServerError> {
    let path = &target.password_file;
    let password = crate::secret::read(path).map_err(|source| ServerError::File {
        option: "servicenow.password_file",
        path: path.clone(),
        source,
    })?;
    let target = Target {
        url: target.url.clone(),
        endpoint: SERVICENOW_ENDPOINT.into(),
        credentials: Credentials::Password { user: target.user.clone(), password },
        client: None,
    };
    Ok(ExportTarget { target, settings: ExportSettings::default() })
}
