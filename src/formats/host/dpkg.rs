//! `var/lib/dpkg/status`: the packages of a Debian system.
//!
//! Stanzas of `Field: value` lines, separated by empty lines; a line that begins with a space continues the one above.
//! `Status: install ok installed` has three words (wanted, error flag, state); only the state `installed` counts, so a
//! removed package whose configuration files are still there (`config-files`) does not.
//!
//! Source: dpkg 1.21 manual page `deb-control(5)` and `dpkg(1)`, section "Package states".

use super::installed_package::{PACKAGES_LIMIT, tell_architectures_apart, without_mail_addresses};
use super::{Findings, InstalledPackage, lines};

/// Fields are longer than this only in descriptions, which are not read; a longer one is cut.
const FIELD_BYTES_LIMIT: usize = 1_024;

/// The installed packages, in the order of the file. A stanza without a name or version is a finding at its first line.
///
/// A name that is installed for several architectures carries its own, as in `libc6:i386`.
pub fn read_status(bytes: &[u8]) -> (Vec<InstalledPackage>, Findings) {
    let mut packages = Vec::new();
    let mut findings = Findings::default();
    let mut stanza = Stanza::default();
    // An empty line at the end closes the last stanza.
    for (number, line) in (1u64..).zip(lines(bytes).chain([std::borrow::Cow::Borrowed("")])) {
        if !line.trim().is_empty() {
            stanza.read(number, &line);
            continue;
        }
        let Stanza { first_line, is_installed, package } = std::mem::take(&mut stanza);
        if !is_installed {
            continue;
        }
        if package.name.is_empty() || package.version.is_empty() {
            findings.add(first_line, "stanza of an installed package without name or version");
        } else if packages.len() == PACKAGES_LIMIT {
            findings.add(first_line, "more packages than are read");
            break;
        } else {
            packages.push(package);
        }
    }
    tell_architectures_apart(&mut packages, ':');
    (packages, findings)
}

#[derive(Default)]
struct Stanza {
    first_line: u64,
    is_installed: bool,
    package: InstalledPackage,
}

impl Stanza {
    fn read(&mut self, number: u64, line: &str) {
        if self.first_line == 0 {
            self.first_line = number;
        }
        if line.starts_with([' ', '\t']) {
            return;
        }
        let Some((field, value)) = line.split_once(':') else { return };
        let value = cut(value.trim());
        match field {
            _ if field.eq_ignore_ascii_case("Package") => self.package.name = value.into(),
            _ if field.eq_ignore_ascii_case("Version") => self.package.version = value.into(),
            _ if field.eq_ignore_ascii_case("Architecture") => self.package.architecture = value.into(),
            _ if field.eq_ignore_ascii_case("Section") => self.package.section = value.into(),
            _ if field.eq_ignore_ascii_case("Maintainer") => self.package.publisher = without_mail_addresses(value),
            _ if field.eq_ignore_ascii_case("Status") => {
                self.is_installed = value.split_whitespace().nth(2) == Some("installed");
            }
            _ => {}
        }
    }
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(FIELD_BYTES_LIMIT)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATUS: &str = "\
Package: libc6
Status: install ok installed
Priority: optional
Section: libs
Installed-Size: 12999
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u10
Depends: libgcc-s1, libcrypt1 (>= 1:4.4.10-10~)
Conffiles:
 /etc/ld.so.conf.d/x86_64-linux-gnu.conf d4e7a7b88a71b5ffd9e2644e71a0cfab
Description: GNU C Library: Shared libraries
 Contains the standard libraries that are used by nearly all programs.
 .
 Version: not a field but text

Package: libc6
Status: install ok installed
Section: libs
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: i386
Multi-Arch: same
Version: 2.36-9+deb12u10

Package: old-tool
Status: deinstall ok config-files
Architecture: all
Version: 1.0

Package: pinned
Status: hold ok installed
Architecture: all
Version: 1:4-2

Package: broken
Status: install reinstreq half-installed
Version: 3

Package: nameless-version
Status: install ok installed
";

    #[test]
    fn only_installed_stanzas_count_and_two_architectures_are_told_apart() {
        let (packages, findings) = read_status(STATUS.as_bytes());
        let seen: Vec<(&str, &str, &str, &str)> = packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.publisher.as_str(), p.section.as_str()))
            .collect();
        assert_eq!(
            seen,
            [
                ("libc6:amd64", "2.36-9+deb12u10", "GNU Libc Maintainers", "libs"),
                ("libc6:i386", "2.36-9+deb12u10", "GNU Libc Maintainers", "libs"),
                ("pinned", "1:4-2", "", ""),
            ]
        );
        assert_eq!(findings.kept().len(), 1);
        assert_eq!(findings.kept()[0].at, 41);
    }

    #[test]
    fn lines_that_end_in_carriage_return_read_the_same() {
        let (packages, _) = read_status(STATUS.replace('\n', "\r\n").as_bytes());
        assert_eq!(packages, read_status(STATUS.as_bytes()).0);
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            read_status(&bytes);
        }

        #[test]
        fn any_fields_read_without_panic(
            text in "((Package|Status|Version|Maintainer|X|): ?[ -~é]{0,20}(installed)?\n|\n| x\n){0,30}",
        ) {
            read_status(text.as_bytes());
        }
    }
}
