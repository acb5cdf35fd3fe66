//! The processes of this host, from `/proc`.
//!
//! Of each process two things are read in every sample: `stat` (parent, start, time of the processor) and where `exe` points.
//! Only of one not seen before, or that runs another program now, `status` too (its account). `cmdline` and `environ`
//! are never opened. Threads of the kernel have no program and are left out, as are processes that may not be looked at
//! and programs of another root: what a container runs is its own, not this host's.
//!
//! Nothing is allocated for a known process: 500 of them take some 10 ms of one core, once a minute.
//!
//! Source: manual page `proc(5)`; agent-beacon-batch reference, section 5.1.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use muster::formats::host::passwd::{ACCOUNTS_LIMIT, read_passwd};
use muster::formats::host::process::{BYTES_LIMIT, ProcessTimes, read_times, read_uids};
use muster::id::Guid;
use muster::model::usage::ProcessSample;
use muster::rng::mix;
use muster::roles::meter::Sample;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, openat, readlinkat_raw, statat};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

use super::effects::SampleProcesses;

/// Processes looked at in one sample.
const PROCESSES_LIMIT: usize = 65_536;
/// The kernel tells programs in this unit, whatever its own.
const TICK_MS: u64 = 10;
/// A process is at work when it took this part of one processor since the sample before: an editor somebody types in
/// does, a service that waits does not.
const ACTIVE_PART: u64 = 200;
/// What the kernel adds to the path of a program that was replaced while it ran.
const DELETED: &str = " (deleted)";
const ACCOUNTS: &str = "/etc/passwd";

/// See the module's head.
#[derive(Default)]
pub struct Processes {
    memory: Mutex<Memory>,
    /// Said once for each life of the process.
    has_warned: AtomicBool,
}

/// What is remembered from one sample to the next.
#[derive(Default)]
struct Memory {
    known: BTreeMap<(u32, u64), Known>,
    accounts: Accounts,
    /// Processes of the last sample whose program the kernel would not tell.
    hidden: usize,
    /// Number of the last sample. Two may be of one millisecond.
    samples: u64,
}

struct Known {
    path: Arc<str>,
    user: Arc<str>,
    /// Whether its program is a file of this host.
    is_ours: bool,
    busy_ticks: u64,
    uptime_ms: u64,
    /// Number of the sample that showed it last.
    sample: u64,
}

impl SampleProcesses for Processes {
    fn sample(&self) -> io::Result<Sample> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = memory.sample(boot(), uptime_ms())?;
        let (hidden, seen) = (memory.hidden, memory.known.len());
        if is_half_blind(hidden, seen) && !self.has_warned.swap(true, Ordering::Relaxed) {
            warn!(
                hidden,
                seen,
                "programs of other accounts are not seen and not metered: run the agent as root or with CAP_SYS_PTRACE, or \
                 set `[usage] allowed = false`"
            );
        }
        Ok(sample)
    }

    fn forget(&self) {
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Memory::default();
    }
}

/// Whether what is hidden is more than the odd process that guards itself: one in four, and at least five.
fn is_half_blind(hidden: usize, seen: usize) -> bool {
    hidden >= 5 && hidden >= seen / 3
}

/// Milliseconds since the machine started, time asleep included.
fn uptime_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec.unsigned_abs()).saturating_mul(1_000).saturating_add(now.tv_nsec.unsigned_abs() / 1_000_000)
}

/// Tells this boot from others.
fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().parse().map_or(0, Guid::seed)
}

impl Memory {
    fn sample(&mut self, boot: u64, uptime_ms: u64) -> io::Result<Sample> {
        self.accounts.refresh();
        self.hidden = 0;
        self.samples += 1;
        let proc = openat(CWD, c"/proc", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut names = [MaybeUninit::uninit(); 16 << 10];
        let mut entries = RawDir::new(&proc, &mut names);
        let mut processes = Vec::with_capacity(self.known.len());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(pid) = std::str::from_utf8(entry.file_name().to_bytes()).ok().and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if processes.len() == PROCESSES_LIMIT {
                break;
            }
            // A process that ends meanwhile, or may not be looked at, is no reason to tell nothing of the others.
            processes.extend(self.look(&proc, entry.file_name(), pid, boot, uptime_ms));
        }
        // What was not seen now has ended.
        self.known.retain(|_, known| known.sample == self.samples);
        Ok(Sample { uptime_ms, processes })
    }

