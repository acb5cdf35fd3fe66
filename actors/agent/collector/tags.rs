//! Software identification tags wherever a vendor may have put them.

use muster::formats::host::swid::{SWID_BYTES_LIMIT, SwidError, SwidTag, read_swid, read_swid_with_files};

use super::host_root::{HostRoot, WalkLimits};
use super::record::TagRecord;

/// Folders searched, with the depth below each. The standard asks for a folder `swidtag` at the top of a product;
/// vendors use the shared places.
const PLACES: [(&str, usize); 6] = [
    ("usr/share", 6),
    ("usr/lib/swidtag", 6),
    ("var/lib/swidtag", 6),
    ("etc/swid", 4),
    ("opt", 5),
    ("usr/local/share", 5),
];

/// Folders of `usr/share` with many entries that are never a product's.
const LEFT_OUT: [&str; 12] = [
    "doc",
    "fonts",
    "help",
    "icons",
    "info",
    "javascript",
    "licenses",
    "locale",
    "man",
    "node_modules",
    "themes",
    "zoneinfo",
];

const ENTRIES_LIMIT: usize = 150_000;
const TAGS_LIMIT: usize = 10_000;

/// A tag and the paths of the files that it lists, as it writes them.
pub struct TagFiles {
    /// The tag.
    pub record: TagRecord,
    /// Absolute, or relative to the tag or its product.
    pub files: Vec<String>,
}

/// The folders that are searched.
pub fn places() -> impl Iterator<Item = &'static str> {
    PLACES.into_iter().map(|(place, _)| place)
}

/// The tags of installed products, by path. Tags of media and additions to other tags are left out; a broken one is a
/// finding.
pub fn tags(host: &HostRoot) -> Vec<TagRecord> {
    let tags = read(host, |bytes| Ok((read_swid(bytes)?, Vec::new())));
    tags.into_iter().map(|(found, _)| found.record).collect()
}

/// The same tags with their files. Tags of patches are left out too: what they list is another product's.
pub fn tags_with_files(host: &HostRoot) -> Vec<TagFiles> {
    let tags = read(host, read_swid_with_files);
    tags.into_iter().filter(|(_, is_patch)| !is_patch).map(|(found, _)| found).collect()
}

/// Each tag, and whether it describes a patch.
fn read(host: &HostRoot, read: impl Fn(&[u8]) -> Result<(SwidTag, Vec<String>), SwidError>) -> Vec<(TagFiles, bool)> {
    let mut out = Vec::new();
    for (place, depth) in PLACES {
        let limits = WalkLimits { depth, entries: ENTRIES_LIMIT };
        let is_tag = |name: &str| name.len() > 8 && name.as_bytes()[name.len() - 8..].eq_ignore_ascii_case(b".swidtag");
        for path in host.walk(place, limits, |folder| !LEFT_OUT.contains(&folder), is_tag) {
            if out.len() == TAGS_LIMIT {
                host.report(place, format_args!("more than {TAGS_LIMIT} tags, read up to there"));
                return out;
            }
            let Some(bytes) = host.read(&path, SWID_BYTES_LIMIT) else { continue };
            match read(&bytes) {
                Ok((tag, _)) if tag.is_corpus || tag.is_supplemental => {}
                Ok((tag, files)) => {
                    let record = TagRecord {
                        path: format!("/{path}"),
                        size_bytes: bytes.len() as u64,
                        product: tag.name,
                        version: tag.version,
                        company: tag.software_creator,
                    };
                    out.push((TagFiles { record, files }, tag.is_patch));
                }
                Err(error) => host.report_error(&path, &error),
            }
        }
    }
    out
}
