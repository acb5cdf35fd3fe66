//! How values stand in logs, views and between nodes: MessagePack behind a version byte, bounded when read.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version byte in front of every stored value.
pub const VERSION: u8 = 1;
/// Most bytes of one stored value. A device with all its records' values stays far below.
pub const VALUE_BYTES_MAX: usize = 64 << 20;
/// Room that a value is written into at first.
const SMALL_BYTES: usize = 128;
/// Deepest nesting that is read.
const DEPTH_MAX: usize = 32;

/// Why a stored value cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// No bytes at all.
    #[error("a stored value is empty")]
    Empty,
    /// Written by another version of the program.
    #[error("a stored value has version {0}, this program reads {VERSION}")]
    Version(u8),
    /// Longer than any writer makes.
    #[error("a stored value has {0} bytes, at most {VALUE_BYTES_MAX} are read")]
    Large(usize),
    /// Not what was expected.
    #[error("a stored value does not read as a {what}")]
    Content {
        /// The Rust type that was expected.
        what: &'static str,
        /// What did not fit.
        source: rmp_serde::decode::Error,
    },
}

/// `value` as it is stored.
pub fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Most values fit, so that they do not grow byte by byte.
    let mut out = Vec::with_capacity(SMALL_BYTES);
    out.push(VERSION);
    // Our own types have no case that MessagePack cannot hold, and a Vec takes every byte.
    rmp_serde::encode::write(&mut out, value).expect("plain data serialises");
    out
}

/// Reads back what [`pack`] wrote.
pub fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoredError> {
    let (&version, rest) = bytes.split_first().ok_or(StoredError::Empty)?;
    if version != VERSION {
        return Err(StoredError::Version(version));
    }
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(StoredError::Large(bytes.len()));
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(rest);
    reader.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut reader).map_err(|source| StoredError::Content { what: std::any::type_name::<T>(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_reads_back_and_another_version_is_refused() {
        let bytes = pack(&("text", 7u64));
        assert_eq!(unpack::<(String, u64)>(&bytes).unwrap(), ("text".into(), 7));
        assert!(matches!(unpack::<u64>(&[9, 1]), Err(StoredError::Version(9))));
        assert!(matches!(unpack::<u64>(&[]), Err(StoredError::Empty)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack::<(String, Vec<u64>)>(&bytes);
            let _ = unpack::<Vec<Vec<Vec<u8>>>>(&bytes);
        }
    }
}
