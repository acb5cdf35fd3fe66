//! What package managers of programming languages leave in a home. `None`: not of the form that is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Claim, Technology, wanted};

/// `package.json` of an installed package; nothing but name and version is read.
pub(super) fn npm(path: &str, bytes: &[u8]) -> Option<Vec<Claim>> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        #[serde(default)]
        version: String,
    }
    let folders = wanted(Technology::NpmGlobal).iter().find_map(|wanted| wanted.between(path))?;
    // Two folders are a scope and its package; without the sign it is a folder inside of a package.
    if folders.contains('/') != folders.starts_with('@') {
        return Some(Vec::new());
    }
    let Package { name, version } = serde_json::from_slice(bytes).ok()?;
    Some(vec![Claim { name, version, ..Claim::default() }])
}

/// `pipx_metadata.json` of one environment: the program it was made for, not what it draws in.
pub(super) fn pipx(bytes: &[u8]) -> Option<Vec<Claim>> {
    #[derive(Deserialize)]
    struct Metadata {
        main_package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        package: Option<String>,
        package_version: Option<String>,
    }
    let Metadata { main_package } = serde_json::from_slice(bytes).ok()?;
    let (name, version) = (main_package.package?, main_package.package_version.unwrap_or_default());
    Some(vec![Claim { name, version, ..Claim::default() }])
}

/// `.crates.toml`: keys of the form `ripgrep 14.1.0 (registry+https://...)`. The source is dropped: it may be a path of
/// the home or hold a token.
pub(super) fn cargo(bytes: &[u8]) -> Option<Vec<Claim>> {
    #[derive(Deserialize)]
    struct Crates {
        #[serde(default)]
        v1: BTreeMap<String, IgnoredAny>,
    }
    let Crates { v1 } = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    let claim = |key: &String| {
        let mut words = key.split(' ');
        let (name, version) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Claim { name, version, ..Claim::default() })
    };
    Some(v1.keys().filter_map(claim).collect())
}

/// The folder `candidate/version`; `current` is a link to one of the others.
pub(super) fn sdkman(path: &str) -> Option<Vec<Claim>> {
    let folders = wanted(Technology::Sdkman).iter().find_map(|wanted| wanted.between(path))?;
    let (name, version) = folders.split_once('/')?;
    let claim = Claim { name: name.into(), version: version.into(), ..Claim::default() };
    Some(if version == "current" { Vec::new() } else { vec![claim] })
}
