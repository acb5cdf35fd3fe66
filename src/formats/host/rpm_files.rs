//! The programs among the files of one installed package, from its header in an rpm database.
//!
//! ```text
//! 1117 base names     strings    sh        bash
//! 1116 folder of each u32        0         0
//! 1118 folders        strings    /usr/bin/
//! 1030 modes          u16        0120777   0100755      kind and permissions, as `stat` tells them
//! 1029 states         u8         0         0            1 replaced, 2 not installed, 4 of another colour
//! ```
//!
//! What is no program is left out by its place and ending, as in dpkg's lists, and where the header tells modes and
//! states, so is what is no executable file or not this package's on this host.
//!
//! Source: rpm 4.18, `include/rpm/rpmtag.h`, `include/rpm/rpmfiles.h`.

use super::dpkg_list::may_run;
use super::rpm_header::{Entry, Parts};

/// Files looked at of one package; a kernel's sources have 80,000.
const FILES_LIMIT: usize = 1 << 20;
/// Folders kept of one package.
const FOLDERS_LIMIT: usize = 1 << 18;

const TAG_FILE_STATES: u32 = 1029;
const TAG_FILE_MODES: u32 = 1030;
const TAG_FOLDER_INDEXES: u32 = 1116;
const TAG_BASE_NAMES: u32 = 1117;
const TAG_FOLDER_NAMES: u32 = 1118;

const TYPE_CHAR: u32 = 1;
const TYPE_INT8: u32 = 2;
const TYPE_INT16: u32 = 3;
const TYPE_INT32: u32 = 4;
const TYPE_STRING_ARRAY: u32 = 8;

const KIND_MASK: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const EXECUTABLE: u16 = 0o111;
const STATE_NORMAL: u8 = 0;

/// Gives each path of a package that may be a program's to `each`, in the order of the header. A header that does not
/// read, or tells no files, has none.
pub fn programs(blob: &[u8], mut each: impl FnMut(&str)) {
    let Ok(header) = Parts::of(blob) else { return };
    let (mut names, mut folders, mut indexes, mut modes, mut states) = (None, None, None, None, None);
    for entry in header.entries() {
        let out = match (entry.tag, entry.kind) {
            (TAG_BASE_NAMES, TYPE_STRING_ARRAY) => &mut names,
            (TAG_FOLDER_NAMES, TYPE_STRING_ARRAY) => &mut folders,
            (TAG_FOLDER_INDEXES, TYPE_INT32) => &mut indexes,
            (TAG_FILE_MODES, TYPE_INT16) => &mut modes,
            (TAG_FILE_STATES, TYPE_CHAR | TYPE_INT8) => &mut states,
            _ => continue,
        };
        // Of two equal tags the first counts.
        *out = out.or(Some(entry));
    }
    let (Some(names), Some(folders), Some(indexes)) = (names, folders, indexes) else { return };
    let folders: Vec<&[u8]> = strings(header.data, folders).take(FOLDERS_LIMIT).collect();
    let mut path = String::new();
    for (place, name) in strings(header.data, names).take(FILES_LIMIT).enumerate() {
        let value = |entry: Option<Entry>, bytes: usize| {
            let entry = entry.filter(|entry| place < entry.count)?;
            let at = entry.offset.checked_add(place.checked_mul(bytes)?)?;
            header.data.get(at..at.checked_add(bytes)?)
        };
        let folder = value(Some(indexes), 4).and_then(|index| Some(u32::from_be_bytes(index.try_into().ok()?)));
        let Some(folder) = folder.and_then(|folder| folders.get(folder as usize)) else { continue };
        let mode = value(modes, 2).and_then(|mode| Some(u16::from_be_bytes(mode.try_into().ok()?)));
        let runs = mode.is_none_or(|mode| mode & KIND_MASK == REGULAR && mode & EXECUTABLE != 0);
        let is_here = value(states, 1).is_none_or(|state| state == [STATE_NORMAL]);
        let (Ok(folder), Ok(name)) = (std::str::from_utf8(folder), std::str::from_utf8(name)) else { continue };
        if !runs || !is_here {
            continue;
        }
        path.clear();
        path.push_str(folder);
        path.push_str(name);
        if may_run(&path) {
            each(&path);
        }
    }
}

