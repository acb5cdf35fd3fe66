//! The bytes under the XML reader: decoded to UTF-8, free of control characters, and metered so that no token is
//! buffered past its limit.

use std::io::{self, BufRead, Read};

use super::{TOKEN_BYTES_MAX, is_space};

/// Bytes read at a time. An inflater copies its last 32 KiB aside after each read, so larger reads cost less.
const WINDOW_BYTES: usize = 64 << 10;

/// Why reading stopped. Kept beside the stream, because an `io::Error` on its way through quick-xml becomes shared.
pub(super) enum Failure {
    Token,
    Control,
    Encoding(String),
    Read(io::Error),
}

#[derive(Clone, Copy)]
enum Encoding {
    Unknown,
    Utf8,
    Utf16(Utf16),
}

/// Decoder state between two reads.
#[derive(Clone, Copy)]
struct Utf16 {
    big_endian: bool,
    /// First byte of a unit whose second one is not there yet.
    half_unit: Option<u8>,
    /// First unit of a surrogate pair.
    high_surrogate: Option<u16>,
}

/// `inner` as UTF-8 in pieces that end, at the latest, one byte past the limit of a token.
pub(super) struct Source<R> {
    inner: R,
    encoding: Encoding,
    /// Decoded and checked bytes, up to `filled`; those from `served` on are not taken yet.
    window: Vec<u8>,
    served: usize,
    filled: usize,
    /// Taken of the token at hand.
    token_bytes: usize,
    /// Taken in all.
    position: u64,
    /// The byte 0xef was met, with which U+FFFE and U+FFFF begin.
    suspect: bool,
    failure: Option<Failure>,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R) -> Source<R> {
        Source {
            inner,
            encoding: Encoding::Unknown,
            window: Vec::new(),
            served: 0,
            filled: 0,
            token_bytes: 0,
            position: 0,
            suspect: false,
            failure: None,
        }
    }

    /// A token ended: the meter runs anew. With `skip_space` white space before the next one is dropped.
    pub(super) fn begin_token(&mut self, skip_space: bool) {
        self.token_bytes = 0;
        if skip_space {
            let ready = self.ready();
            let space = ready.iter().position(|&byte| !is_space(byte)).unwrap_or(ready.len());
            self.served += space;
            self.position += space as u64;
        }
    }

    /// What of the window is not taken yet.
    pub(super) fn ready(&self) -> &[u8] {
        &self.window[self.served..self.filled]
    }

    /// Takes `bytes` of what is ready.
    pub(super) fn take(&mut self, bytes: usize) -> &[u8] {
        let from = self.served;
        self.served += bytes;
        self.position += bytes as u64;
        &self.window[from..self.served]
    }

    /// Bytes of UTF-8 taken so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn is_utf16(&self) -> bool {
        matches!(self.encoding, Encoding::Utf16(_))
    }

    /// Whether a character that XML does not allow may have come by. Control characters never do.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Why the last read failed, once.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Replaces the window, which was taken, by the next bytes; it stays empty at the end.
    fn refill(&mut self) -> Result<(), Failure> {
        (self.served, self.filled) = (0, 0);
        if let Encoding::Unknown = self.encoding {
            self.find_encoding()?;
        }
        while self.filled == 0 {
            let read = match &mut self.encoding {
                Encoding::Utf16(utf16) => {
                    let mut raw = vec![0; WINDOW_BYTES];
                    let read = read_some(&mut self.inner, &mut raw)?;
                    self.window.clear();
                    utf16.decode(&raw[..read], &mut self.window)?;
                    if read == 0 {
                        utf16.end()?;
                    }
                    self.filled = self.window.len();
                    read
                }
                Encoding::Utf8 | Encoding::Unknown => {
                    // Once: later reads overwrite what was there.
                    self.window.resize(WINDOW_BYTES, 0);
                    self.filled = read_some(&mut self.inner, &mut self.window)?;
                    self.filled
                }
            };
            if read == 0 {
                break;
            }
        }
        self.check_window()
    }

    /// Reads the first bytes and decides by the byte order mark. A UTF-8 mark stays: quick-xml takes it off.
    fn find_encoding(&mut self) -> Result<(), Failure> {
        let mut head = [0; 3];
        let mut length = 0;
        while length < head.len() {
            match read_some(&mut self.inner, &mut head[length..])? {
                0 => break,
                read => length += read,
            }
        }
        let big_endian = match head[..length] {
            [0xfe, 0xff, ..] => true,
            [0xff, 0xfe, ..] => false,
            [0, ..] | [_, 0, ..] => return Err(Failure::Encoding("UTF-16 or UTF-32 without a mark".into())),
            _ => {
                self.encoding = Encoding::Utf8;
                self.window.extend_from_slice(&head[..length]);
                self.filled = length;
                return Ok(());
            }
        };
        // The third byte is the first half of the first unit.
        let half_unit = head[..length].get(2).copied();
        self.encoding = Encoding::Utf16(Utf16 { big_endian, half_unit, high_surrogate: None });
        Ok(())
    }

    fn check_window(&mut self) -> Result<(), Failure> {
        let filled = &self.window[..self.filled];
        if has_control(filled) {
            return Err(Failure::Control);
        }
        self.suspect = self.suspect || memchr::memchr(0xef, filled).is_some();
        Ok(())
    }
}

impl Utf16 {
    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        for &byte in bytes {
            let Some(first) = self.half_unit.take() else {
                self.half_unit = Some(byte);
                continue;
            };
            let pair = [first, byte];
            let unit = if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
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
            let lone = || Failure::Encoding(format!("UTF-16 with a lone surrogate, 0x{unit:04x} met"));
            out.extend_from_slice(decoded.ok_or_else(lone)?.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        if self.half_unit.is_some() || self.high_surrogate.is_some() {
            return Err(Failure::Encoding("UTF-16 that ends inside a character".into()));
        }
        Ok(())
    }
}

fn read_some(inner: &mut impl Read, into: &mut [u8]) -> Result<usize, Failure> {
    loop {
        match inner.read(into) {
            Ok(read) => return Ok(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(error)),
        }
    }
}

/// Whether a control character is among `bytes`. Written without branches, so that it vectorises.
fn has_control(bytes: &[u8]) -> bool {
    bytes.chunks(64).any(|block| {
        block.iter().fold(false, |met, &b| met | ((b < b' ') & (b != b'\t') & (b != b'\n') & (b != b'\r')))
    })
}

impl<R: Read> BufRead for Source<R> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.served == self.filled
            && let Err(failure) = self.refill()
        {
            self.failure = Some(failure);
            return Err(io::ErrorKind::InvalidData.into());
        }
        let ready = &self.window[self.served..self.filled];
        if self.token_bytes + ready.len() <= TOKEN_BYTES_MAX {
            return Ok(ready);
        }
        if self.token_bytes > TOKEN_BYTES_MAX {
            self.failure = Some(Failure::Token);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(&ready[..ready.len().min(TOKEN_BYTES_MAX + 1 - self.token_bytes)])
    }

    #[inline]
    fn consume(&mut self, bytes: usize) {
        self.token_bytes += bytes;
        self.position += bytes as u64;
        self.served += bytes;
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(into.len());
        into[..taken].copy_from_slice(&available[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}
