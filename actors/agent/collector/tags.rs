//! Software identification tags wherever a vendor may have put them.

use muster::formats::host::swid::{SWID_BYTES_LIMIT, read_swid};

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

/// The tags of installed products, by path. Tags of media and additions to other tags are left out; a broken one is a
/// finding.
pub fn tags(host: &HostRoot) -> Vec<TagRecord> {
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
            match read_swid(&bytes) {
                Ok(tag) if tag.is_corpus || tag.is_supplemental => {}
                Ok(tag) => out.push(TagRecord {
                    path: format!("/{path}"),
                    size_bytes: bytes.len() as u64,
                    product: tag.name,
                    version: tag.version,
                    company: tag.software_creator,
                }),
                Err(error) => host.report_error(&path, &error),
            }
        }
    }
    out
}
