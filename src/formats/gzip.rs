//! Bounded gzip: what a package may inflate to is limited before it is inflated.
//!
//! Source: `delivery-contract` reference, section 7.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;

use crate::time::Timestamp;

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
    compress_with(flate2::GzBuilder::new(), bytes)
}

/// The same with a time in its comment: what is sent on purpose a second time is no repeated delivery. The field for a
/// time would know seconds only.
pub fn compress_at(bytes: &[u8], at: Timestamp) -> Vec<u8> {
    compress_with(flate2::GzBuilder::new().comment(at.to_rfc3339()), bytes)
}

fn compress_with(form: flate2::GzBuilder, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = form.mtime(0).write(Vec::new(), Compression::new(6));
    // Writing into a Vec cannot fail.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a Vec takes every write")
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        match Inflate::new(bytes).read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(error.downcast::<GzipError>().expect("the bytes are at fault").to_string()),
        }
    }

    fn refused(bytes: &[u8]) -> String {
        inflate(bytes).expect_err("these bytes are no gzip")
    }

    /// A member of `length` zeros, built without holding them.
    fn bomb(length: u64) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::new(9));
        io::copy(&mut io::repeat(0).take(length), &mut encoder).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn equal_content_gives_equal_bytes_without_a_time() {
        let gzip = compress(b"equal");
        assert_eq!(gzip, compress(b"equal"));
        assert_eq!(gzip[4..8], [0; 4], "the time stamp of the member");
        assert_eq!(inflate(&gzip).unwrap(), b"equal");
    }

    #[test]
    fn sixty_four_members_are_one_package_and_one_more_is_refused() {
        let member = compress(b"ab");
        assert_eq!(inflate(&member.repeat(64)).unwrap(), b"ab".repeat(64));
        assert_eq!(refused(&member.repeat(65)), "has more than 64 gzip members");
        let empty = compress(b"");
        assert_eq!(inflate(&empty.repeat(64)).unwrap(), b"");
        assert_eq!(refused(&empty.repeat(100_000)), "has more than 64 gzip members");
    }

    #[test]
    fn a_stream_cut_anywhere_is_refused() {
        let gzip = [compress(b"first member"), compress(b"second")].concat();
        let boundary = compress(b"first member").len();
        for end in (0..gzip.len()).filter(|&end| end != boundary) {
            let met = refused(&gzip[..end]);
            assert!(met.starts_with("ends inside a gzip member"), "{end}: {met}");
        }
    }

    #[test]
    fn what_follows_the_last_member_is_refused() {
        let gzip = compress(b"content");
        for tail in [&b"x"[..], b"\0\0\0\0", b"\n"] {
            let met = refused(&[&gzip[..], tail].concat());
            assert_eq!(met, format!("byte {} does not begin a gzip member", gzip.len()));
        }
        assert_eq!(refused(b"<Inventory/>"), "byte 0 does not begin a gzip member");
    }

    #[test]
    fn every_flipped_bit_of_body_and_trailer_is_noticed_or_harmless() {
        let content = b"a quick brown fox, a quick brown fox, a lazy dog";
        let gzip = compress(content);
        for at in 10..gzip.len() {
            for bit in 0..8 {
                let mut damaged = gzip.clone();
                damaged[at] ^= 1 << bit;
                match inflate(&damaged) {
                    Ok(out) => assert_eq!(out, content),
                    Err(reason) => assert!(!reason.is_empty()),
                }
            }
        }
        let mut wrong_sum = gzip.clone();
        wrong_sum[gzip.len() - 8] ^= 1;
        assert!(refused(&wrong_sum).starts_with("gzip member 1 is damaged"));
    }

    #[test]
    fn a_bomb_is_refused_at_four_mebibytes_by_its_ratio() {
        assert_eq!(inflate(&bomb(RATIO_FREE_BYTES)).unwrap().len() as u64, RATIO_FREE_BYTES);
        let gzip = bomb(64 << 20);
        let mut inflater = Inflate::new(BufReader::with_capacity(64, &gzip[..]));
        let mut taken = 0;
        let error = loop {
            match inflater.read(&mut [0; 4096]) {
                Ok(read) => taken += read as u64,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("more than 200 to 1 above 4194304 bytes"), "{error}");
        assert!(taken <= RATIO_FREE_BYTES, "{taken} bytes came out");
        assert!(inflater.read(&mut [0; 16]).is_err(), "no end of file after an error");
    }

    #[test]
    fn a_package_inflates_to_256_mebibytes_at_most() {
        // Only the counting is shown: 256 MiB of incompressible bytes would keep a test busy for seconds.
        let mut inflater = Inflate::new(&b""[..]);
        inflater.inflated = INFLATED_BYTES_MAX;
        assert!(inflater.check(INFLATED_BYTES_MAX).is_ok());
        inflater.inflated += 1;
        assert!(matches!(inflater.check(INFLATED_BYTES_MAX), Err(GzipError::Size)));
    }

    proptest! {
        #[test]
        fn what_is_compressed_inflates_to_the_same(content in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(inflate(&compress(&content)).unwrap(), content);
        }

        #[test]
        fn no_bytes_make_it_panic(head in 0usize..12, tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [&compress(b"x")[..head], &tail].concat();
            let mut out = Vec::new();
            let _ = Inflate::new(&bytes[..]).read_to_end(&mut out);
        }
    }
}
