//! `etc/os-release`: the name and version of a Linux distribution, written as assignments of a shell.
//!
//! Source: manual page `os-release(5)` of systemd 252.

use super::lines;

/// Values are a line of text; a longer one is cut.
const VALUE_BYTES_LIMIT: usize = 1_024;

/// What a distribution says of itself. Empty text where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    /// `ID`: `debian`, `rhel`, `sles`.
    pub id: String,
    /// `NAME`: `Debian GNU/Linux`.
    pub name: String,
    /// `PRETTY_NAME`: `Debian GNU/Linux 12 (bookworm)`.
    pub pretty_name: String,
    /// `VERSION_ID`: `12`.
    pub version_id: String,
    /// `VERSION`: `12 (bookworm)`, `15-SP5`.
    pub version: String,
    /// `VERSION_CODENAME`: `bookworm`.
    pub codename: String,
}

impl OsRelease {
    /// The service pack as SUSE writes it into its version: `SP5` of `15-SP5`; empty elsewhere.
    pub fn service_pack(&self) -> &str {
        let is_pack = |word: &str| {
            word.strip_prefix("SP")
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        self.version.split(['-', ' ']).find(|word| is_pack(word)).unwrap_or_default()
    }
}

/// Reads the file. The last assignment of a name counts, as in a shell.
pub fn read_os_release(bytes: &[u8]) -> OsRelease {
    let mut release = OsRelease::default();
    for line in lines(bytes) {
        let line = line.trim();
        let Some((name, value)) = line.split_once('=') else { continue };
        let field = match name {
            "ID" => &mut release.id,
            "NAME" => &mut release.name,
            "PRETTY_NAME" => &mut release.pretty_name,
            "VERSION_ID" => &mut release.version_id,
            "VERSION" => &mut release.version,
            "VERSION_CODENAME" => &mut release.codename,
            _ => continue,
        };
        *field = unquote(&value[..value.floor_char_boundary(VALUE_BYTES_LIMIT)]);
    }
    release
}

/// The one line of `etc/redhat-release` and its kin, for systems from before os-release: `CentOS release 6.10 (Final)`.
pub fn read_release_line(bytes: &[u8]) -> OsRelease {
    let line = lines(bytes).next().unwrap_or_default();
    let line = line[..line.floor_char_boundary(VALUE_BYTES_LIMIT)].trim();
    let is_version = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    OsRelease {
        pretty_name: line.into(),
        name: line.split(" release ").next().unwrap_or_default().into(),
        version_id: line.split_whitespace().find(|word| is_version(word)).unwrap_or_default().into(),
        ..OsRelease::default()
    }
}

/// The text of a shell's value: quotes taken off, backslash escapes resolved; a `#` is text, as in the manual page.
fn unquote(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut quote = None;
    let mut chars = value.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            '\\' if quote != Some('\'') => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out.trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn debian_says_what_it_is() {
        let release = read_os_release(
            b"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n\
            VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n",
        );
        assert_eq!(
            release,
            OsRelease {
                id: "debian".into(),
                name: "Debian GNU/Linux".into(),
                pretty_name: "Debian GNU/Linux 12 (bookworm)".into(),
                version_id: "12".into(),
                version: "12 (bookworm)".into(),
                codename: "bookworm".into(),
            }
        );
        assert_eq!(release.service_pack(), "");
    }

    #[test]
    fn a_service_pack_is_read_from_the_version_of_suse() {
        let release = read_os_release(b"NAME='SLES'\nVERSION=\"15-SP5\"\nVERSION_ID=\"15.5\"\n# a comment = nothing\n");
        assert_eq!((release.name.as_str(), release.service_pack()), ("SLES", "SP5"));
    }

    #[test]
    fn quotes_and_escapes_are_a_shells() {
        for (value, text) in
            [("\"a \\\"b\\\" c\"", "a \"b\" c"), ("'a\\b'", "a\\b"), ("plain", "plain"), ("\"open", "open")]
        {
            assert_eq!(unquote(value), text, "{value}");
        }
    }

    #[test]
    fn a_system_older_than_os_release_has_one_line() {
        let release = read_release_line(b"CentOS release 6.10 (Final)\n");
        assert_eq!((release.name.as_str(), release.version_id.as_str()), ("CentOS", "6.10"));
        assert_eq!(release.pretty_name, "CentOS release 6.10 (Final)");
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            read_os_release(&bytes);
            read_release_line(&bytes);
        }

        #[test]
        fn any_value_reads_without_panic(value in "[\"'\\\\ -~é]{0,40}") {
            unquote(&value);
        }
    }
}
