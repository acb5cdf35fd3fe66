//! Bounded gzip: what a package may inflate to is limited before it is inflated.
//!
//! Source: `delivery-contract` reference, section 7.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;

/// Bytes that one package may inflate to.
pub const INFLATED_BYTES_MAX: u64 = 256 << 20;
/// Up to this many inflated bytes the ratio does not count.
pub const RATIO_FREE_BYTES: u64 = 4 << 20;
/// Inflated bytes for each compressed byte.
pub const RATIO_MAX: u64 = 200;
/// Members of one package.
pub const MEMBERS_MAX: u32 = 64;

/// Why a package cannot be inflated. It travels inside the `io::Error` of [`Inflate::read`].
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// Inflates to too much.
    #[error("inflates to more than {INFLATED_BYTES_MAX} bytes")]
    Size,
    /// Inflates too well: a bomb.
    #[error(
        "inflates to {inflated} bytes from {compressed}: more than {RATIO_MAX} to 1 above {RATIO_FREE_BYTES} bytes"
    )]
    Ratio {
        /// Bytes so far.
        inflated: u64,
        /// Bytes they came from.
        compressed: u64,
    },
    /// Too many members.
    #[error("has more than {MEMBERS_MAX} gzip members")]
    Members,
    /// Does not begin with the gzip mark, or what follows a member does not.
    #[error("byte {at} does not begin a gzip member")]
    NotGzip {
        /// Where.
        at: u64,
    },
    /// Ends inside a member.
    #[error("ends inside a gzip member, after {compressed} bytes")]
    Truncated {
        /// Bytes there are.
        compressed: u64,
    },
    /// Damaged: header, blocks, checksum or length.
    #[error("gzip member {member} is damaged: {what}")]
    Damaged {
        /// Counted from 1.
        member: u32,
        /// What the inflater says.
        what: String,
    },
}

impl From<GzipError> for io::Error {
    fn from(error: GzipError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Inflates gzip as it is read; an error is final.
///
/// Errors of [`Read::read`] hold a [`GzipError`] when the bytes are at fault (`error.downcast::<GzipError>()`), else
/// they are those of the inner reader. End of file is told only after the last member's checksum was right.
pub struct Inflate<R> {
    state: State<R>,
    inflated: u64,
    members: u32,
}

enum State<R> {
    Between(Counted<R>),
    Member(Box<GzDecoder<Counted<R>>>),
    Ended,
    /// An error was told; the end of file must not follow it.
    Failed,
}

impl<R: BufRead> Inflate<R> {
    /// Inflates what `inner` delivers.
    pub fn new(inner: R) -> Inflate<R> {
        Inflate { state: State::Between(Counted { inner, taken: 0 }), inflated: 0, members: 0 }
    }

    fn begin_member(&mut self, mut source: Counted<R>) -> io::Result<()> {
        let at = source.taken;
        let mark = source.fill_buf()?.first().copied();
        match mark {
            None if self.members > 0 => {
                self.state = State::Ended;
                return Ok(());
            }
            None => return Err(GzipError::Truncated { compressed: at }.into()),
            Some(0x1f) => {}
            Some(_) => return Err(GzipError::NotGzip { at }.into()),
        }
        if self.members == MEMBERS_MAX {
            return Err(GzipError::Members.into());
        }
        self.members += 1;
        self.state = State::Member(Box::new(GzDecoder::new(source)));
        Ok(())
    }

    fn check(&self, compressed: u64) -> Result<(), GzipError> {
        if self.inflated > INFLATED_BYTES_MAX {
            return Err(GzipError::Size);
        }
        if self.inflated > RATIO_FREE_BYTES && self.inflated / RATIO_MAX > compressed {
            return Err(GzipError::Ratio { inflated: self.inflated, compressed });
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Inflate<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            // Every early return below leaves the state at `Failed`.
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Err(io::Error::other("the inflation has failed before")),
                State::Ended => {
                    self.state = State::Ended;
                    return Ok(0);
                }
                State::Between(source) => self.begin_member(source)?,
                State::Member(mut member) => match member.read(into) {
                    Ok(0) => self.state = State::Between(member.into_inner()),
                    Ok(read) => {
                        self.inflated += read as u64;
                        self.check(member.get_ref().taken)?;
                        self.state = State::Member(member);
                        return Ok(read);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        self.state = State::Member(member);
                        return Err(error);
                    }
                    Err(error) => return Err(explain(error, self.members, member.get_ref().taken)),
                },
            }
        }
    }
}

fn explain(error: io::Error, member: u32, compressed: u64) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => GzipError::Truncated { compressed }.into(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            GzipError::Damaged { member, what: error.to_string() }.into()
        }
        _ => error,
    }
}

/// Counts the compressed bytes that were taken.
struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        self.inner.consume(bytes);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.taken += read as u64;
        Ok(read)
    }
}

/// One gzip member at level 6, without time or name: equal content gives equal bytes, so one digest.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    // Writing into a Vec cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes every write")
}
