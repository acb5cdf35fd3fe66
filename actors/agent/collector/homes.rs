//! Software in the homes of accounts: for the technologies that policy names, the files `formats::host::home` asks for.
//!
//! Homes belong to others, and the agent may run as root. So below a home no link is followed, only plain files are
//! read, and everything is bounded. A home on a share is not looked into: it is no part of this machine, and its server
//! may be gone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use muster::formats::host::home::{FILE_BYTES_MAX, FILES_MAX, Found, Installed, Technology, Wanted, titles, wanted};
use muster::formats::host::mounts::{Mount, is_on_share, read_mountinfo};
use muster::formats::host::passwd::{homes, read_passwd};
use rustix::fs::{Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use super::host_root::HostRoot;

const PASSWD: &str = "etc/passwd";
const PASSWD_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// As of the disks: a host of many containers mounts some megabytes of text.
const MOUNTINFO_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// Homes looked into.
const HOMES_LIMIT: usize = 10_000;
/// Titles kept of all homes.
const TITLES_LIMIT: usize = 50_000;
/// Bytes held of one technology in one home.
const HOME_BYTES_LIMIT: usize = 8 * 1024 * 1024;
/// Entries read of one folder of a home.
const ENTRIES_LIMIT: usize = 10_000;

/// What was installed in homes by the given technologies, each title once for each account.
pub fn titles_in_homes(host: &HostRoot, technologies: &BTreeSet<Technology>) -> Vec<Installed> {
    let mut found = Vec::new();
    if technologies.is_empty() {
        return found;
    }
    let (accounts, findings) = read_passwd(&host.read_or_empty(PASSWD, PASSWD_BYTES_LIMIT));
    host.report_all(PASSWD, &findings);
    let path = if host.is_live() { "proc/self/mountinfo" } else { "proc/1/mountinfo" };
    let mounts = read_mountinfo(&host.read_or_empty(path, MOUNTINFO_BYTES_LIMIT));
    for (number, (home, account)) in homes(&accounts).into_iter().enumerate() {
        if number == HOMES_LIMIT {
            host.report(PASSWD, format_args!("more than {HOMES_LIMIT} homes, looked into up to there"));
            break;
        }
        let Some(folder) = open_home(host, home, &mounts) else { continue };
        for technology in technologies {
            let traces = Traces::read(&folder, *technology);
            if let Some(problem) = traces.problem {
                host.report(home, format_args!("{technology}: {problem}"));
            }
            let files: Vec<Found> = traces.files.iter().map(|(path, bytes)| Found { path, bytes }).collect();
            let (of_home, findings) = titles(*technology, &account.name, &files);
            host.report_all(&format!("{home} ({technology})"), &findings);
            found.extend(of_home);
        }
        if found.len() > TITLES_LIMIT {
            host.report(PASSWD, format_args!("more than {TITLES_LIMIT} titles in homes, kept up to there"));
            found.truncate(TITLES_LIMIT);
            break;
        }
    }
    found
}

/// The folder of a home, unless it is not there, may not be read or lies on a share.
fn open_home(host: &HostRoot, home: &str, mounts: &[Mount]) -> Option<OwnedFd> {
    // What `passwd` names may be a link that the system's owner made; where it leads must not be a share either.
    if is_on_share(mounts, home) {
        return None;
    }
    let path = host.resolve(home.trim_start_matches('/')).ok()?;
    if host.is_live() && is_on_share(mounts, std::fs::canonicalize(&path).ok()?.to_str()?) {
        return None;
    }
    rustix::fs::open(&path, FOLDER, Mode::empty()).ok()
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A pipe would else be waited for.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// The files and folders of one technology in one home, with their paths below it.
#[derive(Default)]
struct Traces {
    files: Vec<(String, Vec<u8>)>,
    bytes: usize,
    /// Why there may be more.
    problem: Option<String>,
}

impl Traces {
    fn read(home: &OwnedFd, technology: Technology) -> Traces {
        let mut traces = Traces::default();
        for place in wanted(technology) {
            if let Err(error) = traces.read_place(home, place) {
                traces.problem = Some(error.to_string());
            }
        }
        traces
    }

    fn read_place(&mut self, home: &OwnedFd, place: &Wanted) -> io::Result<()> {
        let mut folder = home.try_clone()?;
        for part in place.folder.split('/').filter(|part| !part.is_empty()) {
            match enter(folder.as_fd(), part)? {
                Some(next) => folder = next,
                None => return Ok(()),
            }
        }
        self.descend(folder.as_fd(), place.folder, place.between, place.file)
    }

    /// What stands `between` folders below `folder`, whose path is `path`.
    fn descend(&mut self, folder: BorrowedFd<'_>, path: &str, between: usize, file: &str) -> io::Result<()> {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        if between == 0 {
            return match file {
                "" => self.keep(path.to_owned(), Vec::new()),
                file => match read_file(folder, file)? {
                    Some(bytes) => self.keep(below(file), bytes),
                    None => Ok(()),
                },
            };
        }
        for name in folders(folder)? {
            if let Some(next) = enter(folder, &name)? {
                self.descend(next.as_fd(), &below(&name), between - 1, file)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, path: String, bytes: Vec<u8>) -> io::Result<()> {
        self.bytes += bytes.len();
        // One more than is read: the reader of titles then tells.
        if self.bytes > HOME_BYTES_LIMIT || self.files.len() > FILES_MAX {
            return Err(io::Error::other("more than is read"));
        }
        self.files.push((path, bytes));
        Ok(())
    }
}

/// The folder `name` in `folder`; `None` when there is none or it is a link.
fn enter(folder: BorrowedFd<'_>, name: &str) -> io::Result<Option<OwnedFd>> {
    present(openat(folder, name, FOLDER.union(OFlags::NOFOLLOW), Mode::empty()))
}

/// A plain file of `folder`, one byte more than is read of a too long one; `None` when there is none.
fn read_file(folder: BorrowedFd<'_>, name: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = present(openat(folder, name, FILE.union(OFlags::NOFOLLOW), Mode::empty()))? else {
        return Ok(None);
    };
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What was opened; that nothing is there, or something else, is no error.
fn present(opened: Result<OwnedFd, Errno>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        // A link is `LOOP`, or `NOTDIR` where a folder is wanted; a device without its hardware is `NXIO`.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names of the folders in `folder`, ascending. Names that are no UTF-8 are left out.
fn folders(folder: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)?.take(ENTRIES_LIMIT) {
        let entry = entry?;
        // What the file system does not tell is found out by entering.
        if !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            continue;
        }
        names.extend(entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}