/// The strings of an entry: as many as it has, or as there are.
fn strings(data: &[u8], entry: Entry) -> impl Iterator<Item = &[u8]> {
    let bytes = data.get(entry.offset..).unwrap_or_default();
    bytes.split(|&byte| byte == 0).take(entry.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of these tags: kind, count, bytes.
    fn header(tags: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in tags {
            for word in [*tag, *kind, data.len() as u32, *count] {
                index.extend(word.to_be_bytes());
            }
            data.extend(*bytes);
        }
        let lengths = [tags.len() as u32, data.len() as u32].map(u32::to_be_bytes).concat();
        [lengths, index, data].concat()
    }

    fn found(blob: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        programs(blob, |path| found.push(path.to_owned()));
        found
    }

    const NAMES: (u32, u32, u32, &[u8]) = (TAG_BASE_NAMES, TYPE_STRING_ARRAY, 4, b"bash\0sh\0draw\0readme.txt\0");
    const FOLDERS: (u32, u32, u32, &[u8]) = (TAG_FOLDER_NAMES, TYPE_STRING_ARRAY, 2, b"/usr/bin/\0/usr/share/doc/\0");
    const INDEXES: (u32, u32, u32, &[u8]) =
        (TAG_FOLDER_INDEXES, TYPE_INT32, 4, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    #[test]
    fn programs_are_told_by_place_mode_and_state() {
        assert_eq!(found(&header(&[NAMES, FOLDERS, INDEXES])), ["/usr/bin/bash", "/usr/bin/sh", "/usr/bin/draw"]);
        let modes = [0o100_755u16, 0o120_777, 0o100_644, 0o100_755].map(u16::to_be_bytes).concat();
        let modes = (TAG_FILE_MODES, TYPE_INT16, 4, &modes[..]);
        assert_eq!(found(&header(&[NAMES, FOLDERS, INDEXES, modes])), ["/usr/bin/bash"]);
        let states = (TAG_FILE_STATES, TYPE_CHAR, 4, &[1u8, 0, 4, 0][..]);
        assert_eq!(found(&header(&[states, INDEXES, FOLDERS, NAMES])), ["/usr/bin/sh"]);
    }

    #[test]
    fn a_header_without_one_of_the_three_tells_no_files_and_a_wrong_folder_costs_its_file() {
        for tags in [[NAMES, FOLDERS], [NAMES, INDEXES], [FOLDERS, INDEXES]] {
            assert_eq!(found(&header(&tags)), [""; 0]);
        }
        let wrong = (TAG_FOLDER_INDEXES, TYPE_INT32, 4, &[0, 0, 0, 9, 255, 255, 255, 255, 0, 0, 0, 0][..]);
        assert_eq!(found(&header(&[NAMES, FOLDERS, wrong])), ["/usr/bin/draw"]);
        assert_eq!(found(b"nonsense"), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_index_reads_without_panic(
            entries in prop::collection::vec((0usize..5, 0u32..10, any::<u32>(), any::<u32>()), 0..12),
            bounds in (1u32..80, 1u32..9),
            data in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let tags = [TAG_FILE_STATES, TAG_FILE_MODES, TAG_FOLDER_INDEXES, TAG_BASE_NAMES, TAG_FOLDER_NAMES];
            let mut blob = [(entries.len() as u32).to_be_bytes(), (data.len() as u32).to_be_bytes()].concat();
            for (tag, kind, offset, count) in entries {
                for word in [tags[tag], kind, offset % bounds.0, if count % 3 == 0 { count } else { count % bounds.1 }] {
                    blob.extend(word.to_be_bytes());
                }
            }
            blob.extend(data);
            programs(&blob, |path| assert!(path.contains('/')));
        }
    }
}
