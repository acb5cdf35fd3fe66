//! The version of a service, as far as the path of its program or its package tells it without a login.

use crate::formats::host::InstalledPackage;

/// Parts of a version.
const PARTS_MAX: usize = 6;
/// Digits of one part; longer ones are dates and hashes.
const DIGITS_MAX: usize = 5;

/// The version that a path names: a part that is one (`19.0.0`, `15`, `19c`), or one that a product's name leads in
/// (`pgsql-15`, `mysql-8.0.36-linux-glibc2.28-x86_64`). The last such part counts; empty without one.
pub(super) fn of_path(path: &str) -> String {
    const PRODUCTS: [&str; 7] = ["pgsql-", "postgresql-", "postgres-", "mysql-", "mariadb-", "oracle-", "dbhome-"];
    let of_part = |part: &str| {
        let product = PRODUCTS.iter().find_map(|product| part.strip_prefix(product));
        match product {
            Some(rest) => rest.split('-').next().filter(|text| is_version(text)).map(str::to_owned),
            None => {
                // Oracle names its releases 11g, 12c, 19c, 23ai.
                let text = ["ai", "c", "g"].iter().find_map(|letters| part.strip_suffix(letters)).unwrap_or(part);
                is_version(text).then(|| text.to_owned())
            }
        }
    };
    path.rsplit('/').take(32).find_map(of_part).unwrap_or_default()
}

/// The version of the packages that `is_one` takes, without what a distribution adds; only when they agree, and go with
/// what the path says (`15.6` with `15`). Empty otherwise.
pub(super) fn of_packages(packages: &[InstalledPackage], path_version: &str, is_one: fn(&str) -> bool) -> String {
    let goes_with_path = |version: &str| {
        let rest = version.strip_prefix(path_version);
        path_version.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut found = packages
        .iter()
        .filter(|package| is_one(package.name.split(':').next().unwrap_or_default()))
        .map(|package| upstream(&package.version))
        .filter(|version| is_version(version) && goes_with_path(version));
    let Some(first) = found.next() else { return String::new() };
    if found.all(|other| other == first) { first.to_owned() } else { String::new() }
}

/// `1:10.11.6-0+deb12u1` without epoch and revision.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.split(['-', '+', '~']).next().unwrap_or_default()
}

/// Whether `text` is whole numbers with points between.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| (1..=DIGITS_MAX).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    text.split('.').count() <= PARTS_MAX && text.split('.').all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_version() {
        for (path, version) in [
            ("/usr/lib/postgresql/15/bin/postgres", "15"),
            ("/usr/pgsql-16/bin/postgres", "16"),
            ("/opt/mysql-8.0.36-linux-glibc2.28-x86_64/bin/mysqld", "8.0.36"),
            ("/opt/mariadb-10.11.6-linux-systemd-x86_64/bin/mariadbd", "10.11.6"),
            ("/u01/app/oracle/product/19.0.0/dbhome_1", "19.0.0"),
            ("/u01/app/oracle/product/12.2.0.1/dbhome_1", "12.2.0.1"),
            ("/u01/app/oracle/19", "19"),
            ("/opt/oracle/product/18c/dbhomeXE", "18"),
            ("/opt/oracle/product/23ai/dbhomeFree", "23"),
            ("/u01/app/oracle/19/patched/21.3/db", "21.3"),
            ("/usr/sbin/mysqld", ""),
            ("/srv/20250314120000/bin/mysqld", ""),
            ("/srv/1..2/.3/4./bin", ""),
            ("", ""),
        ] {
            assert_eq!(of_path(path), version, "{path}");
        }
    }

    fn package(name: &str, version: &str) -> InstalledPackage {
        InstalledPackage { name: name.into(), version: version.into(), ..InstalledPackage::default() }
    }

    #[test]
    fn a_package_tells_the_version_without_what_the_distribution_adds() {
        let any = |packages: &[InstalledPackage], path: &str| of_packages(packages, path, |name| name == "a");
        assert_eq!(any(&[package("a", "1:10.11.6-0+deb12u1")], ""), "10.11.6");
        assert_eq!(any(&[package("a:amd64", "16.0.4115.5-2")], ""), "16.0.4115.5");
        assert_eq!(any(&[package("a", "15.6~rc1-1")], "15"), "15.6");
        assert_eq!(any(&[package("b", "15.6")], ""), "");
        assert_eq!(any(&[package("a", "unknown")], ""), "");
    }

    #[test]
    fn packages_that_do_not_agree_with_each_other_or_the_path_tell_nothing() {
        let packages = [package("a", "15.6-1"), package("a", "16.2-1")];
        assert_eq!(of_packages(&packages, "", |_| true), "");
        assert_eq!(of_packages(&packages, "16", |_| true), "16.2");
        assert_eq!(of_packages(&packages, "1", |_| true), "");
        assert_eq!(of_packages(&packages, "15.6", |_| true), "15.6");
    }
}
