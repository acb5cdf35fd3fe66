//! `muster agent collect [--out FILE]`: collects this host now and shows the inventory file; nothing is sent.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use muster::time::Timestamp;

use super::collector::{Collected, Identity, Options, collect_with};

/// Why the file is not there.
#[derive(Debug, thiserror::Error)]
pub enum CollectCommandError {
    /// The file given with `--out`.
    #[error("cannot write the inventory file `{}`", path.display())]
    Write {
        /// As given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output, a closed pipe for instance.
    #[error("cannot write the inventory file to standard output")]
    Print(#[source] io::Error),
}

/// Collects the host below `root` and writes the inventory file to `out`, or to standard output when there is none.
///
/// What could not be collected is in the result; it is for the caller to show.
pub fn collect_command(
    root: &Path,
    out: Option<&Path>,
    identity: &Identity,
    options: Options,
    now: Timestamp,
) -> Result<Collected, CollectCommandError> {
    let collected = collect_with(root, identity, options, now);
    match out {
        Some(path) => fs::write(path, &collected.ndi)
            .map_err(|source| CollectCommandError::Write { path: path.into(), source })?,
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&collected.ndi).and_then(|()| stdout.flush()).map_err(CollectCommandError::Print)?;
        }
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_what_was_collected_and_a_bad_path_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let out = folder.path().join("a.ndi");
        let identity = Identity::default();
        let run = |out: &Path| collect_command(&root, Some(out), &identity, Options::default(), Timestamp(0));
        let collected = run(&out).unwrap();
        assert_eq!(fs::read(&out).unwrap(), collected.ndi);
        let error = run(&folder.path().join("absent/a.ndi")).unwrap_err().to_string();
        assert!(error.contains("absent/a.ndi"), "{error}");
    }
}
