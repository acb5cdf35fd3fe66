//! One header of an rpm database: the blob that describes an installed package.
//!
//! ```text
//! entries u32 | data bytes u32 | entries x (tag u32, type u32, offset u32, count u32) | data        (all big-endian)
//! ```
//!
//! Offsets count from the start of the data. A string ends at its NUL; an international string is a list of which the
//! first is the untranslated one. In a package file the same block stands behind eight bytes of magic; a database has
//! none. Everything but the few tags below is skipped unread.
//!
//! Source: rpm 4.18, `docs/manual/format.md`, `include/rpm/rpmtag.h`; limits as its own reader has them.

use super::InstalledPackage;
use super::installed_package::without_mail_addresses;

/// Entries rpm itself accepts.
const ENTRIES_LIMIT: usize = 0xffff;
/// Data bytes rpm itself accepts.
const DATA_BYTES_LIMIT: usize = 256 * 1024 * 1024;
/// No name, version or vendor is longer; what is longer is cut.
const TEXT_BYTES_LIMIT: usize = 1_024;

const TAG_NAME: u32 = 1000;
const TAG_VERSION: u32 = 1001;
const TAG_RELEASE: u32 = 1002;
const TAG_EPOCH: u32 = 1003;
const TAG_INSTALL_TIME: u32 = 1008;
const TAG_VENDOR: u32 = 1011;
const TAG_PACKAGER: u32 = 1015;
const TAG_GROUP: u32 = 1016;
const TAG_ARCHITECTURE: u32 = 1022;

const TYPE_INT32: u32 = 4;
const TYPE_STRING: u32 = 6;
const TYPE_STRING_ARRAY: u32 = 8;
const TYPE_I18N_STRING: u32 = 9;

/// Why a blob is no header of an installed package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpmHeaderError {
    /// Shorter than its own lengths say.
    #[error("header is cut off")]
    CutOff,
    /// More entries or data than rpm accepts.
    #[error("header lengths are beyond what rpm accepts")]
    TooLong,
    /// Nothing to call it by.
    #[error("header has no name or version")]
    Nameless,
}

/// One header, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpmHeader {
    /// Name.
    pub name: String,
    /// Counter that overrides versions; absent in most packages.
    pub epoch: Option<u32>,
    /// Version of the software.
    pub version: String,
    /// Release of the package.
    pub release: String,
    /// `x86_64`, `noarch`, ...; empty for a signing key.
    pub architecture: String,
    /// Vendor, or the packager where there is none.
    pub vendor: String,
    /// Group, mostly `Unspecified`.
    pub group: String,
    /// Seconds since 1970.
    pub install_time_secs: Option<i64>,
}

impl RpmHeader {
    /// Whether this is a signing key that rpm stores as if it were a package.
    pub fn is_public_key(&self) -> bool {
        self.name == "gpg-pubkey" && self.architecture.is_empty()
    }

    /// `epoch:version-release`, the epoch only where there is one, as rpm's `%{EVR}`.
    pub fn full_version(&self) -> String {
        let epoch = self.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let release = if self.release.is_empty() { String::new() } else { format!("-{}", self.release) };
        format!("{epoch}{}{release}", self.version)
    }
}

impl From<RpmHeader> for InstalledPackage {
    fn from(header: RpmHeader) -> InstalledPackage {
        InstalledPackage {
            version: header.full_version(),
            publisher: without_mail_addresses(&header.vendor),
            name: header.name,
            architecture: header.architecture,
            section: header.group,
            install_time_secs: header.install_time_secs,
        }
    }
}

/// The two parts of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    index: &'a [u8],
    pub(super) data: &'a [u8],
}

/// One tag of a header: where its values are, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tag: u32,
    pub(super) kind: u32,
    pub(super) offset: usize,
    pub(super) count: usize,
}

