//! `agent.toml`: what an agent is set to.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use toml::Table;

use super::address::{address_parts, base_address};
use super::{ConfigError, parse_checked, parse_toml};
use crate::formats::failover::is_loopback_host;
use crate::id::shorten;

/// The shipped file: complete, so it says which options there are.
pub const SHIPPED: &str = include_str!("../../config/agent.toml");
/// Most servers an agent tries.
pub const SERVERS_MAX: usize = 64;
/// Most hosts beside a proxy.
const NO_PROXY_MAX: usize = 256;
/// Seconds from one usage file to the next.
const USAGE_PERIOD_SECS: RangeInclusive<u64> = 60..=7 * 86_400;
/// Places on earth go by clocks that are as far from UTC.
pub const CLOCKS_AHEAD_MINUTES: RangeInclusive<i32> = -12 * 60..=14 * 60;
/// Shortest interval.
const INTERVAL_SECS_MIN: u64 = 60;
/// Longest interval: a year.
const INTERVAL_SECS_MAX: u64 = 366 * 86_400;

/// The file as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// `[agent]`
    pub agent: AgentSection,
    /// `[inventory]`
    #[serde(default)]
    pub inventory: InventorySection,
    /// `[policy]`
    #[serde(default)]
    pub policy: PolicySection,
    /// `[upload]`
    #[serde(default)]
    pub upload: UploadSection,
    /// `[usage]`
    #[serde(default)]
    pub usage: UsageSection,
    /// `[logs]`
    #[serde(default)]
    pub logs: LogsSection,
    /// `[proxy]`
    #[serde(default)]
    pub proxy: ProxySection,
}

/// `[agent]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSection {
    /// Data folder.
    pub data: PathBuf,
    /// Base addresses in order.
    pub servers: Vec<String>,
    /// Whether plain HTTP may leave the host.
    #[serde(default)]
    pub allow_plain: bool,
    /// Site label.
    #[serde(default)]
    pub site: String,
    /// Organisation.
    #[serde(default)]
    pub organization: String,
    /// Place.
    #[serde(default)]
    pub location: String,
    /// How far the clocks of schedules are ahead of UTC, in minutes.
    #[serde(default)]
    pub clocks_ahead_minutes: i32,
}

/// `[inventory]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InventorySection {
    /// Seconds between inventories.
    pub interval_secs: u64,
    /// Collect at each start.
    pub collect_at_start: bool,
    /// The machine id is the image's.
    pub is_machine_id_of_image: bool,
}

impl Default for InventorySection {
    fn default() -> Self {
        InventorySection { interval_secs: 86_400, collect_at_start: false, is_machine_id_of_image: false }
    }
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// Seconds of a period in which policy is asked once.
    pub interval_secs: u64,
}

impl Default for PolicySection {
    fn default() -> Self {
        PolicySection { interval_secs: 43_200 }
    }
}

/// `[upload]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadSection {
    /// Hour of the day of the catch-up.
    pub catch_up_hour: u8,
}

impl Default for UploadSection {
    fn default() -> Self {
        UploadSection { catch_up_hour: 11 }
    }
}

/// `[usage]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageSection {
    /// Whether policy may switch metering on.
    pub allowed: bool,
    /// Seconds from one usage file to the next; 0 for those that policy says.
    pub period_secs: u64,
}

impl Default for UsageSection {
    fn default() -> Self {
        UsageSection { allowed: true, period_secs: 0 }
    }
}

/// What a device has to say about its metering: policy cannot change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRules {
    /// Whether policy may switch it on.
    pub is_allowed: bool,
    /// From one usage file to the next; `None` for what policy says.
    pub period_secs: Option<u32>,
}

impl Default for UsageRules {
    fn default() -> UsageRules {
        UsageRules { is_allowed: true, period_secs: None }
    }
}

/// `[logs]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsSection {
    /// Whether policy may have the agent's log uploaded.
    pub allowed: bool,
}

