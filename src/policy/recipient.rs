//! Who takes a policy: what an agent knows of itself that decides whether a policy is for it and of any use to it.

use crate::formats::failover::{Failover, Priority, Protocol, Server, is_loopback_host};
use crate::formats::host::host_name::HostName;
use crate::id::Guid;
use crate::time::Timestamp;

/// Which servers an agent may talk to, by its own file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Plain HTTP beyond its own host.
    pub allow_plain: bool,
    /// Servers on its own host: its own file names one.
    pub is_at_home: bool,
}

impl Reach {
    /// Whether it may talk to `server`. A list from elsewhere has no business with this very host, unless the agent's own
    /// file has.
    pub fn may_use(self, server: &Server) -> bool {
        match is_loopback_host(&server.host) {
            true => self.is_at_home,
            false => self.allow_plain || server.protocol == Protocol::Https,
        }
    }

    /// Whether `list` has somewhere for it to upload to.
    pub fn can_use(self, list: &Failover) -> bool {
        let is_kept_out = |server: &Server| !server.auto_priority && server.priority == Some(Priority::Invalid);
        list.uploads.iter().any(|server| self.may_use(server) && !is_kept_out(server))
    }
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// The agent.
    pub agent: Guid,
    /// Its host's name; empty when it is not known, and then every policy is for it.
    pub host: HostName,
    /// Which servers it may talk to.
    pub reach: Reach,
    /// The present, by its own clock or that of the beacon, whichever is later: a host whose clock lost the day would
    /// otherwise take every date for one of the far future.
    pub present: Timestamp,
}

impl Recipient {
    /// Whether a policy that `applies_to` these is for this agent: blank, `*` and `Machine` stand for all, else it lists
    /// names of devices, or agents, separated by blanks, commas or semicolons. Case does not count; a domain counts where
    /// both have one.
    pub fn is_meant(&self, applies_to: &str) -> bool {
        let mut names = applies_to.split([' ', ',', ';']).filter(|name| !name.is_empty()).peekable();
        names.peek().is_none() || self.host.name.is_empty() || names.any(|name| self.is_named(name))
    }

    fn is_named(&self, name: &str) -> bool {
        if name == "*" || name.eq_ignore_ascii_case("Machine") || name.parse() == Ok(self.agent) {
            return true;
        }
        // `DOMAIN\name` tells the name of a directory's domain, which a host need not know.
        let name = name.rsplit('\\').next().unwrap_or(name);
        let (short, domain) = name.split_once('.').unwrap_or((name, ""));
        let is_same_domain = domain.is_empty() || self.host.domain.is_empty();
        short.eq_ignore_ascii_case(&self.host.name)
            && (is_same_domain || domain.eq_ignore_ascii_case(&self.host.domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_another_device_is_not_meant_and_one_of_all_is() {
        let agent = Guid::from_random([7; 16]);
        let host = HostName { name: "web07".into(), domain: "lab.example".into() };
        let own = Recipient { agent, host, ..Recipient::default() };
        let by_agent = format!("{{{agent}}}");
        for (applies_to, wanted) in [
            ("", true),
            (" ", true),
            ("*", true),
            ("machine", true),
            ("WEB07", true),
            ("web07.LAB.example", true),
            ("LAB\\web07", true),
            ("web06, web07", true),
            (by_agent.as_str(), true),
            ("web08", false),
            ("web07.other.example", false),
            ("web", false),
            ("User", false),
            ("00000000-0000-4000-8000-000000000001", false),
        ] {
            assert_eq!(own.is_meant(applies_to), wanted, "{applies_to}");
        }
        let nameless = Recipient { agent, ..Recipient::default() };
        assert!(nameless.is_meant("web08"), "who does not know its name cannot tell");
        let short = Recipient { host: HostName { name: "web07".into(), domain: String::new() }, ..own };
        assert!(short.is_meant("web07.lab.example") && !short.is_meant("web08.lab.example"));
    }

    #[test]
    fn a_list_is_of_use_when_one_upload_of_it_may_be_talked_to() {
        let list = |entries: &[(&str, &str, &str)]| {
            let entry = |(number, (protocol, host, more)): (usize, &(&str, &str, &str))| {
                format!(
                    "[ManageSoft\\Common\\UploadSettings\\{{00000000-0000-4000-8000-{number:012}}}]\n\
                     Protocol={protocol}\nHost={host}\nPort=1\nDirectory=RL\n{more}"
                )
            };
            let text: String = entries.iter().enumerate().map(entry).collect();
            Failover::read(text.as_bytes()).unwrap().0
        };
        let strict = Reach::default();
        assert!(strict.can_use(&list(&[("http", "b", ""), ("https", "b", "")])));
        assert!(!strict.can_use(&list(&[("http", "b", "")])));
        assert!(Reach { allow_plain: true, ..strict }.can_use(&list(&[("http", "b", "")])));
        assert!(!Reach { allow_plain: true, ..strict }.can_use(&list(&[("https", "127.0.0.1", "")])));
        assert!(Reach { is_at_home: true, ..strict }.can_use(&list(&[("http", "localhost", "")])));
        let kept_out = "AutoPriority=False\nPriority=invalid\n";
        assert!(!strict.can_use(&list(&[("https", "b", kept_out)])));
        assert!(strict.can_use(&list(&[("https", "b", "Priority=invalid\n")])), "the selector gives it another");
        let downloads = "[ManageSoft\\Common\\DownloadSettings\\{00000000-0000-4000-8000-000000000001}]\n\
                         Protocol=https\nHost=b\nPort=1\nDirectory=DL\n";
        assert!(!strict.can_use(&Failover::read(downloads.as_bytes()).unwrap().0));
    }
}
