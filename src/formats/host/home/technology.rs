//! The technologies by which people install software into their homes, and where each leaves its traces.

use std::fmt;
use std::str::FromStr;

/// One technology. The order is that in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Technology {
    /// Packages of `npm install --global` with a prefix in the home.
    NpmGlobal,
    /// Programs of `pipx install`.
    Pipx,
    /// Programs of `cargo install`.
    Cargo,
    /// Candidates of SDKMAN.
    Sdkman,
    /// Products of installers made with InstallAnywhere.
    InstallAnywhere,
    /// Products of BEA, WebLogic among them.
    Bea,
}

/// The text names no technology that is known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such technology is known here")]
pub struct UnknownTechnology;

impl Technology {
    /// Every technology.
    pub const ALL: [Technology; 6] = [
        Technology::NpmGlobal,
        Technology::Pipx,
        Technology::Cargo,
        Technology::Sdkman,
        Technology::InstallAnywhere,
        Technology::Bea,
    ];

    /// The word in settings and in evidence.
    pub fn as_str(self) -> &'static str {
        match self {
            Technology::NpmGlobal => "npm-global",
            Technology::Pipx => "pipx",
            Technology::Cargo => "cargo",
            Technology::Sdkman => "sdkman",
            Technology::InstallAnywhere => "InstallAnywhere",
            Technology::Bea => "BEA",
        }
    }
}

impl FromStr for Technology {
    type Err = UnknownTechnology;
    /// Reads the word without regard to ASCII case.
    fn from_str(text: &str) -> Result<Technology, UnknownTechnology> {
        Technology::ALL.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownTechnology)
    }
}

impl fmt::Display for Technology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place below a home: `folder`, then exactly `between` folders of any name, then `file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Path below the home.
    pub folder: &'static str,
    /// Folders of any name below it, at most 2.
    pub between: usize,
    /// Name of the file in the last of them; empty when that folder itself is meant and nothing in it is read.
    pub file: &'static str,
}

impl Wanted {
    /// Whether `path`, relative to the home, is such a place.
    pub fn takes(&self, path: &str) -> bool {
        self.between(path).is_some()
    }

    /// The names of the folders in between, joined by `/`; `None` when `path` is no such place.
    pub(super) fn between<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = match self.folder {
            "" => path,
            folder => path.strip_prefix(folder)?.strip_prefix('/')?,
        };
        let between = match rest.strip_suffix(self.file)? {
            folders if folders.is_empty() || self.file.is_empty() => folders,
            folders => folders.strip_suffix('/')?,
        };
        if between.is_empty() {
            return (self.between == 0).then_some(between);
        }
        let is_name = |name: &str| !matches!(name, "" | "." | "..");
        (between.split('/').count() == self.between && between.split('/').all(is_name)).then_some(between)
    }
}

const fn file(folder: &'static str, between: usize, file: &'static str) -> Wanted {
    Wanted { folder, between, file }
}

/// The places where `technology` leaves its traces. Fixed paths, nothing is searched.
///
/// Source: npm `folders` (prefix `lib/node_modules`, a scoped package one folder further in; the prefixes are those its
/// documentation and packagers advise for a home), pipx `paths`, `cargo install`, SDKMAN's layout, InstallAnywhere's
/// global registry of an installation without root, and the default BEA homes.
pub fn wanted(technology: Technology) -> &'static [Wanted] {
    match technology {
        Technology::NpmGlobal => {
            const {
                &[
                    file(".npm-global/lib/node_modules", 1, "package.json"),
                    file(".npm-global/lib/node_modules", 2, "package.json"),
                    file(".npm-packages/lib/node_modules", 1, "package.json"),
                    file(".npm-packages/lib/node_modules", 2, "package.json"),
                    file(".local/lib/node_modules", 1, "package.json"),
                    file(".local/lib/node_modules", 2, "package.json"),
                ]
            }
        }
        Technology::Pipx => {
            const {
                &[
                    file(".local/share/pipx/venvs", 1, "pipx_metadata.json"),
                    file(".local/pipx/venvs", 1, "pipx_metadata.json"),
                ]
            }
        }
        Technology::Cargo => const { &[file(".cargo", 0, ".crates.toml")] },
        Technology::Sdkman => const { &[file(".sdkman/candidates", 2, "")] },
        Technology::InstallAnywhere => const { &[file("", 0, ".com.zerog.registry.xml")] },
        Technology::Bea => const { &[file("bea", 0, "registry.xml"), file("Oracle/Middleware", 0, "registry.xml")] },
    }
}
