//! `server.toml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::address::base_address;
use super::document::{ConfigError, parse_toml};
use super::node::{DiskSection, LimitsSection, check_node, milliseconds, tenant, wrong};
use super::overrides::parse_checked;
use crate::id::TenantId;

/// The file as it is shipped: every option with its default, unit and reason.
pub const SHIPPED: &str = include_str!("../../config/server.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerFile {
    server: ServerSection,
    #[serde(default)]
    import: ImportSection,
    #[serde(default)]
    custody: CustodySection,
    #[serde(default)]
    servicenow: ServiceNowSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    disk: DiskSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSection {
    data: PathBuf,
    #[serde(default = "name")]
    name: String,
    listen: SocketAddr,
    #[serde(default = "operator")]
    operator: SocketAddr,
    #[serde(default)]
    allow_plain: bool,
    #[serde(default = "default_tenant")]
    tenant: String,
    #[serde(default = "two")]
    workers: usize,
    #[serde(default = "two")]
    loaders: usize,
    #[serde(default)]
    tasks_file: String,
}

/// Runs of the licence reconcile that are kept unless an operator says otherwise (one follows each change of the fleet or of licences).
pub const RUNS_KEPT: u32 = 90;
/// Runs that may be kept.
const RUNS_KEPT_MAX: u32 = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ImportSection {
    on_arrival: bool,
    primary_source: String,
    matchers_file: String,
    recognition_file: String,
    runs_kept: u32,
    sources_file: String,
}

impl Default for ImportSection {
    fn default() -> ImportSection {
        ImportSection {
            on_arrival: false,
            primary_source: "agent".into(),
            matchers_file: String::new(),
            recognition_file: String::new(),
            runs_kept: RUNS_KEPT,
            sources_file: String::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CustodySection {
    missing_after_secs: u64,
}

impl Default for CustodySection {
    fn default() -> CustodySection {
        CustodySection { missing_after_secs: 86_400 }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServiceNowSection {
    url: String,
    user: String,
    password_file: String,
}

fn name() -> String {
    "server".into()
}

fn operator() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn default_tenant() -> String {
    "default".into()
}

fn two() -> usize {
    2
}

/// Where the export goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNowTarget {
    /// Base address of the instance.
    pub url: String,
    /// The account.
    pub user: String,
    /// File with the account's password, mode 0600.
    pub password_file: PathBuf,
}

/// A checked `server.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Data folder.
    pub data: PathBuf,
    /// Name.
    pub name: String,
    /// Address of the upload listener.
    pub listen: SocketAddr,
    /// Address of the operator listener.
    pub operator: SocketAddr,
    /// Whether plain HTTP beyond loopback is accepted.
    pub allow_plain: bool,
    /// Whose packages arrive here.
    pub tenant: TenantId,
    /// Threads of the upload listener.
    pub workers: usize,
    /// Threads that read packages.
    pub loaders: usize,
    /// Batch tasks, instead of what is built in.
    pub tasks_file: Option<PathBuf>,
    /// Whether to import at once when something was loaded.
    pub import_on_arrival: bool,
    /// The source whose values win.
    pub primary_source: String,
    /// Matchers of the operator's own, beside the standard ones.
    pub matchers_file: Option<PathBuf>,
    /// Recognition rules instead of those built in.
    pub recognition_file: Option<PathBuf>,
    /// Runs of the licence reconcile of each tenant that are kept, at least 1.
    pub runs_kept: u32,
    /// Files of other programs whose computers are imported.
    pub sources_file: Option<PathBuf>,
    /// What a node took and this server has not settled after this is missing, in milliseconds.
    pub missing_after_ms: i64,
    /// Where the export goes; `None`: nowhere.
    pub servicenow: Option<ServiceNowTarget>,
    /// Limits of the upload listener.
    pub limits: LimitsSection,
    /// Room that uploads must leave.
    pub disk: DiskSection,
}

impl ServerConfig {
    /// Reads `text`, overridden by `variables` (`MUSTER_SERVER_LISTEN` and so on).
    pub fn parse(
        text: &str,
        file: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<ServerConfig, ConfigError> {
        let shipped: toml::Table = parse_toml(SHIPPED, "the shipped server.toml")?;
        parse_checked(text, file, &shipped, variables, ServerConfig::checked)
    }

    fn checked(read: ServerFile, file: &str) -> Result<ServerConfig, ConfigError> {
        let ServerFile { server, import, custody, servicenow, limits, disk } = read;
        for (key, threads) in [("server.workers", server.workers), ("server.loaders", server.loaders)] {
            if !(1..=64).contains(&threads) {
                return Err(wrong(file, key, format!("{threads} is not between 1 and 64")));
            }
        }
        let listeners = [("listen", server.listen), ("operator", server.operator)];
        check_node(file, "server", &server.data, &listeners, server.allow_plain, &limits, &disk)?;
        let path = |text: String| (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(ServerConfig {
            servicenow: target(servicenow, server.allow_plain, file)?,
            tenant: tenant(&server.tenant, file, "server.tenant")?,
            data: server.data,
            name: server.name,
            listen: server.listen,
            operator: server.operator,
            allow_plain: server.allow_plain,
            workers: server.workers,
            loaders: server.loaders,
            tasks_file: path(server.tasks_file),
            import_on_arrival: import.on_arrival,
            primary_source: import.primary_source,
            matchers_file: path(import.matchers_file),
            recognition_file: path(import.recognition_file),
            runs_kept: runs_kept(import.runs_kept, file)?,
            sources_file: path(import.sources_file),
            missing_after_ms: milliseconds(custody.missing_after_secs, 1, file, "custody.missing_after_secs")?,
            limits,
            disk,
        })
    }
}

fn runs_kept(count: u32, file: &str) -> Result<u32, ConfigError> {
    if (1..=RUNS_KEPT_MAX).contains(&count) {
        return Ok(count);
    }
    Err(wrong(file, "import.runs_kept", format!("{count} is not between 1 and {RUNS_KEPT_MAX} runs")))
}

fn target(section: ServiceNowSection, allow_plain: bool, file: &str) -> Result<Option<ServiceNowTarget>, ConfigError> {
    let ServiceNowSection { url, user, password_file } = section;
    if url.is_empty() {
        return Ok(None);
    }
    for (key, value) in [("servicenow.user", &user), ("servicenow.password_file", &password_file)] {
        if value.is_empty() {
            return Err(wrong(file, key, "is empty: an export to `servicenow.url` needs it"));
        }
    }
    let url = base_address(&url, allow_plain).map_err(|problem| wrong(file, "servicenow.url", problem))?;
    Ok(Some(ServiceNowTarget { url, user, password_file: password_file.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[server]\ndata = \"d\"\nlisten = \"127.0.0.1:0\"\n";

    fn parse(text: &str) -> Result<ServerConfig, String> {
        ServerConfig::parse(text, "s.toml", []).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_is_whole_and_names_the_defaults() {
        let (shipped, least) = (parse(SHIPPED).unwrap(), parse(LEAST).unwrap());
        assert_eq!(ServerConfig { data: least.data.clone(), listen: least.listen, ..shipped }, least);
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        for (text, said) in [
            (LEAST.replace("[server]", "[sever]"), "did you mean `server`"),
            (format!("{LEAST}loaders = 0\n"), "server.loaders"),
            (LEAST.replace("127.0.0.1:0", "0.0.0.0:0"), "allow_plain = true"),
            (LEAST.replace("127.0.0.1:0", "127.0.0.1:8080"), "server.operator"),
            (LEAST.replace("\"d\"", "\"\""), "server.data"),
            (format!("{LEAST}[limits]\nbodies = 0\n"), "limits.bodies"),
            (format!("{LEAST}[disk]\nreserve_percent = 150\n"), "disk.reserve_percent"),
            (format!("{LEAST}[servicenow]\nurl = \"http://127.0.0.1:1\"\n"), "servicenow.user"),
            (format!("{LEAST}[custody]\nmissing_after_secs = 0\n"), "custody.missing_after_secs"),
            (format!("{LEAST}[import]\non_arival = true\n"), "did you mean `on_arrival`"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said) && error.starts_with("s.toml"), "{error}");
        }
    }
}
