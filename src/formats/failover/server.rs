//! One server of a failover list.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::{FailoverFault, fault};
use crate::formats::ini::{Ini, Section};
use crate::id::Guid;

/// Bytes of a host name. Source: the limit of DNS.
const HOST_BYTES_MAX: usize = 253;

/// One server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its GUID.
    pub id: Guid,
    /// How to talk to it.
    pub protocol: Protocol,
    /// Full name, IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// Port, never 0.
    pub port: u16,
    /// First part of the path: `ManageSoftDL`, `ManageSoftRL`.
    pub directory: String,
    /// Name for people; may be empty.
    pub name: String,
    /// Account; may be empty.
    pub user: String,
    /// Its password; may be empty.
    pub password: Password,
    /// Proxy; may be empty.
    pub proxy: String,
    /// Whether the selector gives the priority.
    pub auto_priority: bool,
    /// The entry's own priority, if it has one.
    pub priority: Option<Priority>,
    /// Site label, compared with that of the agent; may be empty.
    pub site: String,
}

/// How to talk to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Plain.
    #[default]
    Http,
    /// Through TLS.
    Https,
}

/// Place of a server in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Lower is tried earlier.
    Number(u32),
    /// Not used at all.
    Invalid,
}

/// A password: it is kept out of logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Password(none)" } else { "Password(***)" })
    }
}

impl Server {
    pub(super) fn read(id: &str, section: &Section) -> Result<Server, FailoverFault> {
        let text = |key| section.get(key).unwrap_or("");
        let needed = |key| Some(text(key)).filter(|value| !value.is_empty()).ok_or(FailoverFault::Missing(key));
        let protocol = match needed("Protocol")? {
            text if text.eq_ignore_ascii_case("http") => Protocol::Http,
            text if text.eq_ignore_ascii_case("https") => Protocol::Https,
            text => return Err(fault("Protocol", text, "http or https")),
        };
        let host = needed("Host")?;
        let bare_host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if !is_host(bare_host) {
            return Err(fault("Host", host, "a host name or an address"));
        }
        let port = needed("Port")?;
        let directory = needed("Directory")?.trim_matches('/');
        if !is_directory(directory) {
            return Err(fault("Directory", directory, "a path of letters, digits, `.`, `-`, `_`"));
        }
        Ok(Server {
            id: id.parse().map_err(|_| FailoverFault::Name)?,
            protocol,
            host: bare_host.into(),
            port: port.parse().ok().filter(|&port| port > 0).ok_or_else(|| fault("Port", port, "1 to 65535"))?,
            directory: directory.into(),
            name: text("Name").into(),
            user: text("User").into(),
            password: Password(text("Password").into()),
            proxy: text("Proxy").into(),
            auto_priority: match text("AutoPriority") {
                "" => true,
                text if text.eq_ignore_ascii_case("true") => true,
                text if text.eq_ignore_ascii_case("false") => false,
                text => return Err(fault("AutoPriority", text, "True or False")),
            },
            priority: match text("Priority") {
                "" => None,
                text if text.eq_ignore_ascii_case("invalid") => Some(Priority::Invalid),
                text => {
                    let number = text.parse().map_err(|_| fault("Priority", text, "a whole number or `invalid`"))?;
                    Some(Priority::Number(number))
                }
            },
            site: text("Site").into(),
        })
    }

    pub(super) fn write(&self, ini: &mut Ini) {
        ini.entry("Protocol", if self.protocol == Protocol::Https { "https" } else { "http" });
        ini.entry("Host", &self.host);
        ini.entry("Port", &self.port.to_string());
        ini.entry("Directory", &self.directory);
        ini.optional("Name", &self.name);
        ini.optional("User", &self.user);
        ini.optional("Password", &self.password.0);
        ini.optional("Proxy", &self.proxy);
        ini.entry("AutoPriority", if self.auto_priority { "True" } else { "False" });
        match self.priority {
            Some(Priority::Number(number)) => ini.entry("Priority", &number.to_string()),
            Some(Priority::Invalid) => ini.entry("Priority", "invalid"),
            None => {}
        }
        ini.optional("Site", &self.site);
    }
}

/// Whether what is sent to `host` (a name or an address without brackets) stays on this machine.
pub fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_host(text: &str) -> bool {
    let is_name = !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    text.len() <= HOST_BYTES_MAX && !text.is_empty() && (is_name || text.parse::<Ipv6Addr>().is_ok())
}

fn is_directory(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    text.len() <= HOST_BYTES_MAX && text.split('/').all(is_part)
}
