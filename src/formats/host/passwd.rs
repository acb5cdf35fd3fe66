//! `etc/passwd`: the accounts of this host, and where their homes are.
//!
//! ```text
//! kim:x:1000:1000:Kim Doe,Room 7,,:/home/kim:/bin/bash        name:password:uid:gid:comment:home:shell
//! ```
//!
//! Neither the password field nor the comment (people's names, rooms and telephones) is kept.
//!
//! Source: manual page `passwd(5)`; operating document "Adopted: Normal Operation", step 6 (which fields are read).

use std::collections::BTreeMap;

use super::{Findings, lines};

/// Accounts read at most.
pub const ACCOUNTS_LIMIT: usize = 65_536;
/// Bytes of an account's name.
const NAME_BYTES_LIMIT: usize = 256;
/// Bytes of a path.
const PATH_BYTES_LIMIT: usize = 4_096;

/// Homes of accounts that have none.
const NO_HOMES: [&str; 4] = ["/", "/nonexistent", "/dev/null", "/var/empty"];

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Full path of its home; empty when the file has none that is plain.
    pub home: String,
    /// Its shell; empty for the system's own.
    pub shell: String,
}

/// The accounts, in the order of the file. A line that is none is a finding; those that ask a directory (`+`, `-`) are
/// none of this host and left out.
pub fn read_passwd(bytes: &[u8]) -> (Vec<Account>, Findings) {
    let mut accounts = Vec::new();
    let mut findings = Findings::default();
    for (number, line) in (1u64..).zip(lines(bytes)) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '+', '-']) {
            continue;
        }
        match read_line(line) {
            Some(_) if accounts.len() == ACCOUNTS_LIMIT => {
                findings.add(number, "more accounts than are read");
                break;
            }
            Some(account) => {
                if account.home.is_empty() {
                    findings.add(number, "account without a plain home");
                }
                accounts.push(account);
            }
            None => findings.add(number, "line that is no account"),
        }
    }
    (accounts, findings)
}

fn read_line(line: &str) -> Option<Account> {
    let fields: Vec<&str> = line.splitn(8, ':').collect();
    let &[name, _, uid, _, _, home, shell] = &fields[..] else { return None };
    let is_text = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
    if name.is_empty() || !is_text(name, NAME_BYTES_LIMIT) {
        return None;
    }
    let is_home = home.starts_with('/') && is_text(home, PATH_BYTES_LIMIT) && !home.split('/').any(|part| part == "..");
    Some(Account {
        name: name.into(),
        uid: uid.parse().ok()?,
        home: if is_home { home } else { "" }.into(),
        shell: if is_text(shell, PATH_BYTES_LIMIT) { shell } else { "" }.into(),
    })
}

/// The homes in which software may be found, ascending, each with the account it is counted for: of several with one
/// home the one with the smallest number.
pub fn homes(accounts: &[Account]) -> Vec<(&str, &Account)> {
    let mut owners: BTreeMap<&str, &Account> = BTreeMap::new();
    for account in accounts {
        let home = match account.home.trim_end_matches('/') {
            "" => continue,
            home if NO_HOMES.contains(&home) => continue,
            home => home,
        };
        let owner = owners.entry(home).or_insert(account);
        if (account.uid, &account.name) < (owner.uid, &owner.name) {
            *owner = account;
        }
    }
    owners.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
kim:s3cret:1000:1000:Kim Doe,Room 7,555-0100,:/home/kim:/bin/bash
kim2:x:999:1000::/home/kim/:
+@staff::::::
";

    #[test]
    fn accounts_are_read_without_password_and_comment() {
        let (accounts, findings) = read_passwd(PASSWD.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        let kim = Account { name: "kim".into(), uid: 1000, home: "/home/kim".into(), shell: "/bin/bash".into() };
        assert_eq!((accounts.len(), &accounts[3]), (5, &kim));
        let shown = format!("{accounts:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("Room") && !shown.contains("Doe"));
    }

    #[test]
    fn a_home_is_counted_once_and_places_that_are_no_homes_are_not() {
        let (accounts, _) = read_passwd(PASSWD.as_bytes());
        let homes: Vec<_> = homes(&accounts).into_iter().map(|(home, owner)| (home, owner.name.as_str())).collect();
        assert_eq!(homes, [("/home/kim", "kim2"), ("/root", "root")]);
        for home in ["/", "//", "/nonexistent", "/dev/null", "/var/empty/"] {
            let account = Account { home: home.into(), ..Account::default() };
            assert_eq!(super::homes(&[account]), [], "{home}");
        }
    }

    #[test]
    fn a_line_that_is_no_account_is_a_finding_and_the_others_stay() {
        for line in ["kim", "kim:x:1000:1000::/home/kim", ":x:1::::", "kim:x:-1:1::/h:/s", "kim:x:1:1::/h:/s:more"] {
            let (accounts, findings) = read_passwd(format!("{line}\nroot:x:0:0::/root:/bin/sh\n").as_bytes());
            assert_eq!(accounts.len(), 1, "{line}");
            assert_eq!(findings.kept()[0].to_string(), "line that is no account at 1", "{line}");
        }
        for home in ["", "home/kim", "/home/../etc", "/home/\u{7}"] {
            let (accounts, findings) = read_passwd(format!("kim:x:1:1::{home}:/bin/sh").as_bytes());
            assert_eq!((accounts[0].home.as_str(), findings.kept().len()), ("", 1), "{home}");
        }
    }

    #[test]
    fn accounts_are_bounded() {
        let (accounts, findings) = read_passwd("a:x:1:1::/a:\n".repeat(ACCOUNTS_LIMIT + 2).as_bytes());
        assert_eq!((accounts.len(), findings.kept().len()), (ACCOUNTS_LIMIT, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a:0/.\n+é]{0,80}") {
            homes(&read_passwd(&bytes).0);
            homes(&read_passwd(text.as_bytes()).0);
        }
    }
}
