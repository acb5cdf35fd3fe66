//! The programs of a script: real ones of this host that wait for their standard input.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use muster::formats::host::passwd::read_passwd;

use super::UsageError;
use super::script::{FAMILY, PAIR, PROGRAMS};

/// A program, and the package that dpkg says it is of.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Name of the package.
    pub package: &'static str,
    /// Path of the executable, as the kernel tells it.
    path: &'static str,
    arguments: &'static [&'static str],
}

impl Program {
    /// Name of its file, as reports give it.
    pub fn file(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_here(&self) -> bool {
        let list = format!("/var/lib/dpkg/info/{}.list", self.package);
        Path::new(&list).is_file() && Path::new(self.path).is_file()
    }
}

/// Essential packages of Debian and a few that most systems have.
const KNOWN: [Program; 11] = [
    Program { package: "mawk", path: "/usr/bin/mawk", arguments: &["1"] },
    Program { package: "gzip", path: "/usr/bin/gzip", arguments: &["-c"] },
    Program { package: "tar", path: "/usr/bin/tar", arguments: &["-tf", "-"] },
    Program { package: "sed", path: "/usr/bin/sed", arguments: &["p"] },
    Program { package: "findutils", path: "/usr/bin/xargs", arguments: &[] },
    Program { package: "diffutils", path: "/usr/bin/diff", arguments: &["-", "/etc/passwd"] },
    Program { package: "grep", path: "/usr/bin/grep", arguments: &["x"] },
    Program { package: "perl-base", path: "/usr/bin/perl", arguments: &["-pe", "1"] },
    Program { package: "bash", path: "/usr/bin/bash", arguments: &["--norc"] },
    Program { package: "util-linux", path: "/usr/bin/rev", arguments: &[] },
    Program { package: "xz-utils", path: "/usr/bin/xz", arguments: &["-c"] },
];
/// Two programs of one package, which is that of the sleepers too.
const TWINS: [Program; 2] = [
    Program { package: "coreutils", path: "/usr/bin/cat", arguments: &[] },
    Program { package: "coreutils", path: "/usr/bin/wc", arguments: &[] },
];
/// A shell with two shells below it, one of them below the other, that wait until the input ends.
const SHELLS: Program = Program {
    package: "dash",
    path: "/usr/bin/dash",
    arguments: &["-c", "exec 3<&0; dash -c 'dash -c \"read line; exit\" <&3 & read line; wait' <&3 & read line; wait"],
};
/// What waits in great numbers beside them.
pub const SLEEPER: Program = Program { package: "coreutils", path: "/usr/bin/sleep", arguments: &["1000000"] };

/// The programs of a script by their numbers, of those that this host has.
pub fn programs() -> Result<Vec<Program>, UsageError> {
    let mut found: Vec<Program> = KNOWN.into_iter().filter(Program::is_here).take(PROGRAMS - 3).collect();
    let special = [(PAIR[0], TWINS[0]), (PAIR[1], TWINS[1]), (FAMILY, SHELLS)];
    for (number, program) in special.into_iter().filter(|(_, program)| program.is_here()) {
        found.insert(number.min(found.len()), program);
    }
    if found.len() == PROGRAMS { Ok(found) } else { Err(UsageError::Programs { found: found.len() }) }
}

/// Who runs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, as reports give it.
    pub name: String,
    /// Its number when it is another one than this program's.
    uid: Option<u32>,
}

impl Account {
    /// An account that runs nothing else: `nobody` when this program may start processes of others, else its own, of
    /// which nothing else should run meanwhile.
    pub fn quiet() -> Result<Account, UsageError> {
        let text = std::fs::read("/etc/passwd")
            .map_err(|source| UsageError::World { doing: "read `/etc/passwd`".into(), source })?;
        let (accounts, _) = read_passwd(&text);
        let own = rustix::process::geteuid();
        let other = accounts.iter().find(|account| account.name == "nobody").filter(|_| own.is_root());
        if let Some(other) = other {
            return Ok(Account { name: other.name.clone(), uid: Some(other.uid) });
        }
        let known = accounts.into_iter().find(|account| account.uid == own.as_raw());
        Ok(Account { name: known.map_or(own.as_raw().to_string(), |account| account.name), uid: None })
    }
}

/// A process that is killed when it is dropped. Its children, if any, see the end of their input then.
pub struct Process(Child);

impl Process {
    /// Starts `program` for `account`; it does nothing.
    pub fn start(program: &Program, account: &Account) -> Result<Process, UsageError> {
        let mut command = Command::new(program.path);
        command.args(program.arguments).current_dir("/").env_clear().env("PATH", "/usr/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(uid) = account.uid {
            command.uid(uid).gid(uid);
        }
        let started = command.spawn();
        started.map(Process).map_err(|source| UsageError::World { doing: format!("start `{}`", program.path), source })
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Ends it and keeps the input of its children open.
    pub fn orphan(&mut self) {
        let input = self.0.stdin.take();
        // It may have ended by itself, which `is_alive` has told.
        drop(self.0.kill());
        // Waiting would close the input that is still there.
        drop(self.0.wait());
        self.0.stdin = input;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which `is_alive` has told.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
