//! Whose report it is: what the agent knows of itself and does not read from the host's hardware.

use muster::id::Guid;

/// What the agent's configuration and enrolment say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Identity of the agent.
    pub agent: Guid,
    /// Account that collects, see [`account_of_process`].
    pub account: String,
    /// Site label of the device; empty for none.
    pub site: String,
    /// Organisation the device belongs to; empty for none.
    pub organization: String,
    /// Place of the device; empty for none.
    pub location: String,
    /// Tenant the agent claims; empty for none. Never believed by the server.
    pub tenant_uid: String,
}

impl Identity {
    /// `Machine` when collected as the system's own account, else `User`.
    pub fn audience(&self) -> &'static str {
        match self.account.as_str() {
            "root" | "SYSTEM" => "Machine",
            _ => "User",
        }
    }
}

/// Name of the account this process runs as, from `/etc/passwd`; its number where that does not list it (accounts of a
/// directory service). No environment variable is asked: anybody can set those.
#[cfg(unix)]
pub fn account_of_process() -> String {
    let number = rustix::process::geteuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    account_in(&accounts, number).unwrap_or_else(|| number.to_string())
}

/// The agent is a service of the local system account.
#[cfg(not(unix))]
pub fn account_of_process() -> String {
    "SYSTEM".into()
}

#[cfg(unix)]
fn account_in(accounts: &str, number: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nbroken\nacme:x:998:998::/nonexistent:/bin/false\n";
        assert_eq!(account_in(accounts, 998).as_deref(), Some("acme"));
        assert_eq!(account_in(accounts, 5), None);
        assert_eq!(Identity { account: "root".into(), ..Identity::default() }.audience(), "Machine");
    }
}
