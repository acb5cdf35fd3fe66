//! Files and folders that commands name.

use std::path::Path;

use muster_actors::command::{Failure, read_text};

/// Most bytes of a file that a command names.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The text of a file that a command names; `what` is wanted of it.
pub fn text_of(file: &Path, what: &str) -> Result<String, Failure> {
    read_text(file, FILE_BYTES_MAX)
        .map_err(|error| Failure { text: format!("{}: cannot be read: {error}; name {what}", file.display()), exit: 2 })
}

/// Makes the folder that `--out` names: a run of minutes must not end in one that cannot be written.
pub fn make_out(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|error| Failure {
        text: format!("--out {}: cannot be made: {error}; name a folder that can be written", out.display()),
        exit: 2,
    })
}
