//! Lines of a document by the bytes that its reader counts.

use std::borrow::Cow;

/// Turns places into lines, each place at or behind the one before: a document is walked once.
pub(super) struct Lines<'b> {
    /// As UTF-8, in which the reader counts.
    text: Cow<'b, [u8]>,
    at: usize,
    line: u32,
}

impl<'b> Lines<'b> {
    pub fn new(bytes: &'b [u8]) -> Lines<'b> {
        let decoded = |unit: fn([u8; 2]) -> u16| {
            let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
            // What is no text is refused by the reader; here it only must not shift what stands before it.
            let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            Cow::Owned(text.into_bytes())
        };
        let text = match bytes {
            [0xfe, 0xff, ..] => decoded(u16::from_be_bytes),
            [0xff, 0xfe, ..] => decoded(u16::from_le_bytes),
            _ => Cow::Borrowed(bytes),
        };
        Lines { text, at: 0, line: 1 }
    }

    /// The line of the byte behind `bytes`.
    pub fn of(&mut self, bytes: u64) -> u32 {
        let to = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.text.len());
        if to > self.at {
            let breaks = memchr::memchr_iter(b'\n', &self.text[self.at..to]).count();
            self.line = self.line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
            self.at = to;
        }
        self.line
    }

    /// The line on which the tag begins that ends at `bytes`: no `<` stands inside a tag.
    pub fn of_tag(&mut self, bytes: u64) -> u32 {
        let to = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.text.len());
        self.of(memchr::memrchr(b'<', &self.text[..to]).unwrap_or(0) as u64)
    }
}
