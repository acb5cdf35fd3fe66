//! The files of one host: those of the running system, or of an image mounted somewhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use tracing::debug;

use super::Finding;

/// Findings kept of one collection. A host whose every file is broken has said enough by then.
const FINDINGS_LIMIT: usize = 1_000;
/// Entries read of one folder.
const FOLDER_ENTRIES_LIMIT: usize = 100_000;
/// Symbolic links followed to one file, as in the kernel.
const LINKS_LIMIT: usize = 40;

/// Reads files and folders below one root, each bounded, and keeps what went wrong.
///
/// Paths are given without a leading slash. A file that is not there is nothing; one that cannot be read is a finding.
/// In an image, links are resolved inside it: its `/etc/os-release` must never be that of the collecting machine.
pub struct HostRoot {
    root: PathBuf,
    is_live: bool,
    findings: RefCell<Vec<Finding>>,
}

/// Kind of a folder's entry, links not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Link,
    /// Device, pipe or socket.
    Other,
}

impl HostRoot {
    /// The host whose files lie below `root`.
    pub fn new(root: &Path) -> HostRoot {
        let is_live = fs::canonicalize(root).is_ok_and(|path| path == Path::new("/"));
        HostRoot { root: root.into(), is_live, findings: RefCell::default() }
    }

    /// Whether this is the running system, so that the kernel may be asked about it too.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Notes that `source` could not be used or only in part.
    pub fn report(&self, source: &str, problem: impl ToString) {
        let finding = Finding { source: source.into(), problem: problem.to_string() };
        debug!(source, problem = finding.problem, "part of the host could not be collected");
        let mut findings = self.findings.borrow_mut();
        if findings.len() < FINDINGS_LIMIT {
            findings.push(finding);
        }
    }