    fn look(&mut self, proc: &OwnedFd, name: &CStr, pid: u32, boot: u64, uptime_ms: u64) -> Option<ProcessSample> {
        let folder = openat(proc, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut target = [0; 4_096];
        let length = match readlinkat_raw(&folder, c"exe", &mut target[..]) {
            Ok(length) => length,
            Err(error) => {
                // A thread of the kernel has no program, which is another error.
                self.hidden += usize::from(matches!(error, Errno::ACCESS | Errno::PERM));
                return None;
            }
        };
        let path = std::str::from_utf8(target.get(..length)?).ok()?;
        let ProcessTimes { parent, start_ticks, busy_ticks } = read_times(read(&folder, c"stat", &mut [0; 2_048])?)?;
        let start = mix(boot, start_ticks);
        let age_ms = uptime_ms.saturating_sub(start_ticks.saturating_mul(TICK_MS));
        let replaced = path.strip_suffix(DELETED);
        let path = replaced.unwrap_or(path);
        let known = match self.known.get_mut(&(pid, start)) {
            Some(known) if *known.path == *path => known,
            _ => {
                let user = self.accounts.name(read_uids(read(&folder, c"status", &mut [0; BYTES_LIMIT])?)?.real);
                let is_ours = replaced.is_some() || is_file_of_this_host(&folder, path);
                let began = uptime_ms.saturating_sub(age_ms);
                let known = Known { path: path.into(), user, is_ours, busy_ticks: 0, uptime_ms: began, sample: 0 };
                self.known.entry((pid, start)).insert_entry(known).into_mut()
            }
        };
        let (busy_ms, passed_ms) = (
            busy_ticks.saturating_sub(known.busy_ticks).saturating_mul(TICK_MS),
            uptime_ms.saturating_sub(known.uptime_ms),
        );
        (known.busy_ticks, known.uptime_ms, known.sample) = (busy_ticks, uptime_ms, self.samples);
        let is_active = busy_ms > 0 && busy_ms.saturating_mul(ACTIVE_PART) >= passed_ms;
        let (path, user) = (known.path.clone(), known.user.clone());
        let process = ProcessSample { pid, start, parent, age_ms, path, user, is_active };
        known.is_ours.then_some(process)
    }
}

/// What one read gives of a file of the kernel.
fn read<'a>(folder: &OwnedFd, name: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let length = rustix::io::read(&file, &mut *buffer).ok()?;
    buffer.get(..length)
}

/// Whether the program is the very file that this host has at `path`.
fn is_file_of_this_host(folder: &OwnedFd, path: &str) -> bool {
    match (statat(folder, c"exe", AtFlags::empty()), fs::metadata(path)) {
        (Ok(program), Ok(file)) => (program.st_dev, program.st_ino) == (file.dev(), file.ino()),
        _ => false,
    }
}

/// Names of accounts by their numbers. Accounts of a directory are not in the file and keep their numbers.
#[derive(Default)]
struct Accounts {
    version: Option<(SystemTime, u64)>,
    names: BTreeMap<u32, Arc<str>>,
}

impl Accounts {
    /// Reads them anew when the file changed.
    fn refresh(&mut self) {
        let version = fs::metadata(ACCOUNTS).ok().and_then(|found| Some((found.modified().ok()?, found.len())));
        if version.is_some() && version == self.version {
            return;
        }
        let (accounts, _) = read_passwd(&fs::read(ACCOUNTS).unwrap_or_default());
        self.names.clear();
        for account in accounts {
            // Of two names of one number the first counts, as everywhere.
            self.names.entry(account.uid).or_insert_with(|| account.name.into());
        }
        self.version = version;
    }

