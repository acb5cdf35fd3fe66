//! What is kept of a reconcile: the folder that it read, so that it can be shown and calculated again on any later day.
//!
//! ```text
//! DATA/reconciles/TENANT/NUMBER/   devices.csv.gz licenses.csv.gz ...   the input, file by file
//!                                  installations.csv.gz                 a gzip member for each application
//!                                  license_result.csv.gz warnings.csv.gz peaks.csv is among the input
//!                                  provenance.csv.gz                    who gave the figures and purchases
//!                                  manifest.json                        digest of each file, where each member begins
//! ```
//!
//! Written under another name, synced and renamed before the fact that names it is committed. Nothing in it is ever changed.
//! `zcat` shows every file, and `muster reconcile --input` takes the unpacked folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use hashbrown::HashMap;
use muster::id::{Digest, TenantId};
use muster::model::estate::Number;
use muster::model::folder::{FolderError, Source, cell};
use muster::model::software::{Title, TitleId};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::frozen::Frozen;

/// Bytes of a file of a run when it is inflated, at most: 50 million installations have some 3 GB.
const FILE_BYTES_MAX: u64 = 16 << 30;
/// Quick: a run is written by the task that everybody waits for.
const LEVEL: u32 = 1;
/// The file of the installations.
const INSTALLATIONS: &str = "installations.csv";
/// The manifest.
const MANIFEST: &str = "manifest.json";

