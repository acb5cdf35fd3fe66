//! Files and folders that commands name.

use std::io::Read;
use std::path::Path;

use muster_actors::command::Failure;

/// Most bytes of a file that a command names.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// The text of a file that a command names; `what` is wanted of it.
pub fn text_of(file: &Path, what: &str) -> Result<String, Failure> {
    let wrong = |why: String| Failure { text: format!("{}: {why}", file.display()), exit: 2 };
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| wrong(format!("cannot be read: {error}; name {what}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("has more than {} MiB; name {what}", FILE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(format!("line {line} is no UTF-8, write {what} as UTF-8"))
    })
}

/// Makes the folder that `--out` names: a run of minutes must not end in one that cannot be written.
pub fn make_out(out: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(out).map_err(|error| Failure {
        text: format!("--out {}: cannot be made: {error}; name a folder that can be written", out.display()),
        exit: 2,
    })
}