    fn name(&mut self, uid: u32) -> Arc<str> {
        match self.names.get(&uid) {
            Some(name) => name.clone(),
            None => {
                let number: Arc<str> = uid.to_string().into();
                if self.names.len() < ACCOUNTS_LIMIT {
                    self.names.insert(uid, number.clone());
                }
                number
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::agent::collector::account_of_process;

    fn of(sample: &Sample, pid: u32) -> Option<&ProcessSample> {
        sample.processes.iter().find(|process| process.pid == pid)
    }

    /// Runs until its input ends.
    fn child(program: &str) -> Child {
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_few_that_guard_themselves_are_no_reason_to_warn() {
        let (most, half, few, small) =
            (is_half_blind(150, 3), is_half_blind(40, 100), is_half_blind(12, 300), is_half_blind(4, 1));
        assert_eq!((most, half, few, small), (true, true, false, false));
    }

    #[test]
    fn this_process_is_seen_with_its_program_its_account_and_its_age_and_stays_the_same_one() {
        let processes = Processes::default();
        let first = processes.sample().unwrap();
        let own = of(&first, std::process::id()).expect("this process");
        let program = std::env::current_exe().unwrap();
        assert_eq!((&*own.path, &*own.user), (program.to_str().unwrap(), &*account_of_process()));
        assert!(own.age_ms < first.uptime_ms && own.age_ms < 3_600_000, "{own:?}");
        let second = processes.sample().unwrap();
        let again = of(&second, std::process::id()).unwrap();
        assert_eq!((again.start, &again.path), (own.start, &own.path));
        assert!(Arc::ptr_eq(&again.path, &own.path), "nothing is allocated for a known process");
        assert!(second.processes.iter().all(|process| process.path.starts_with('/')));
    }

    #[test]
    fn a_process_that_ended_is_neither_told_nor_remembered() {
        let processes = Processes::default();
        let mut cat = child("cat");
        let pid = cat.id();
        // The child may still be a copy of this process for a moment.
        while of(&processes.sample().unwrap(), pid).is_none_or(|process| !process.path.ends_with("/cat")) {}
        let parent = of(&processes.sample().unwrap(), pid).map(|process| process.parent);
        assert_eq!(parent, Some(std::process::id()));
        assert!(processes.memory.lock().unwrap().known.keys().any(|(known, _)| *known == pid));
        drop(cat.stdin.take());
        cat.wait().unwrap();
        assert_eq!(of(&processes.sample().unwrap(), pid), None);
        assert!(processes.memory.lock().unwrap().known.keys().all(|(known, _)| *known != pid));
        // Two samples of one millisecond are two.
        let (mut memory, mut cat) = (Memory::default(), child("cat"));
        memory.sample(1, 1_000_000_000).unwrap();
        drop(cat.stdin.take());
        cat.wait().unwrap();
        memory.sample(1, 1_000_000_000).unwrap();
        assert!(memory.known.keys().all(|(known, _)| *known != cat.id()));
        processes.forget();
        assert!(processes.memory.lock().unwrap().known.is_empty());
    }

    #[test]
    fn one_process_has_another_start_on_another_boot() {
        let own = |boot: u64| {
            let sample = Memory::default().sample(boot, uptime_ms()).unwrap();
            of(&sample, std::process::id()).unwrap().start
        };
        assert_eq!(own(1), own(1));
        assert_ne!(own(1), own(2));
        assert_ne!(boot(), 0);
    }

    #[test]
    fn a_process_that_works_is_active_and_one_that_waits_is_not() {
        let mut memory = Memory::default();
        let mut cat = child("cat");
        let began = uptime_ms();
        memory.sample(1, began).unwrap();
        // Time of the processor is made, not waited for.
        let mut work = 0u64;
        while uptime_ms() < began + 300 {
            work = mix(work, 1);
        }
        let sample = memory.sample(work | 1, uptime_ms()).unwrap();
        let worked = memory.sample(1, uptime_ms()).unwrap();
        assert!(of(&sample, std::process::id()).is_some());
        assert!(of(&worked, std::process::id()).unwrap().is_active);
        let later = memory.sample(1, uptime_ms() + 600_000).unwrap();
        assert!(!of(&later, cat.id()).unwrap().is_active);
        drop(cat.stdin.take());
        cat.wait().unwrap();
    }

    #[test]
    fn an_account_without_a_name_keeps_its_number() {
        let mut accounts = Accounts::default();
        accounts.refresh();
        assert_eq!((&*accounts.name(0), &*accounts.name(3_999_999_999)), ("root", "3999999999"));
    }
}
