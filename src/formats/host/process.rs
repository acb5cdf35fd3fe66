//! `proc/PID/stat`, `proc/PID/status` and `proc/PID/cmdline`: what a process is, who runs it, what it calls itself.
//!
//! ```text
//! stat:    4711 (ora_pmon_SALES) S 1 4711 4711 0 -1 4194560 ...      pid (name) state ppid ... 22nd: start time
//! status:  Uid:    1001    1001    1001    1001                      real, effective, saved, of the file system
//! cmdline: tnslsnr NUL LISTENER NUL -inherit NUL                     arguments, ended by NUL
//! ```
//!
//! Arguments hold passwords often enough that they are not kept even in memory: of a command line [`read_command`]
//! takes the first word of the program's own title and, for the one fixed form `tnslsnr NAME`, the name of the
//! listener. Nothing of the environment is read at all.
//!
//! Source: manual page `proc(5)`.

use super::{colon_value, lines};

/// Bytes that are looked at of each of these files; a process can make its command line megabytes long.
pub const BYTES_LIMIT: usize = 16 << 10;
/// A title or a listener's name longer than this is none.
const WORD_BYTES_LIMIT: usize = 400;
/// The listener of Oracle: the one program whose first argument is read.
const LISTENER: &str = "tnslsnr";

/// What is read of `proc/PID/stat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStat {
    /// Number of the process.
    pub pid: u32,
    /// Its name: at most 15 bytes, cut by the kernel; spaces and brackets may stand in it.
    pub name: String,
    /// Number of its parent; 0 for none.
    pub parent: u32,
    /// When it started, in clock ticks since the machine did. With the number it tells one process from a later one.
    pub start_ticks: u64,
}

/// The accounts of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    /// Who started it.
    pub real: u32,
    /// As whom it acts.
    pub effective: u32,
}

/// What a process calls itself. Empty text where it has no such word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// First word of its title, without the path in front: `ora_pmon_SALES`, `postgres`, `postgres:`.
    pub name: String,
    /// Name of the listener in `tnslsnr NAME`; empty for every other program.
    pub listener: String,
}

/// Reads `proc/PID/stat`; `None` when it is not of that form (a process that ends leaves an empty file).
pub fn read_stat(bytes: &[u8]) -> Option<ProcessStat> {
    let bytes = &bytes[..bytes.len().min(BYTES_LIMIT)];
    // The name may hold anything, `) S 1 (` too; what follows it may not hold a bracket.
    let open = bytes.iter().position(|&byte| byte == b'(')?;
    let close = bytes.iter().rposition(|&byte| byte == b')').filter(|&close| close > open)?;
    let pid = std::str::from_utf8(&bytes[..open]).ok()?.trim().parse().ok()?;
    let mut fields = std::str::from_utf8(&bytes[close + 1..]).ok()?.split_ascii_whitespace().skip(1);
    Some(ProcessStat {
        pid,
        name: String::from_utf8_lossy(&bytes[open + 1..close]).into_owned(),
        parent: fields.next()?.parse().ok()?,
        start_ticks: fields.nth(17)?.parse().ok()?,
    })
}

/// Whose child a process is, when it started and how long it has been at work, of `proc/PID/stat`; times in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessTimes {
    /// Number of its parent; 0 for none.
    pub parent: u32,
    /// When it started, since the machine did.
    pub start_ticks: u64,
    /// Time of the processor it has taken, that of the kernel for it included.
    pub busy_ticks: u64,
}

/// Reads parent and times of `proc/PID/stat` and allocates nothing; `None` when it is not of that form.
pub fn read_times(bytes: &[u8]) -> Option<ProcessTimes> {
    let bytes = &bytes[..bytes.len().min(BYTES_LIMIT)];
    let close = bytes.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(&bytes[close + 1..]).ok()?.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(6)?.parse().ok()?;
    Some(ProcessTimes { parent, start_ticks, busy_ticks: user.saturating_add(kernel) })
}

/// Reads the accounts of `proc/PID/status`; `None` when it does not tell.
pub fn read_uids(bytes: &[u8]) -> Option<Uids> {
    let bytes = &bytes[..bytes.len().min(BYTES_LIMIT)];
    lines(bytes).find_map(|line| {
        let mut uids = colon_value(&line, "Uid")?.split_ascii_whitespace();
        Some(Uids { real: uids.next()?.parse().ok()?, effective: uids.next()?.parse().ok()? })
    })
}

/// Whether `proc/PID/status` shows a process of a container: one that has a number of its own in an inner namespace.
/// Kernels before 4.1 do not tell; then it is none.
pub fn is_in_inner_namespace(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(BYTES_LIMIT)];
    lines(bytes).any(|line| colon_value(&line, "NSpid").is_some_and(|pids| pids.split_ascii_whitespace().count() > 1))
}

/// Reads `proc/PID/cmdline`, its arguments dropped; see the module's head.
pub fn read_command(bytes: &[u8]) -> Command {
    let mut arguments = bytes[..bytes.len().min(BYTES_LIMIT)].split(|&byte| byte == 0);
    let title = String::from_utf8_lossy(arguments.next().unwrap_or_default());
    // A program that rewrites its title may have put its arguments there too: only the first word is its name.
    let word = title.split(|c: char| c.is_whitespace() || c.is_control()).next().unwrap_or_default();
    let name = word.rsplit('/').next().unwrap_or_default();
    if name.len() > WORD_BYTES_LIMIT {
        return Command::default();
    }
    let listener = arguments.next().filter(|_| name == LISTENER).unwrap_or_default();
    let listener = std::str::from_utf8(listener).ok().filter(|text| is_listener_name(text)).unwrap_or_default();
    Command { name: name.into(), listener: listener.into() }
}

