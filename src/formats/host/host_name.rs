//! The name of a host and its domain, from the files that a name service would read.

use super::lines;

/// Names longer than this are none (RFC 1035 allows 253 characters).
const NAME_BYTES_LIMIT: usize = 253;

/// Short name and domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostName {
    /// Up to the first dot.
    pub name: String,
    /// After the first dot; empty when no file tells.
    pub domain: String,
}

impl HostName {
    /// `name.domain`, or the name alone.
    pub fn qualified(&self) -> String {
        if self.domain.is_empty() { self.name.clone() } else { format!("{}.{}", self.name, self.domain) }
    }
}

/// Decides the name from `host_name` (of the kernel or `etc/hostname`), `etc/hosts` and `etc/resolv.conf`.
///
/// The domain comes from the first that has one: the name itself, the line of `etc/hosts` that names this host, the
/// `domain` of `etc/resolv.conf`. Its `search` list is not used: it says where this host looks, not where it belongs.
pub fn read_host_name(host_name: &[u8], hosts: &[u8], resolv_conf: &[u8]) -> HostName {
    let whole =
        lines(host_name).map(|line| line.trim().to_owned()).find(|line| !line.is_empty() && !line.starts_with('#'));
    let whole = whole.filter(|name| is_name(name)).unwrap_or_default();
    if whole.is_empty() {
        return HostName::default();
    }
    let (name, domain) = whole.split_once('.').unwrap_or((&whole, ""));
    let domain = [Some(domain.to_owned()), domain_in_hosts(name, hosts), domain_in_resolv_conf(resolv_conf)];
    let domain = domain.into_iter().flatten().map(|domain| domain.trim_end_matches('.').to_owned());
    HostName { name: name.into(), domain: domain.into_iter().find(|domain| !domain.is_empty()).unwrap_or_default() }
}

fn domain_in_hosts(name: &str, hosts: &[u8]) -> Option<String> {
    lines(hosts).find_map(|line| {
        let names = line.split('#').next().unwrap_or_default().split_whitespace().skip(1);
        names.filter_map(|full| full.split_once('.')).find_map(|(short, domain)| {
            // `localhost.localdomain` is a placeholder of many distributions, not a domain.
            let counts = short.eq_ignore_ascii_case(name) && is_name(domain) && domain != "localdomain";
            counts.then(|| domain.to_owned())
        })
    })
}

fn domain_in_resolv_conf(resolv_conf: &[u8]) -> Option<String> {
    let domain = lines(resolv_conf).filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("domain")).then(|| words.next().map(str::to_owned)).flatten()
    });
    domain.last().filter(|domain| is_name(domain))
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= NAME_BYTES_LIMIT && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(host_name: &str, hosts: &str, resolv_conf: &str, qualified: &str) {
        let read = read_host_name(host_name.as_bytes(), hosts.as_bytes(), resolv_conf.as_bytes());
        assert_eq!(read.qualified(), qualified);
    }

    #[test]
    fn the_domain_comes_from_the_first_file_that_has_one() {
        check("web07.lab.example\n", "10.0.0.1 web07.other.example", "domain third.example", "web07.lab.example");
        check(
            "web07\n",
            "127.0.0.1 localhost\n10.0.0.1 web07.lab.example web07 # x",
            "domain third.example",
            "web07.lab.example",
        );
        check(
            "# comment\nweb07\n",
            "127.0.0.1 web07",
            "nameserver 10.0.0.2\ndomain third.example\n",
            "web07.third.example",
        );
        check("web07\n", "127.0.0.1 web07.localdomain web07", "search a.example b.example", "web07");
    }

    #[test]
    fn what_is_no_name_is_none() {
        check("two words", "", "", "");
        check("", "127.0.0.1 localhost.lab.example", "domain lab.example", "");
        check(&"x".repeat(300), "", "", "");
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(a in prop::collection::vec(any::<u8>(), 0..100), b in "[a. \n]{0,60}") {
            read_host_name(&a, &a, &a);
            read_host_name(b.as_bytes(), b.as_bytes(), b.as_bytes());
        }
    }
}