impl<'a> Parts<'a> {
    /// Of a blob; bytes behind the header are ignored.
    pub(super) fn of(blob: &'a [u8]) -> Result<Parts<'a>, RpmHeaderError> {
        let entries = number(blob, 0).ok_or(RpmHeaderError::CutOff)? as usize;
        let data_bytes = number(blob, 4).ok_or(RpmHeaderError::CutOff)? as usize;
        if entries > ENTRIES_LIMIT || data_bytes > DATA_BYTES_LIMIT {
            return Err(RpmHeaderError::TooLong);
        }
        let data_at = 8 + 16 * entries;
        let index = blob.get(8..data_at).ok_or(RpmHeaderError::CutOff)?;
        let data = blob.get(data_at..data_at + data_bytes).ok_or(RpmHeaderError::CutOff)?;
        Ok(Parts { index, data })
    }

    /// Its tags that have values.
    pub(super) fn entries(self) -> impl Iterator<Item = Entry> {
        self.index.chunks_exact(16).filter_map(|entry| {
            let (tag, kind) = (number(entry, 0)?, number(entry, 4)?);
            let (offset, count) = (number(entry, 8)? as usize, number(entry, 12)? as usize);
            (count > 0).then_some(Entry { tag, kind, offset, count })
        })
    }
}

/// Reads the blob of one installed package. Bytes behind the header are ignored.
pub fn read_header(blob: &[u8]) -> Result<RpmHeader, RpmHeaderError> {
    let parts = Parts::of(blob)?;
    let data = parts.data;
    let mut header = RpmHeader::default();
    let mut packager = String::new();
    for Entry { tag, kind, offset, .. } in parts.entries() {
        match tag {
            TAG_NAME => text(data, kind, offset, &mut header.name),
            TAG_VERSION => text(data, kind, offset, &mut header.version),
            TAG_RELEASE => text(data, kind, offset, &mut header.release),
            TAG_ARCHITECTURE => text(data, kind, offset, &mut header.architecture),
            TAG_VENDOR => text(data, kind, offset, &mut header.vendor),
            TAG_PACKAGER => text(data, kind, offset, &mut packager),
            TAG_GROUP => text(data, kind, offset, &mut header.group),
            TAG_EPOCH if kind == TYPE_INT32 => header.epoch = number(data, offset),
            TAG_INSTALL_TIME if kind == TYPE_INT32 => header.install_time_secs = number(data, offset).map(i64::from),
            _ => {}
        }
    }
    if header.vendor.is_empty() || header.vendor == "(none)" {
        header.vendor = packager;
    }
    if header.name.is_empty() || header.version.is_empty() {
        return Err(RpmHeaderError::Nameless);
    }
    Ok(header)
}

/// The first string at `offset`, unless `out` has one already: of two equal tags the first counts.
fn text(data: &[u8], kind: u32, offset: usize, out: &mut String) {
    if !out.is_empty() || !matches!(kind, TYPE_STRING | TYPE_STRING_ARRAY | TYPE_I18N_STRING) {
        return;
    }
    let Some(rest) = data.get(offset..) else { return };
    let rest = &rest[..rest.len().min(TEXT_BYTES_LIMIT)];
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    *out = String::from_utf8_lossy(&rest[..end]).trim().into();
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header with the given texts and numbers, as rpm lays it out.
    fn header(texts: &[(u32, u32, &str)], numbers: &[(u32, u32)]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut index = Vec::new();
        let mut entry = |tag: u32, kind: u32, offset: usize| {
            for word in [tag, kind, offset as u32, 1] {
                index.extend(word.to_be_bytes());
            }
        };
        for &(tag, number) in numbers {
            entry(tag, TYPE_INT32, data.len());
            data.extend(number.to_be_bytes());
        }
        for &(tag, kind, text) in texts {
            entry(tag, kind, data.len());
            data.extend(text.as_bytes());
            data.push(0);
        }
        let mut blob = ((texts.len() + numbers.len()) as u32).to_be_bytes().to_vec();
        blob.extend((data.len() as u32).to_be_bytes());
        blob.extend(index);
        blob.extend(data);
        blob
    }

    #[test]
    fn the_fields_of_a_header_come_out_as_rpm_prints_them() {
        let blob = header(
            &[
                (TAG_NAME, TYPE_STRING, "bind-libs"),
                (TAG_VERSION, TYPE_STRING, "9.16.23"),
                (TAG_RELEASE, TYPE_STRING, "14.el9_3"),
                (TAG_VENDOR, TYPE_STRING, "Red Hat, Inc."),
                (TAG_GROUP, TYPE_I18N_STRING, "Unspecified"),
                (TAG_ARCHITECTURE, TYPE_STRING, "x86_64"),
                (5_000, TYPE_STRING, "unknown tags are skipped"),
            ],
            &[(TAG_EPOCH, 32), (TAG_INSTALL_TIME, 1_700_000_000)],
        );
        let package = InstalledPackage::from(read_header(&blob).unwrap());
        assert_eq!(
            package,
            InstalledPackage {
                name: "bind-libs".into(),
                version: "32:9.16.23-14.el9_3".into(),
                architecture: "x86_64".into(),
                publisher: "Red Hat, Inc.".into(),
                section: "Unspecified".into(),
                install_time_secs: Some(1_700_000_000),
            }
        );
    }

    #[test]
    fn hostile_lengths_are_refused_before_anything_is_read() {
        assert_eq!(read_header(&[]), Err(RpmHeaderError::CutOff));
        assert_eq!(read_header(&[0xff; 64]), Err(RpmHeaderError::TooLong));
        let mut blob = header(&[(TAG_NAME, TYPE_STRING, "a"), (TAG_VERSION, TYPE_STRING, "1")], &[]);
        blob.truncate(blob.len() - 1);
        assert_eq!(read_header(&blob), Err(RpmHeaderError::CutOff));
        assert_eq!(read_header(&header(&[(TAG_NAME, TYPE_STRING, "a")], &[])), Err(RpmHeaderError::Nameless));
    }

    #[test]
    fn a_signing_key_is_no_software() {
        let key = header(&[(TAG_NAME, TYPE_STRING, "gpg-pubkey"), (TAG_VERSION, TYPE_STRING, "fd431d51")], &[]);
        assert!(read_header(&key).unwrap().is_public_key());
    }

    proptest! {
        #[test]
        fn any_bytes_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_header(&bytes);
        }

        #[test]
        fn any_index_reads_without_panic(
            entries in prop::collection::vec((995u32..1025, 0u32..12, any::<u32>(), 0u32..3), 0..20),
            offset_limit in 1u32..80,
            data in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut blob = (entries.len() as u32).to_be_bytes().to_vec();
            blob.extend((data.len() as u32).to_be_bytes());
            for (tag, kind, offset, count) in entries {
                for word in [tag, kind, offset % offset_limit, count] {
                    blob.extend(word.to_be_bytes());
                }
            }
            blob.extend(data);
            let _ = read_header(&blob);
        }
    }
}
