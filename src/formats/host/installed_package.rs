//! A package as its package manager knows it, whichever manager that is.

use std::collections::BTreeMap;

/// Packages read of one database at most; distributions ship fewer than 100,000 in all.
pub const PACKAGES_LIMIT: usize = 200_000;

/// One installed package.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstalledPackage {
    /// Name; with its architecture where [`tell_architectures_apart`] had to add it.
    pub name: String,
    /// Version as the package manager prints it, with epoch and revision.
    pub version: String,
    /// `amd64`, `noarch`, ...; empty when not given.
    pub architecture: String,
    /// Maintainer or vendor, without mail addresses.
    pub publisher: String,
    /// Section or group; empty when not given.
    pub section: String,
    /// Seconds since 1970 at which it was installed; `None` where the database does not say.
    pub install_time_secs: Option<i64>,
}

/// Adds the architecture to the names of packages that are installed for more than one (`libc6:i386`, `glibc.i686`).
///
/// A name that is installed for one architecture only stays as it is, so that the same package has the same name on
/// hosts of different kinds.
pub fn tell_architectures_apart(packages: &mut [InstalledPackage], separator: char) {
    let mut several: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
    for package in packages.iter() {
        let entry = several.entry(&package.name).or_insert((&package.architecture, false));
        entry.1 |= entry.0 != package.architecture;
    }
    let affected: Vec<bool> =
        packages.iter().map(|package| several[package.name.as_str()].1 && !package.architecture.is_empty()).collect();
    for (package, _) in packages.iter_mut().zip(affected).filter(|(_, affected)| *affected) {
        package.name.push(separator);
        package.name.push_str(&package.architecture);
    }
}

/// `Debian GCC Maintainers <gcc@lists.debian.org>` without the mail address, quotes and doubled spaces.
///
/// A word with an `@` is dropped too: an address must not be sent because its angle brackets were forgotten.
pub fn without_mail_addresses(text: &str) -> String {
    let mut outside = String::with_capacity(text.len());
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => outside.push(if c == '"' { ' ' } else { c }),
            _ => {}
        }
    }
    let mut words: Vec<&str> = outside.split_whitespace().filter(|word| !word.contains('@')).collect();
    // What is left between two addresses: `A <a@x>, B <b@x>` reads `A , B`.
    let mut out = String::with_capacity(outside.len());
    while let Some(&last) = words.last()
        && last.bytes().all(|b| b",;()".contains(&b))
    {
        words.pop();
    }
    for word in words {
        if !out.is_empty() && !word.starts_with([',', ';']) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.trim_matches([',', ';', ' ']).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_keeps_its_name_and_loses_its_address() {
        for (maintainer, publisher) in [
            ("Debian GCC Maintainers <debian-gcc@lists.debian.org>", "Debian GCC Maintainers"),
            ("\"Acme, Inc.\" <a@acme.example>, Beta Team <b@beta.example>", "Acme, Inc., Beta Team"),
            ("someone@example.org", ""),
            ("Someone someone@example.org (work)", "Someone (work)"),
            ("<", ""),
            ("A > B", "A B"),
            ("Red Hat, Inc. <http://bugzilla.redhat.com/bugzilla>", "Red Hat, Inc."),
        ] {
            assert_eq!(without_mail_addresses(maintainer), publisher, "{maintainer}");
        }
    }

    #[test]
    fn only_a_name_of_two_architectures_gets_one() {
        let package = |name: &str, version: &str, architecture: &str| InstalledPackage {
            name: name.into(),
            version: version.into(),
            architecture: architecture.into(),
            ..InstalledPackage::default()
        };
        let mut packages = [
            package("libc6", "2", "amd64"),
            package("libc6", "2", "i386"),
            package("k", "1", "x"),
            package("k", "2", "x"),
        ];
        tell_architectures_apart(&mut packages, ':');
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["libc6:amd64", "libc6:i386", "k", "k"]);
    }
}
