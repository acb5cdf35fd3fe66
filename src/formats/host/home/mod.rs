//! Software that people installed into their own homes: named technologies only, each at fixed places.
//!
//! A home holds what is nobody's business, so nothing is searched. For each technology that policy names, [`wanted`]
//! lists the places where it leaves a trace; the caller reads those files (plain ones, links not followed) and hands
//! them to [`titles`], which takes a name and a version from each and drops the rest. Arguments, sources, paths and
//! addresses in those files never leave this module.
//!
//! Source: operating document "Adopted: Normal Operation", step 6 (homes are read for BEA and InstallAnywhere); the
//! other technologies, and that all of them are off until policy names them, are this project's.

mod packages;
mod registry;
mod technology;

pub use self::technology::{Technology, UnknownTechnology, Wanted, wanted};
use super::Findings;

/// Files that are read of one technology in one home.
pub const FILES_MAX: usize = 2_000;
/// Bytes of one such file; a longer one is left out.
pub const FILE_BYTES_MAX: usize = 256 << 10;
/// Titles of one technology in one home.
pub const TITLES_MAX: usize = 2_000;

/// Characters of a name, a version and a publisher. Source: `agent-beacon-batch` reference, section 4.2.
const NAME_CHARS_MAX: usize = 256;
const VERSION_CHARS_MAX: usize = 72;
const PUBLISHER_CHARS_MAX: usize = 200;

/// A file or folder of a home that some [`Wanted`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Path below the home, with `/` and without one in front.
    pub path: &'a str,
    /// Its content; empty for a folder.
    pub bytes: &'a [u8],
}

/// A title that an account installed for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Never empty.
    pub name: String,
    /// Empty when not known.
    pub version: String,
    /// Empty when not known.
    pub publisher: String,
    /// How it is known: the technology's name.
    pub evidence: &'static str,
    /// The account.
    pub user_name: String,
}

/// What a file says of one title, before it is checked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claim {
    name: String,
    version: String,
    publisher: String,
}

/// The titles of `technology` that the files in `found` show, ascending and each once, whatever the order of `found`.
///
/// `user_name` is the account whose home it is. Findings count the files from 1 in the order of `found`.
pub fn titles(technology: Technology, user_name: &str, found: &[Found]) -> (Vec<Installed>, Findings) {
    let mut findings = Findings::default();
    let mut titles = Vec::new();
    // By path, so that the titles that fit under a limit are the same ones on every reading.
    let mut sorted: Vec<(u64, &Found)> = (1u64..).zip(found).collect();
    sorted.sort_by_key(|(number, found)| (found.path, *number));
    let mut files = 0;
    for (number, found) in sorted {
        if !wanted(technology).iter().any(|wanted| wanted.takes(found.path)) {
            continue;
        }
        files += 1;
        if files > FILES_MAX {
            findings.add(number, "more files than are read");
            break;
        }
        if found.bytes.len() > FILE_BYTES_MAX {
            findings.add(number, "larger than is read");
            continue;
        }
        let claims = match technology {
            Technology::NpmGlobal => packages::npm(found.path, found.bytes),
            Technology::Pipx => packages::pipx(found.bytes),
            Technology::Cargo => packages::cargo(found.bytes),
            Technology::Sdkman => packages::sdkman(found.path),
            Technology::InstallAnywhere => registry::install_anywhere(found.bytes),
            Technology::Bea => registry::bea(found.bytes),
        };
        let Some(claims) = claims else {
            findings.add(number, "not of the form that is read");
            continue;
        };
        for claim in claims {
            match installed(technology, user_name, &claim) {
                Some(_) if titles.len() == TITLES_MAX => {
                    findings.add(number, "more titles than are read");
                    break;
                }
                Some(title) => titles.push(title),
                None => findings.add(number, "title without a plain name"),
            }
        }
    }
    titles.sort();
    titles.dedup();
    (titles, findings)
}

fn installed(technology: Technology, user_name: &str, claim: &Claim) -> Option<Installed> {
    let text = |text: &str, chars_max: usize| -> Option<String> {
        let text = text.trim();
        (!text.chars().any(char::is_control)).then(|| text.chars().take(chars_max).collect())
    };
    Some(Installed {
        name: text(&claim.name, NAME_CHARS_MAX).filter(|name| !name.is_empty())?,
        version: text(&claim.version, VERSION_CHARS_MAX).unwrap_or_default(),
        publisher: text(&claim.publisher, PUBLISHER_CHARS_MAX).unwrap_or_default(),
        evidence: technology.as_str(),
        user_name: user_name.into(),
    })
}

#[cfg(test)]
mod tests;
