//! The bytes under the XML reader: decoded to UTF-8, and metered so that no token is buffered past its limit.

use std::io::{self, BufRead, Read};

use super::TOKEN_BYTES_MAX;
use crate::id::shorten;

/// Bytes of UTF-16 decoded at a time.
const DECODE_BYTES: usize = 8 << 10;

/// Why reading stopped. Kept beside the stream, because an `io::Error` on its way through quick-xml becomes shared.
pub(super) enum Failure {
    Token,
    Encoding(String),
    Read(io::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Unknown,
    Utf8,
    Utf16 { big_endian: bool },
}

/// `inner` as UTF-8 in pieces that end, at the latest, one byte past the limit of a token.
pub(super) struct Source<R> {
    inner: R,
    encoding: Encoding,
    /// Decoded bytes, or those that were read to find the encoding; served from `served` on.
    ready: Vec<u8>,
    served: usize,
    /// First byte of a UTF-16 unit whose second one is not there yet.
    half_unit: Option<u8>,
    /// First unit of a surrogate pair.
    high_surrogate: Option<u16>,
    token_bytes: usize,
    failure: Option<Failure>,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(inner: R) -> Source<R> {
        Source {
            inner,
            encoding: Encoding::Unknown,
            ready: Vec::new(),
            served: 0,
            half_unit: None,
            high_surrogate: None,
            token_bytes: 0,
            failure: None,
        }
    }

    /// A token ended; the meter runs anew.
    pub(super) fn begin_token(&mut self) {
        self.token_bytes = 0;
    }

    pub(super) fn is_utf16(&self) -> bool {
        matches!(self.encoding, Encoding::Utf16 { .. })
    }

    /// Why the last read failed, once.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        self.failure = Some(failure);
        io::ErrorKind::InvalidData.into()
    }

    /// Reads the first bytes and decides by the byte order mark. A UTF-8 mark stays: quick-xml takes it off.
    fn find_encoding(&mut self) -> io::Result<()> {
        while self.ready.len() < 3 {
            let piece = self.inner.fill_buf()?;
            if piece.is_empty() {
                break;
            }
            let taken = piece.len().min(3 - self.ready.len());
            self.ready.extend_from_slice(&piece[..taken]);
            self.inner.consume(taken);
        }
        let big_endian = match self.ready[..] {
            [0xfe, 0xff, ..] => true,
            [0xff, 0xfe, ..] => false,
            [0, ..] | [_, 0, ..] => {
                return Err(self.fail(Failure::Encoding("UTF-16 or UTF-32 without a mark".into())));
            }
            _ => {
                self.encoding = Encoding::Utf8;
                return Ok(());
            }
        };
        self.encoding = Encoding::Utf16 { big_endian };
        let after_mark = self.ready.split_off(2);
        self.ready.clear();
        self.decode(&after_mark, big_endian).map_err(|what| self.fail(Failure::Encoding(what)))
    }

    /// Replaces what was served by the next piece of UTF-16, decoded; nothing at the end.
    fn decode_more(&mut self, big_endian: bool) -> io::Result<()> {
        self.ready.clear();
        self.served = 0;
        while self.ready.is_empty() {
            let piece = self.inner.fill_buf()?;
            if piece.is_empty() {
                let torn = self.half_unit.take().is_some() | self.high_surrogate.take().is_some();
                return if torn { Err(self.fail(Failure::Encoding("UTF-16 that is cut off".into()))) } else { Ok(()) };
            }
            let units: Vec<u8> = piece[..piece.len().min(DECODE_BYTES)].to_vec();
            self.inner.consume(units.len());
            self.decode(&units, big_endian).map_err(|what| self.fail(Failure::Encoding(what)))?;
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8], big_endian: bool) -> Result<(), String> {
        for &byte in bytes {
            let Some(first) = self.half_unit.take() else {
                self.half_unit = Some(byte);
                continue;
            };
            let pair = [first, byte];
            let unit = if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
            let decoded = match (self.high_surrogate.take(), unit) {
                (None, 0xd800..=0xdbff) => {
                    self.high_surrogate = Some(unit);
                    continue;
                }
                (None, unit) => char::from_u32(u32::from(unit)),
                (Some(high), 0xdc00..=0xdfff) => {
                    char::from_u32(0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00))
                }
                (Some(_), _) => None,
            };
            let c =
                decoded.ok_or_else(|| format!("UTF-16 with a lone surrogate {}", shorten(&format!("{unit:04x}"))))?;
            self.ready.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    /// Makes sure that bytes are ready where they have to be decoded first.
    fn prepare(&mut self) -> io::Result<()> {
        if self.encoding == Encoding::Unknown {
            self.find_encoding()?;
        }
        if let Encoding::Utf16 { big_endian } = self.encoding
            && self.served == self.ready.len()
        {
            self.decode_more(big_endian)?;
        }
        Ok(())
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token_bytes > TOKEN_BYTES_MAX {
            return Err(self.fail(Failure::Token));
        }
        let room = TOKEN_BYTES_MAX + 1 - self.token_bytes;
        if self.encoding != Encoding::Utf8
            && let Err(error) = self.prepare()
        {
            return Err(match (&self.failure, error.kind()) {
                (Some(_), _) | (_, io::ErrorKind::Interrupted) => error,
                (None, _) => self.fail(Failure::Read(error)),
            });
        }
        let available = if self.served < self.ready.len() {
            &self.ready[self.served..]
        } else if self.encoding == Encoding::Utf8 {
            match self.inner.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    self.failure = Some(Failure::Read(error));
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        } else {
            &[]
        };
        Ok(&available[..available.len().min(room)])
    }

    fn consume(&mut self, bytes: usize) {
        self.token_bytes += bytes;
        if self.served < self.ready.len() {
            self.served += bytes;
        } else {
            self.inner.consume(bytes);
        }
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}