impl Default for LogsSection {
    fn default() -> Self {
        LogsSection { allowed: true }
    }
}

/// `[proxy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxySection {
    /// Address; empty for that of the environment, if any.
    pub url: String,
    /// What is reached without it.
    pub no_proxy: Vec<String>,
    /// Account there; empty for none.
    pub user: String,
    /// File with its password.
    pub password_file: PathBuf,
}

/// A proxy, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Hosts, domains and networks that are reached without it.
    pub no_proxy: Vec<String>,
    /// Who uses it.
    pub account: Option<ProxyAccount>,
}

/// An account at a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAccount {
    /// Its name.
    pub user: String,
    /// File with its password, mode 0600.
    pub password_file: PathBuf,
}

/// What an agent is set to, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Data folder.
    pub data: PathBuf,
    /// Never empty, at most [`SERVERS_MAX`].
    servers: Arc<[String]>,
    /// Whether plain HTTP may leave the host.
    pub allow_plain: bool,
    /// Site label; empty for none.
    pub site: String,
    /// Organisation; empty for none.
    pub organization: String,
    /// Place; empty for none.
    pub location: String,
    /// How far the clocks by which schedules are read are ahead of UTC, in minutes: -720 to 840.
    pub clocks_ahead_minutes: i32,
    /// The machine id is the image's.
    pub is_machine_id_of_image: bool,
    /// From one inventory to the next.
    pub inventory_interval: Duration,
    /// Collect at each start.
    pub collect_at_start: bool,
    /// Policy is asked once in each period of this length.
    pub policy_interval: Duration,
    /// Hour of the day of the catch-up: 0 to 23.
    pub catch_up_hour: u8,
    /// What this device has to say about metering.
    pub usage: UsageRules,
    /// Whether policy may have the agent's log uploaded.
    pub is_log_allowed: bool,
    /// The proxy that beacons and servers are reached through; `None` for that of the environment, if any.
    pub proxy: Option<ProxyConfig>,
}