    /// Notes an error with its causes.
    pub fn report_error(&self, source: &str, error: &dyn std::error::Error) {
        let mut problem = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            problem.push_str(": ");
            problem.push_str(&error.to_string());
            cause = error.source();
        }
        self.report(source, problem);
    }

    /// Notes what a parser could not use of `source`.
    pub fn report_all(&self, source: &str, findings: &muster::formats::host::Findings) {
        for finding in findings.kept() {
            self.report(source, finding);
        }
        if findings.more() > 0 {
            self.report(source, format_args!("{} more findings", findings.more()));
        }
    }

    /// The findings so far, in the order they were made.
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }

    /// The file's first `bytes_limit` bytes; a longer one is a finding. `None` when there is no such regular file.
    pub fn read(&self, path: &str, bytes_limit: usize) -> Option<Vec<u8>> {
        let read = self.open(path).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let mut bytes = Vec::new();
            file.take(bytes_limit as u64 + 1).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        });
        match read {
            Ok(Some(mut bytes)) if bytes.len() > bytes_limit => {
                self.report(path, format_args!("longer than {bytes_limit} bytes, read up to there"));
                bytes.truncate(bytes_limit);
                Some(bytes)
            }
            Ok(bytes) => bytes,
            Err(error) => {
                self.report(path, error);
                None
            }
        }
    }

    /// Like [`read_or_empty`](Self::read_or_empty), for a file that only root may read on most hosts: one that is not
    /// this agent's to read is no finding.
    pub fn read_if_permitted(&self, path: &str, bytes_limit: usize) -> Vec<u8> {
        match self.open(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Vec::new(),
            _ => self.read_or_empty(path, bytes_limit),
        }
    }

    /// Like [`read`](Self::read), with no file as no bytes.
    pub fn read_or_empty(&self, path: &str, bytes_limit: usize) -> Vec<u8> {
        self.read(path, bytes_limit).unwrap_or_default()
    }

    /// A file of one line, trimmed; empty when it is not there.
    pub fn read_line(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.read_or_empty(path, 4_096)).trim_matches(['\0', '\n', ' ', '\t', '\r']).to_owned()
    }

    /// Whether the file has any content, whatever size it claims: files of the kernel claim none.
    pub fn has_bytes(&self, path: &str) -> bool {
        self.open(path).ok().flatten().is_some_and(|mut file| file.read(&mut [0]).is_ok_and(|count| count > 0))
    }

    /// Opens a regular file; `None` when there is none. Never waits, as opening a pipe would.
    pub fn open(&self, path: &str) -> io::Result<Option<fs::File>> {
        let opened = self.resolve(path).and_then(|path| {
            let mut options = fs::OpenOptions::new();
            std::os::unix::fs::OpenOptionsExt::custom_flags(
                options.read(true),
                rustix::fs::OFlags::NONBLOCK.bits() as i32,
            );
            options.open(path)
        });
        match opened {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
            Ok(_) => Ok(None),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Size and time of change of what `path` leads to.
    pub fn metadata(&self, path: &str) -> Option<fs::Metadata> {
        self.resolve(path).and_then(fs::metadata).ok()
    }

    /// Whether `path` leads to anything.
    pub fn exists(&self, path: &str) -> bool {
        self.metadata(path).is_some()
    }

    /// Where the link at `path` points, as written; `None` when it is no link.
    pub fn read_link(&self, path: &str) -> Option<String> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let target = fs::read_link(self.resolve(folder).ok()?.join(name)).ok()?;
        target.into_os_string().into_string().ok()
    }

    /// The entries of a folder by name; none when there is no such folder. Names that are no UTF-8 are left out.
    pub fn list(&self, path: &str) -> Vec<(String, EntryKind)> {
        let entries = match self.resolve(path).and_then(fs::read_dir) {
            Ok(entries) => entries,
            Err(error) => {
                if !is_absence(&error) {
                    self.report(path, error);
                }
                return Vec::new();
            }
        };
        let mut out = Vec::new();
        for entry in entries.flatten() {
            if out.len() == FOLDER_ENTRIES_LIMIT {
                self.report(path, format_args!("more than {FOLDER_ENTRIES_LIMIT} entries, read up to there"));
                break;
            }
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => EntryKind::Link,
                Ok(kind) if kind.is_dir() => EntryKind::Folder,
                Ok(kind) if kind.is_file() => EntryKind::File,
                _ => EntryKind::Other,
            };
            out.extend(entry.file_name().into_string().map(|name| (name, kind)));
        }
        out.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        out
    }

    /// All files below `path` for whose name `wanted` holds, sorted. Links are not followed; folders for which `enter`
    /// fails are left out, as are those deeper than `depth_limit`.
    pub fn walk(
        &self,
        path: &str,
        limits: WalkLimits,
        enter: fn(&str) -> bool,
        wanted: fn(&str) -> bool,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = VecDeque::from([(path.to_owned(), 0)]);
        let mut entries = 0usize;
        while let Some((folder, depth)) = folders.pop_front() {
            for (name, kind) in self.list(&folder) {
                entries += 1;
                if entries > limits.entries {
                    self.report(
                        path,
                        format_args!("more than {} entries below it, searched up to there", limits.entries),
                    );
                    found.sort_unstable();
                    return found;
                }
                match kind {
                    EntryKind::Folder if depth < limits.depth && enter(&name) => {
                        folders.push_back((format!("{folder}/{name}"), depth + 1));
                    }
                    EntryKind::File if wanted(&name) => found.push(format!("{folder}/{name}")),
                    _ => {}
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// The true path of `path`, its links followed inside the root.
    pub fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        if self.is_live {
            return Ok(Path::new("/").join(path));
        }
        let mut inside = PathBuf::new();
        let mut rest: VecDeque<PathBuf> = parts(Path::new(path)).collect();
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == Path::new("..") {
                inside.pop(); // at the root, `..` is the root
                continue;
            }
            let next = inside.join(&part);
            match fs::read_link(self.root.join(&next)) {
                Ok(target) => {
                    links += 1;
                    if links > LINKS_LIMIT {
                        return Err(io::Error::other("too many symbolic links"));
                    }
                    if target.is_absolute() {
                        inside = PathBuf::new();
                    }
                    for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                Err(_) => inside = next,
            }
        }
        Ok(self.root.join(inside))
    }
}

/// How far [`HostRoot::walk`] goes.
#[derive(Clone, Copy, Debug)]
pub struct WalkLimits {
    /// Folders below the first.
    pub depth: usize,
    /// Entries looked at in all.
    pub entries: usize,
}

fn parts(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        _ => None,
    })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_of_an_image_stay_inside_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        fs::create_dir_all(folder.path().join("usr/lib")).unwrap();
        fs::write(folder.path().join("usr/lib/os-release"), "ID=image").unwrap();
        symlink("../../../../usr/lib/os-release", folder.path().join("etc/up")).unwrap();
        symlink("/usr/lib/os-release", folder.path().join("etc/absolute")).unwrap();
        symlink("loop", folder.path().join("etc/loop")).unwrap();
        symlink("/etc", folder.path().join("alias")).unwrap();
        let host = HostRoot::new(folder.path());
        assert!(!host.is_live());
        for path in ["etc/up", "etc/absolute", "alias/absolute", "usr/lib/os-release"] {
            assert_eq!(host.read(path, 100).as_deref(), Some(&b"ID=image"[..]), "{path}");
        }
        assert_eq!(host.read("etc/loop", 100), None);
        assert_eq!(host.read_link("alias/absolute").as_deref(), Some("/usr/lib/os-release"));
        let findings = host.into_findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].source, "etc/loop");
    }

    #[test]
    fn a_long_file_is_cut_and_a_pipe_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("long"), "0123456789").unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
        assert!(pipe.success());
        let host = HostRoot::new(folder.path());
        assert_eq!(host.read("long", 4).as_deref(), Some(&b"0123"[..]));
        assert_eq!(host.read("pipe", 4), None);
        assert_eq!(host.read("absent", 4), None);
        assert_eq!(host.into_findings().len(), 1);
    }

    #[test]
    fn a_walk_is_bounded_in_depth_and_entries() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b/c")).unwrap();
        for path in ["a/1.tag", "a/b/2.tag", "a/b/c/3.tag", "a/other"] {
            fs::write(folder.path().join(path), "").unwrap();
        }
        symlink("..", folder.path().join("a/b/up")).unwrap();
        let host = HostRoot::new(folder.path());
        let walk = |limits| host.walk("a", limits, |_| true, |name| name.ends_with(".tag"));
        assert_eq!(walk(WalkLimits { depth: 1, entries: 100 }), ["a/1.tag", "a/b/2.tag"]);
        assert_eq!(walk(WalkLimits { depth: 9, entries: 100 }).len(), 3);
        assert_eq!(walk(WalkLimits { depth: 9, entries: 2 }), ["a/1.tag"]);
    }

    #[test]
    fn a_file_that_is_not_this_agents_to_read_is_a_finding_only_where_it_should_be_readable() {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("closed"), "x").unwrap();
        fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        let root = folder.path().to_owned();
        // Root reads everything, so this thread gives that up.
        let findings = std::thread::spawn(move || {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            let host = HostRoot::new(&root);
            assert_eq!(host.read_if_permitted("closed", 4), b"");
            assert_eq!(host.read_if_permitted("absent", 4), b"");
            assert_eq!(host.findings.borrow().len(), 0);
            assert_eq!(host.read("closed", 4), None);
            host.into_findings().len()
        });
        assert_eq!(findings.join().unwrap(), 1);
    }
}
