//! Texts and numbers in keys of facts.

use crate::id::TenantId;
use crate::model::device::RecordKey;

/// A text behind its length; ours are all shorter than 64 KiB.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
}

/// Takes a key apart.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub fn tenant(&mut self) -> Option<TenantId> {
        self.text()?.parse().ok()
    }

    /// The empty tenant.
    pub fn of_node(&mut self) -> Option<()> {
        self.text()?.is_empty().then_some(())
    }

    /// All that is left, as a number.
    pub fn number(&mut self) -> Option<u64> {
        std::mem::take(&mut self.0).try_into().ok().map(u64::from_be_bytes)
    }

    pub fn record(&mut self) -> Option<RecordKey> {
        Some(RecordKey { source: self.text()?.into(), external_id: self.text()?.into() })
    }
}