/// Why the folder of a run is not written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// The disk.
    #[error("cannot {what} `{}`", path.display())]
    Disk {
        /// `read` or `write`.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what was written.
    #[error("`{}` is not what was written: the run cannot be shown", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// It does not read as a folder of a reconcile.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    /// Version of the program that calculated it.
    version: String,
    files: BTreeMap<String, FileEntry>,
    /// Where the installations of an application begin, how many bytes they have, and their digest.
    applications: BTreeMap<String, (u64, u64, Digest)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FileEntry {
    /// Of the packed bytes.
    digest: Digest,
    /// Unpacked bytes.
    bytes: u64,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

/// Counts and digests what goes through.
struct Digested<W> {
    inner: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

type Packed = Digested<BufWriter<File>>;

/// Writes one packed file; the answer: its entry.
fn packed(path: &Path, write: impl FnOnce(&mut Packed) -> io::Result<u64>) -> Result<FileEntry, RunFolderError> {
    let written = || {
        let mut out = Digested { inner: BufWriter::new(File::create(path)?), hasher: Sha256::new(), written: 0 };
        let bytes = write(&mut out)?;
        out.flush()?;
        out.inner.get_ref().sync_all()?;
        Ok(FileEntry { digest: Digest(out.hasher.finalize().into()), bytes })
    };
    written().map_err(|source| RunFolderError::Disk { what: "write", path: path.to_owned(), source })
}

/// Packs a text as one member.
fn member(out: &mut Packed, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    struct Counted<W>(W, u64);
    impl<W: Write> Write for Counted<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.0.write(bytes)?;
            self.1 += count as u64;
            Ok(count)
        }
        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    let mut counted = Counted(BufWriter::with_capacity(1 << 16, GzEncoder::new(out, Compression::new(LEVEL))), 0);
    write(&mut counted)?;
    let Counted(encoder, bytes) = counted;
    encoder.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    Ok(bytes)
}

/// The title as evidence is shown: `nginx 1.22.1-9 (deb, Debian Nginx Maintainers)`.
pub fn evidence_text(title: &Title) -> String {
    let parts = [title.evidence(), title.publisher()];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = [title.name(), title.version()].join(" ");
    format!("{} ({})", name.trim_end(), known.join(", "))
}

impl RunFolder {
    /// The folder of a run.
    pub fn of(data: &Path, tenant: &TenantId, number: u64) -> RunFolder {
        RunFolder(RunFolder::of_tenant(data, tenant).join(number.to_string()))
    }

    fn of_tenant(data: &Path, tenant: &TenantId) -> PathBuf {
        data.join("reconciles").join(tenant.as_str())
    }

    /// Numbers of the runs of a tenant of which there is a folder, or what a life left of one that it removed.
    pub fn numbers(data: &Path, tenant: &TenantId) -> Vec<u64> {
        let entries = fs::read_dir(RunFolder::of_tenant(data, tenant)).into_iter().flatten().flatten();
        // Only names as they are written here.
        let number = |name: &str| name.parse().ok().filter(|number: &u64| number.to_string() == name);
        entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect()
    }

    /// Writes it; the digest of its manifest. `results` are tables of the result: name, text.
    pub fn write(&self, frozen: &Frozen, results: &[(&'static str, &[u8])]) -> Result<Digest, RunFolderError> {
        let RunFolder(target) = self;
        let part = target.with_extension("part");
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunFolderError::Disk { what: "write", path, source }
        };
        // Of a life that ended before it was named by a fact.
        for old in [&part, target] {
            match fs::remove_dir_all(old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(old)(error)),
                _ => {}
            }
        }
        fs::create_dir_all(&part).map_err(failed(&part))?;
        let mut manifest = Manifest { version: env!("CARGO_PKG_VERSION").into(), ..Manifest::default() };
        let inputs = frozen.files.iter().map(|(name, text)| (*name, text.as_slice()));
        for (name, text) in inputs.chain(results.iter().copied()) {
            let entry = packed(&part.join(format!("{name}.gz")), |out| member(out, |packer| packer.write_all(text)))?;
            manifest.files.insert(name.into(), entry);
        }
        let entry = packed(&part.join(format!("{INSTALLATIONS}.gz")), |out| {
            installations(out, frozen, &mut manifest.applications)
        })?;
        manifest.files.insert(INSTALLATIONS.into(), entry);
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from).map_err(failed(&part))?;
        let path = part.join(MANIFEST);
        let synced = || {
            let mut file = File::create(&path)?;
            file.write_all(&text)?;
            file.sync_all()?;
            File::open(&part)?.sync_all()?;
            fs::rename(&part, target)?;
            File::open(target.parent().unwrap_or(target))?.sync_all()
        };
        synced().map_err(failed(target))?;
        Ok(Digest::of(&text))
    }

    /// Opens it; `digest` is that of its manifest.
    pub fn open(&self, digest: Digest) -> Result<OpenRun, RunFolderError> {
        let path = self.0.join(MANIFEST);
        let text =
            fs::read(&path).map_err(|source| RunFolderError::Disk { what: "read", path: path.clone(), source })?;
        let manifest = serde_json::from_slice(&text).ok().filter(|_| Digest::of(&text) == digest);
        Ok(OpenRun { folder: self.0.clone(), manifest: manifest.ok_or(RunFolderError::Damaged { path })? })
    }

    /// Removes it.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// Applications that are packed at once, for each thread.
const PACKED_AT_ONCE: usize = 4;

/// The rows of an application, packed.
struct Member {
    packed: Vec<u8>,
    /// Unpacked bytes.
    bytes: u64,
    digest: Digest,
}

/// Writes the installations, a member for each application, packed on all threads.
fn installations(
    out: &mut Packed,
    frozen: &Frozen,
    places: &mut BTreeMap<String, (u64, u64, Digest)>,
) -> io::Result<u64> {
    let mut bytes = member(out, |packer| packer.write_all(b"device,application,evidence\n"))?;
    let texts: HashMap<TitleId, String> =
        frozen.titles.iter().map(|(id, title)| (*id, cell(&evidence_text(title)).into_owned())).collect();
    let all: Vec<Number> = (0..).zip(&frozen.shown_by).filter(|(_, rows)| !rows.is_empty()).map(|(at, _)| at).collect();
    for some in all.chunks(PACKED_AT_ONCE * rayon::current_num_threads()) {
        let packed = some.par_iter().map(|&application| Member::of(frozen, application, &texts));
        for (application, member) in some.iter().zip(packed.collect::<Vec<io::Result<Member>>>()) {
            let (member, start) = (member?, out.written);
            out.write_all(&member.packed)?;
            bytes += member.bytes;
            let id = frozen.folder.estate.application_ids.name(*application);
            places.insert(id.to_owned(), (start, out.written - start, member.digest));
        }
    }
    Ok(bytes)
}

impl Member {
    /// `texts`: what each title is shown as, as a cell.
    fn of(frozen: &Frozen, application: Number, texts: &HashMap<TitleId, String>) -> io::Result<Member> {
        let estate = &frozen.folder.estate;
        let id = cell(estate.application_ids.name(application));
        let (mut packer, mut text) = (GzEncoder::new(Vec::new(), Compression::new(LEVEL)), Vec::new());
        let mut bytes = 0;
        for rows in frozen.shown_by[application as usize].chunks(ROWS_AT_ONCE) {
            text.clear();
            for (device, title) in rows {
                let shown = texts.get(title).map(String::as_str).unwrap_or_default();
                for part in [&*cell(estate.device_ids.name(*device)), ",", &*id, ",", shown, "\n"] {
                    text.extend_from_slice(part.as_bytes());
                }
            }
            packer.write_all(&text)?;
            bytes += text.len() as u64;
        }
        let packed = packer.finish()?;
        Ok(Member { digest: Digest::of(&packed), packed, bytes })
    }
}

/// Rows that go into a packer together.
const ROWS_AT_ONCE: usize = 1_000;

/// A folder whose manifest was read.
#[derive(Debug)]
pub struct OpenRun {
    folder: PathBuf,
    manifest: Manifest,
}

impl OpenRun {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.gz"))
    }

    /// A file of it, unpacked and checked.
    pub fn text(&self, name: &str) -> Result<Option<Vec<u8>>, RunFolderError> {
        let Some(entry) = self.manifest.files.get(name) else { return Ok(None) };
        let path = self.path(name);
        let damaged = || RunFolderError::Damaged { path: path.clone() };
        let packed =
            fs::read(&path).map_err(|source| RunFolderError::Disk { what: "read", path: path.clone(), source })?;
        if Digest::of(&packed) != entry.digest || entry.bytes > FILE_BYTES_MAX {
            return Err(damaged());
        }
        let mut text = Vec::with_capacity(entry.bytes as usize);
        MultiGzDecoder::new(&packed[..]).take(entry.bytes).read_to_end(&mut text).map_err(|_| damaged())?;
        if text.len() as u64 == entry.bytes { Ok(Some(text)) } else { Err(damaged()) }
    }

    /// What shows that each of `devices` has an application: by device, as far as it stands there.
    pub fn evidence(&self, application: &str, devices: &[&str]) -> Result<BTreeMap<String, String>, RunFolderError> {
        let mut found = BTreeMap::new();
        let Some(&(start, bytes, digest)) = self.manifest.applications.get(application) else { return Ok(found) };
        let path = self.path(INSTALLATIONS);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(start))?;
            let mut packed = Vec::new();
            file.take(bytes).read_to_end(&mut packed)?;
            Ok(packed)
        };
        let packed = read().map_err(|source| RunFolderError::Disk { what: "read", path: path.clone(), source })?;
        let damaged = || RunFolderError::Damaged { path: path.clone() };
        if Digest::of(&packed) != digest {
            return Err(damaged());
        }
        let rows = MultiGzDecoder::new(&packed[..]).take(FILE_BYTES_MAX);
        let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(rows);
        let mut row = csv::StringRecord::new();
        let devices: hashbrown::HashSet<&str> = devices.iter().copied().collect();
        while found.len() < devices.len() && rows.read_record(&mut row).map_err(|_| damaged())? {
            if let (Some(device), Some(evidence)) = (row.get(0), row.get(2))
                && devices.contains(device)
            {
                found.insert(device.to_owned(), evidence.to_owned());
            }
        }
        Ok(found)
    }
}

impl Source for &OpenRun {
    type Bytes = Vec<u8>;
    type Error = RunFolderError;
    fn file(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, RunFolderError> {
        self.text(name)
    }
}
