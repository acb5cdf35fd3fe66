//! Base addresses of other nodes, as options name them.

/// Checks `text` as the base address of a node and gives it without a slash at its end.
///
/// `http://host[:port]` or `https://host[:port]`, perhaps with a path; no user, query or fragment. Plain `http` beyond
/// loopback only with `allow_plain`. Error: what is wrong and what would be right.
pub fn base_address(text: &str, allow_plain: bool) -> Result<String, String> {
    base_address_of(text, allow_plain, "set `allow_plain = true`")
}

/// The same for an address of a command line: `to_allow_plain` is what to do to accept plain `http`.
pub fn base_address_of(text: &str, allow_plain: bool, to_allow_plain: &str) -> Result<String, String> {
    let (is_plain, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(format!("`{text}` is no address: write http://host:port or https://host:port")),
    };
    if rest.contains(['@', '?', '#', ' ', '\\']) || rest.chars().any(char::is_control) || text.len() > 1_000 {
        return Err(format!("`{text}` is no base address: write only http://host:port"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map(|(host, _)| host).unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let port = authority.rsplit_once(':').filter(|(before, _)| !before.starts_with('[') || before.ends_with(']'));
    if host.is_empty() || port.is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(format!("`{text}` is no address: write http://host:port"));
    }
    let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_plain && !is_loopback && !allow_plain {
        return Err(format!(
            "`{text}` would carry uploads in plain beyond this host: use https, or {to_allow_plain} to accept that"
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The parts of a base address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressParts<'a> {
    /// Whether it is `https`.
    pub is_tls: bool,
    /// Name or address, without brackets.
    pub host: &'a str,
    /// Its port, or the usual one.
    pub port: u16,
    /// Path without slashes at its ends; empty for none.
    pub path: &'a str,
}

/// Takes apart what [`base_address`] accepts; `None` for what it does not.
pub fn address_parts(text: &str) -> Option<AddressParts<'_>> {
    base_address(text, true).ok()?;
    let (scheme, rest) = text.split_once("://")?;
    let is_tls = scheme == "https";
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(if is_tls { 443 } else { 80 }), |port| port.parse().ok())?;
    Some(AddressParts { is_tls, host, port, path: path.trim_matches('/') })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let parts = |text| address_parts(text).map(|p| (p.is_tls, p.host, p.port, p.path));
        assert_eq!(parts("http://b.lab:7081"), Some((false, "b.lab", 7081, "")));
        assert_eq!(parts("https://b.lab/muster/x/"), Some((true, "b.lab", 443, "muster/x")));
        assert_eq!(parts("http://[fe80::1]:7"), Some((false, "fe80::1", 7, "")));
        assert_eq!(parts("http://[fe80::1]"), Some((false, "fe80::1", 80, "")));
        for text in ["", "b:1", "ftp://x", "http://", "http://a:b", "http://[::1", "http://::1"] {
            assert_eq!(address_parts(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_that_name_a_node_are_taken() {
        for text in
            ["http://127.0.0.1:7080", "http://[::1]:7080/", "https://server.example", "http://localhost:1/muster"]
        {
            assert_eq!(base_address(text, false).as_deref(), Ok(text.trim_end_matches('/')), "{text}");
        }
        assert!(base_address("http://10.0.0.1:7080", true).is_ok());
    }

    #[test]
    fn addresses_that_are_none_or_leak_are_refused_with_a_word_of_what_to_do() {
        for text in
            ["", "server:7080", "ftp://x", "http://", "http://:80", "http://a:99999", "http://u:p@h", "http://h?x"]
        {
            assert!(base_address(text, true).unwrap_err().contains("write"), "{text}");
        }
        assert!(base_address("http://10.0.0.1:7080", false).unwrap_err().contains("allow_plain"));
    }
}