/// Whether `text` is a name and no option: a letter, then letters, digits, `_`, `.`, `-`.
fn is_listener_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.len() <= WORD_BYTES_LIMIT && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &str = "4711 (ora_pmon_SALES) S 1 4711 4711 0 -1 4194560 101 0 0 0 12 3 0 0 20 0 1 0 1419441 3133440 413 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    const STATUS: &str = "Name:\tora_pmon_SALES\nUmask:\t0022\nState:\tS (sleeping)\nPid:\t4711\nPPid:\t1\n\
        Uid:\t1001\t1002\t1003\t1004\nGid:\t54321\t54321\t54321\t54321\n";

    #[test]
    fn the_fields_that_matter_are_read() {
        let stat = ProcessStat { pid: 4711, name: "ora_pmon_SALES".into(), parent: 1, start_ticks: 1_419_441 };
        assert_eq!(read_stat(STAT.as_bytes()), Some(stat));
        let times = ProcessTimes { parent: 1, start_ticks: 1_419_441, busy_ticks: 15 };
        assert_eq!(read_times(STAT.as_bytes()), Some(times));
        assert_eq!(read_uids(STATUS.as_bytes()), Some(Uids { real: 1001, effective: 1002 }));
    }

    #[test]
    fn a_process_with_a_number_in_an_inner_namespace_is_one_of_a_container() {
        for (line, is_inner) in [("", false), ("NSpid:\t4711\n", false), ("NSpid:\t4711\t1\n", true), ("NSpid:", false)]
        {
            assert_eq!(is_in_inner_namespace(format!("{STATUS}{line}").as_bytes()), is_inner, "{line}");
        }
    }

    #[test]
    fn a_name_may_hold_spaces_brackets_and_what_looks_like_fields() {
        for name in ["tmux: server", "(sd-pam)", ") S 99 (", "a)b(c", "", "\u{fffd}"] {
            let stat = read_stat(STAT.replace("ora_pmon_SALES", name).as_bytes()).unwrap();
            assert_eq!((stat.name.as_str(), stat.parent, stat.start_ticks), (name, 1, 1_419_441));
        }
    }

    #[test]
    fn what_is_no_stat_is_none() {
        for text in [
            "",
            "4711",
            "4711 (x",
            "4711 x) S 1",
            ")(",
            "x (x) S 1",
            "4711 (x) S x 1",
            "4711 (x) S 1 2 3",
            "-1 (x) S 1",
        ] {
            assert_eq!(read_stat(text.as_bytes()), None, "{text}");
        }
        for text in ["", "Uid:", "Uid:\t1", "Uid:\tx\ty", "Guid:\t1\t1"] {
            assert_eq!(read_uids(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_title_is_its_first_word_and_only_a_listener_keeps_its_name() {
        for (bytes, name, listener) in [
            ("ora_pmon_SALES", "ora_pmon_SALES", ""),
            ("/u01/app/oracle/19/bin/tnslsnr\0LISTENER\0-inherit\0", "tnslsnr", "LISTENER"),
            ("tnslsnr\0LISTENER_SCAN1\0-no_crs_notify\0-inherit\0", "tnslsnr", "LISTENER_SCAN1"),
            ("tnslsnr\0-inherit\0", "tnslsnr", ""),
            ("tnslsnr\0pass word\0", "tnslsnr", ""),
            ("mysqld\0--password=s3cret\0", "mysqld", ""),
            ("/usr/sbin/mysqld s3cret", "mysqld", ""),
            ("postgres: kim sales [local] s3cret", "postgres:", ""),
            ("mytnslsnr\0s3cret\0", "mytnslsnr", ""),
            ("", "", ""),
        ] {
            let command = Command { name: name.into(), listener: listener.into() };
            assert_eq!(read_command(bytes.as_bytes()), command, "{bytes:?}");
        }
        assert_eq!(read_command("x".repeat(WORD_BYTES_LIMIT + 1).as_bytes()), Command::default());
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[0-9(): xU]{0,60}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                read_stat(bytes);
                read_uids(bytes);
                is_in_inner_namespace(bytes);
                read_command(bytes);
            }
        }

        #[test]
        fn no_argument_but_a_listeners_name_ever_shows(
            program in "(/usr/bin/)?[a-z]{1,9}",
            gap in "(\0|\0\0| |\t|\n)",
            arguments in "[ -~\0]{0,40}",
        ) {
            prop_assume!(!program.ends_with("tnslsnr"));
            let command = read_command(format!("{program}{gap}s3cret{arguments}").as_bytes());
            let shown = format!("{command:?}");
            prop_assert!(!shown.contains("s3cret"), "{}", shown);
        }

        #[test]
        fn of_a_listener_only_its_first_argument_shows(gap in "\0|\0\0", second in "[ -~]{0,20}") {
            let command = read_command(format!("tnslsnr\0LISTENER{gap}s3cret{second}\0").as_bytes());
            prop_assert_eq!(command.listener, "LISTENER");
        }
    }
}
