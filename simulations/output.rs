//! Lines on stdout, which may be closed at any time: `muster-sim chaos ... | head -1`.

use std::io;

use muster_actors::command::{Failure, print_line};

/// Why a command stops printing.
#[derive(Debug)]
pub enum Stopped {
    /// Whoever read has seen enough: the command ends in peace.
    Closed,
    /// It failed.
    Failed(Failure),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stopped::Closed,
            _ => Stopped::Failed(Failure { text: format!("cannot write to stdout: {error}"), exit: 1 }),
        }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Failed(failure)
    }
}

impl Stopped {
    /// What the command ends with.
    pub fn end(ended: Result<(), Stopped>) -> Result<(), Failure> {
        match ended {
            Ok(()) | Err(Stopped::Closed) => Ok(()),
            Err(Stopped::Failed(failure)) => Err(failure),
        }
    }
}

/// Prints a line at once.
pub fn print(line: &str) -> Result<(), Stopped> {
    Ok(print_line(line)?)
}

/// A word of a command line, quoted where a shell would take it apart.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted("found/seed-1.toml"), "found/seed-1.toml");
        assert_eq!((&*quoted("fo und"), &*quoted("it's"), &*quoted("")), ("'fo und'", r"'it'\''s'", "''"));
    }

    #[test]
    fn a_closed_stdout_ends_in_peace_and_a_full_disk_does_not() {
        let of = |kind: io::ErrorKind| Stopped::end(Err(io::Error::from(kind).into()));
        assert!(of(io::ErrorKind::BrokenPipe).is_ok());
        assert_eq!(of(io::ErrorKind::StorageFull).unwrap_err().exit, 1);
    }
}
