//! The installed titles of one report as they are stored: numbers, sorted and delta-coded.
//!
//! ```text
//! for each title, ascending: LEB128 of (number - the number before), LEB128 of (install day as YYYYMMDD, 0: unknown)
//! ```
//!
//! About three bytes a title without a day, seven with one. A list is cut into chunks below the size that the view's
//! database takes well; every chunk starts anew from 0.

use super::day::Day;
use super::software::{InstalledTitle, TitleId};

/// Bytes of one chunk at most, and a title more.
const CHUNK_BYTES: usize = 64 << 10;

/// `titles`, sorted here, as chunks; none for no titles.
pub fn pack_titles(mut titles: Vec<InstalledTitle>) -> Vec<Vec<u8>> {
    titles.sort_unstable();
    let (mut chunks, mut chunk, mut before) = (Vec::new(), Vec::new(), 0);
    for InstalledTitle { title, install_date } in titles {
        if chunk.len() >= CHUNK_BYTES {
            chunks.push(std::mem::take(&mut chunk));
            before = 0;
        }
        put(&mut chunk, title.0 - before);
        put(&mut chunk, install_date.map_or(0, u32::from));
        before = title.0;
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// The titles of one chunk; `None` when it is no chunk.
pub fn unpack_titles(mut chunk: &[u8]) -> Option<Vec<InstalledTitle>> {
    let (mut titles, mut before) = (Vec::new(), 0u32);
    while !chunk.is_empty() {
        before = before.checked_add(take(&mut chunk)?)?;
        let day = take(&mut chunk)?;
        let install_date = if day == 0 { None } else { Some(Day::try_from(day).ok()?) };
        titles.push(InstalledTitle { title: TitleId(before), install_date });
    }
    Some(titles)
}

fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0u32;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u32::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fifty_titles_take_some_hundred_bytes_and_many_are_cut_into_chunks() {
        let titles = |count: u32| (0..count).map(|n| InstalledTitle { title: TitleId(n * 9), install_date: None });
        assert_eq!(pack_titles(titles(50).collect())[0].len(), 100);
        let chunks = pack_titles(titles(100_000).collect());
        assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 10));
        let read: Vec<_> = chunks.iter().flat_map(|chunk| unpack_titles(chunk).unwrap()).collect();
        assert_eq!(read, titles(100_000).collect::<Vec<_>>());
        assert!(pack_titles(vec![]).is_empty());
    }

    proptest! {
        #[test]
        fn every_list_reads_back_sorted(list in prop::collection::vec((any::<u32>(), any::<bool>()), 0..200)) {
            let day = "20240229".parse::<Day>().unwrap();
            let mut titles: Vec<_> = list
                .into_iter()
                .map(|(number, dated)| InstalledTitle { title: TitleId(number), install_date: dated.then_some(day) })
                .collect();
            let read: Vec<_> = pack_titles(titles.clone()).iter().flat_map(|chunk| unpack_titles(chunk).unwrap()).collect();
            titles.sort_unstable();
            prop_assert_eq!(read, titles);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack_titles(&bytes);
        }
    }
}
