//! `muster agent collect [--discovery] [--out FILE]`: collects this host now and shows the inventory file, or the
//! discovery file; nothing is sent.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use muster::time::Timestamp;

use super::collector::{Collected, Identity, Options, collect_with};

/// Why the file is not there.
#[derive(Debug, thiserror::Error)]
pub enum CollectCommandError {
    /// The file given with `--out`.
    #[error("cannot write what was collected to `{}`", path.display())]
    Write {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output, a closed pipe for instance.
    #[error("cannot write what was collected to standard output")]
    Print(#[source] io::Error),
    /// Not on this platform.
    #[error("services are looked for on Linux only: collect without `--discovery`")]
    NoDiscovery,
}

/// What is shown of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The inventory file.
    Inventory,
    /// The discovery file.
    Discovery,
}

/// Collects the host below `root` and writes the file that is `shown` to `out`, or to standard output when there is none.
///
/// What could not be collected is in the result; it is for the caller to show.
pub fn collect_command(
    root: &Path,
    shown: Shown,
    out: Option<&Path>,
    identity: &Identity,
    options: Options,
    now: Timestamp,
) -> Result<Collected, CollectCommandError> {
    let collected = collect_with(root, identity, options, now);
    let mut disco = Vec::new();
    let bytes = match (shown, &collected.disco) {
        (Shown::Inventory, _) => &collected.ndi,
        (Shown::Discovery, None) => return Err(CollectCommandError::NoDiscovery),
        (Shown::Discovery, Some(found)) => {
            found.write(&mut disco).map_err(CollectCommandError::Print)?;
            &disco
        }
    };
    match out {
        Some(path) => {
            fs::write(path, bytes).map_err(|source| CollectCommandError::Write { path: path.into(), source })?
        }
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(CollectCommandError::Print)?;
        }
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use muster::formats::disco::Disco;

    use super::*;

    #[test]
    fn the_file_holds_what_was_collected_and_a_bad_path_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let out = folder.path().join("a.ndi");
        let identity = Identity::default();
        let run =
            |shown, out: &Path| collect_command(&root, shown, Some(out), &identity, Options::default(), Timestamp(0));
        let collected = run(Shown::Inventory, &out).unwrap();
        assert_eq!(fs::read(&out).unwrap(), collected.ndi);
        if let Ok(collected) = run(Shown::Discovery, &out) {
            assert_eq!(Disco::read(&fs::read(&out).unwrap()[..]).unwrap().0, collected.disco.unwrap());
        }
        let error = run(Shown::Inventory, &folder.path().join("absent/a.ndi")).unwrap_err().to_string();
        assert!(error.contains("absent/a.ndi"), "{error}");
    }
}