impl AgentConfig {
    /// Reads and checks `text`, which `file` names in errors, with what `variables` (the environment) override.
    pub fn parse(
        text: &str,
        file: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<AgentConfig, ConfigError> {
        let shipped: Table = parse_toml(SHIPPED, "the shipped agent.toml")?;
        parse_checked(text, file, &shipped, variables, AgentConfig::checked)
    }

    /// Checks what was read, or filled in by a program.
    pub fn checked(read: AgentFile, file: &str) -> Result<AgentConfig, ConfigError> {
        let AgentFile { agent, inventory, policy, upload, usage, logs, proxy } = read;
        let wrong =
            |key: &str, problem: String| ConfigError { file: file.into(), line: None, key: key.into(), problem };
        if agent.data.as_os_str().is_empty() {
            return Err(wrong("agent.data", "is empty, name a folder".into()));
        }
        if agent.servers.is_empty() {
            let problem = "is empty: an agent needs at least one server or beacon to send to";
            return Err(wrong("agent.servers", problem.into()));
        }
        if agent.servers.len() > SERVERS_MAX {
            let problem = format!("names {} servers, at most {SERVERS_MAX} are tried", agent.servers.len());
            return Err(wrong("agent.servers", problem));
        }
        for (at, server) in agent.servers.iter().enumerate() {
            check_server(server, agent.allow_plain)
                .map_err(|problem| wrong(&format!("agent.servers[{}]", at + 1), problem))?;
        }
        if !CLOCKS_AHEAD_MINUTES.contains(&agent.clocks_ahead_minutes) {
            let problem = format!(
                "is {}, it must be {} to {}: Berlin in winter is 60, New York -300",
                agent.clocks_ahead_minutes,
                CLOCKS_AHEAD_MINUTES.start(),
                CLOCKS_AHEAD_MINUTES.end()
            );
            return Err(wrong("agent.clocks_ahead_minutes", problem));
        }
        for (key, secs) in
            [("inventory.interval_secs", inventory.interval_secs), ("policy.interval_secs", policy.interval_secs)]
        {
            if !(INTERVAL_SECS_MIN..=INTERVAL_SECS_MAX).contains(&secs) {
                let problem = format!("is {secs}, it must be {INTERVAL_SECS_MIN} to {INTERVAL_SECS_MAX}");
                return Err(wrong(key, problem));
            }
        }
        if upload.catch_up_hour > 23 {
            let problem = format!("is {}, it must be 0 to 23", upload.catch_up_hour);
            return Err(wrong("upload.catch_up_hour", problem));
        }
        if usage.period_secs != 0 && !USAGE_PERIOD_SECS.contains(&usage.period_secs) {
            let (least, most) = USAGE_PERIOD_SECS.into_inner();
            let problem = format!("is {}, it must be {least} to {most}, or 0 for what policy says", usage.period_secs);
            return Err(wrong("usage.period_secs", problem));
        }
        let proxy = check_proxy(proxy).map_err(|(key, problem)| wrong(key, problem))?;
        Ok(AgentConfig {
            data: agent.data,
            servers: agent.servers.iter().map(|server| server.trim_end_matches('/').to_owned()).collect(),
            allow_plain: agent.allow_plain,
            site: agent.site,
            organization: agent.organization,
            location: agent.location,
            clocks_ahead_minutes: agent.clocks_ahead_minutes,
            is_machine_id_of_image: inventory.is_machine_id_of_image,
            inventory_interval: Duration::from_secs(inventory.interval_secs),
            collect_at_start: inventory.collect_at_start,
            policy_interval: Duration::from_secs(policy.interval_secs),
            catch_up_hour: upload.catch_up_hour,
            usage: UsageRules {
                is_allowed: usage.allowed,
                period_secs: u32::try_from(usage.period_secs).ok().filter(|secs| *secs > 0),
            },
            is_log_allowed: logs.allowed,
            proxy,
        })
    }

    /// Base addresses in order, without a slash at the end; never empty.
    pub fn servers(&self) -> Arc<[String]> {
        self.servers.clone()
    }
}

/// The proxy that a section asks for, or which key is wrong and how.
fn check_proxy(section: ProxySection) -> Result<Option<ProxyConfig>, (&'static str, String)> {
    let ProxySection { url, no_proxy, user, password_file } = section;
    if url.is_empty() {
        let without = [
            ("proxy.no_proxy", no_proxy.is_empty()),
            ("proxy.user", user.is_empty()),
            ("proxy.password_file", password_file.as_os_str().is_empty()),
        ];
        return match without.into_iter().find(|(_, is_empty)| !is_empty) {
            Some((key, _)) => Err((key, "has no effect without `proxy.url`".into())),
            None => Ok(None),
        };
    }
    let wrong = |problem: String| ("proxy.url", problem);
    if url.contains('@') {
        return Err(wrong("holds an account: write it as `proxy.user`, and its password into a file".into()));
    }
    // Plain or not is the proxy's affair: what goes through it is judged by the server's own address.
    let url = base_address(&url, true).map_err(wrong)?;
    if address_parts(&url).is_some_and(|parts| !parts.path.is_empty()) {
        return Err(wrong(format!("`{}` has a path: write only http://host:port", shorten(&url))));
    }
    if no_proxy.len() > NO_PROXY_MAX {
        let problem = format!("names {} hosts, at most {NO_PROXY_MAX} are looked at", no_proxy.len());
        return Err(("proxy.no_proxy", problem));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    if let Some(bad) = no_proxy.iter().find(|host| host.is_empty() || !host.bytes().all(is_plain)) {
        let problem = format!("`{}` is no host, .domain, address or network (10.0.0.0/8)", shorten(bad));
        return Err(("proxy.no_proxy", problem));
    }
    let account = match (user.is_empty(), password_file.as_os_str().is_empty()) {
        (true, true) => None,
        (false, false) => Some(ProxyAccount { user, password_file }),
        (false, true) => return Err(("proxy.password_file", "is empty: the account of `proxy.user` needs it".into())),
        (true, false) => return Err(("proxy.user", "is empty: whose password is in `proxy.password_file`?".into())),
    };
    Ok(Some(ProxyConfig { url, no_proxy, account }))
}

/// What is wrong with the base address of a server.
fn check_server(server: &str, allow_plain: bool) -> Result<(), String> {
    let shown = shorten(server);
    let right = "it must be like https://beacon.example:7080";
    let (scheme, rest) = server.split_once("://").ok_or_else(|| format!("`{shown}` is no base address: {right}"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let is_plain_text = server.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty() || !is_plain_text || rest.contains(['?', '#', '@', '\\']) {
        return Err(format!("`{shown}` is no base address: {right}, without user, query or fragment"));
    }
    match scheme {
        "https" => Ok(()),
        "http" if allow_plain || is_loopback(authority) => Ok(()),
        "http" => Err(format!(
            "`{shown}` would be sent to in plain text: use https://, or set agent.allow_plain = true if the network may \
             read and change reports"
        )),
        _ => Err(format!("`{shown}` is neither http:// nor https://")),
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    is_loopback_host(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, String> {
        AgentConfig::parse(text, "agent.toml", []).map_err(|error| error.to_string())
    }

    #[test]
    fn the_shipped_file_is_complete_and_holds_the_defaults() {
        let shipped = parse(SHIPPED).unwrap();
        let short = "[agent]\ndata = \"/var/lib/muster/agent\"\nservers = [\"http://127.0.0.1:7081/\"]";
        assert_eq!(parse(short).unwrap(), shipped);
    }

    fn proxy(lines: &str) -> String {
        format!("[agent]\ndata = \"d\"\nservers = [\"https://a\"]\n[proxy]\n{lines}")
    }

    #[test]
    fn a_proxy_may_have_an_account_and_hosts_beside_it() {
        let text = "url = \"http://proxy.example:3128/\"\nno_proxy = [\".lab.example\", \"10.0.0.0/8\", \"fd00::/8\"]\n\
                    user = \"u\"\npassword_file = \"/etc/muster/proxy\"";
        let wanted = ProxyConfig {
            url: "http://proxy.example:3128".into(),
            no_proxy: vec![".lab.example".into(), "10.0.0.0/8".into(), "fd00::/8".into()],
            account: Some(ProxyAccount { user: "u".into(), password_file: "/etc/muster/proxy".into() }),
        };
        assert_eq!(parse(&proxy(text)).unwrap().proxy, Some(wanted));
        assert_eq!(parse(&proxy("")).unwrap().proxy, None);
    }

    #[test]
    fn a_mistake_names_file_key_and_remedy() {
        for (text, wanted) in [
            (
                "[agent]\ndata = \"d\"\nserver = []",
                "agent.toml:3: `agent.server`: unknown key, did you mean `servers`?",
            ),
            (
                "[agent]\ndata = \"d\"\nservers = [\"https://a\"]\nclocks_ahead_minutes = 900",
                "`agent.clocks_ahead_minutes`: is 900, it must be -720 to 840",
            ),
            ("[agent]\ndata = \"d\"\nservers = []", "`agent.servers`: is empty: an agent needs at least one"),
            ("[agent]\ndata = \"\"\nservers = [\"https://a\"]", "`agent.data`: is empty"),
            ("[agent]\ndata = \"d\"\nservers = [\"http://a.example\"]", "set agent.allow_plain = true"),
            ("[agent]\ndata = \"d\"\nservers = [\"https://a\", \"b:7\"]", "`agent.servers[2]`: `b:7` is no base"),
            ("[agent]\ndata = \"d\"\nservers = [\"https://u@a\"]", "without user"),
            ("[agent]\ndata = \"d\"\nservers = [\"http://127.0.0.1@a.example\"]", "without user"),
            ("[agent]\ndata = \"d\"\nservers = [\"http://127.0.0.1.example\"]", "plain text"),
            ("[agent]\ndata = \"d\"\nservers = [\"https://a\"]\n[policy]\ninterval_secs = 5", "it must be 60 to"),
            ("[agent]\ndata = \"d\"\nservers = [\"https://a\"]\n[upload]\ncatch_up_hour = 24", "it must be 0 to 23"),
            (
                "[agent]\ndata = \"d\"\nservers = [\"https://a\"]\n[usage]\nperiod_secs = 59",
                "it must be 60 to 604800, or 0",
            ),
            (&proxy("url = \"socks5://p:1\""), "`proxy.url`: `socks5://p:1` is no address"),
            (&proxy("url = \"http://u:p@p:1\""), "`proxy.url`: holds an account"),
            (&proxy("url = \"http://p:1/x\""), "has a path: write only"),
            (&proxy("url = \"http://p:1\"\nno_proxy = [\"a,b\"]"), "`a,b` is no host, .domain, address"),
            (&proxy("url = \"http://p:1\"\nuser = \"u\""), "`proxy.password_file`: is empty"),
            (&proxy("url = \"http://p:1\"\npassword_file = \"f\""), "`proxy.user`: is empty"),
            (&proxy("no_proxy = [\"a\"]"), "`proxy.no_proxy`: has no effect without `proxy.url`"),
            (&proxy("url = \"http://p:1\"\npassword = \"x\""), "unknown key"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn plain_http_stays_on_the_host_unless_allowed() {
        for server in ["http://localhost:1", "http://127.3.2.1", "http://[::1]:7082/x/"] {
            check_server(server, false).unwrap();
        }
        check_server("http://10.0.0.1", true).unwrap();
        assert!(check_server("http://10.0.0.1", false).is_err());
    }

    #[test]
    fn a_value_of_the_environment_that_cannot_be_is_told_of_its_variable() {
        let error = |name: &str, value: &str| {
            AgentConfig::parse(SHIPPED, "agent.toml", [(name.to_owned(), value.to_owned())]).unwrap_err().to_string()
        };
        assert_eq!(
            error("MUSTER_UPLOAD_CATCH_UP_HOUR", "99"),
            "environment: `MUSTER_UPLOAD_CATCH_UP_HOUR`: is 99, it must be 0 to 23"
        );
        let servers = error("MUSTER_AGENT_SERVERS", "https://a,b:7");
        assert!(servers.starts_with("environment: `MUSTER_AGENT_SERVERS`: `b:7` is no base"), "{servers}");
        // What the file says wrong stays the file's.
        let text = SHIPPED.replace("catch_up_hour = 11", "catch_up_hour = 77");
        let variables = [("MUSTER_AGENT_SITE".to_owned(), "lab".to_owned())];
        let error = AgentConfig::parse(&text, "agent.toml", variables).unwrap_err().to_string();
        assert_eq!(error, "agent.toml: `upload.catch_up_hour`: is 77, it must be 0 to 23");
    }

    #[test]
    fn the_file_of_another_role_is_told_as_such() {
        let server = include_str!("../../config/server.toml");
        let error = AgentConfig::parse(server, "server.toml", []).unwrap_err();
        assert_eq!(error.problem, "this looks like a server's file, start it with `muster server`");
        let error = AgentConfig::parse(&format!("{SHIPPED}\n[server]\n"), "agent.toml", []).unwrap_err();
        assert!(error.problem.starts_with("unknown key"), "{error}");
    }

    #[test]
    fn the_environment_overrides() {
        let variables = [("MUSTER_AGENT_SERVERS".to_string(), "https://a,https://b".to_string())];
        let config = AgentConfig::parse(SHIPPED, "agent.toml", variables).unwrap();
        assert_eq!(*config.servers(), ["https://a".to_string(), "https://b".to_string()]);
    }
}
