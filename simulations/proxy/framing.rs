//! Where an HTTP/1.1 message ends: as much of RFC 9112, section 6, as it takes to carry whole messages.

/// Most bytes of a message's head.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Everything until the connection is closed.
    UntilClose,
}

/// A head, once it is there whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its bytes, the blank line included.
    pub length: usize,
    /// The first line's words: method and path, or version and status.
    pub words: [String; 2],
    /// What follows.
    pub body: Body,
    /// The sender ends the connection after it.
    pub closes: bool,
}

/// The head at the start of `bytes`; `None` while it is not whole. An error names what is no HTTP/1.1.
pub fn head(bytes: &[u8], is_answer: bool) -> Result<Option<Head>, &'static str> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err("a head is too long") } else { Ok(None) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head is not text")?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let words = [words.next().unwrap_or_default(), words.next().unwrap_or_default()];
    let (mut length, mut chunked, mut closes) = (None, false, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<u64>().map_err(|_| "a Content-Length is no number")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.to_ascii_lowercase().ends_with("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let has_none = is_answer && (words[1] == "204" || words[1] == "304" || words[1].starts_with('1'));
    let body = match length {
        _ if has_none => Body::Length(0),
        _ if chunked => Body::Chunked,
        Some(length) => Body::Length(length),
        None if is_answer => Body::UntilClose,
        None => Body::Length(0),
    };
    Ok(Some(Head { length: end + 4, words, body, closes: closes || body == Body::UntilClose }))
}

/// Bytes of a chunked body at the start of `bytes`, its last line included; `None` while it is not whole.
pub fn chunked_length(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[at..at + line]).map_err(|_| "a chunk's size is not text")?;
        let size = text.split(';').next().unwrap_or_default().trim();
        let size = u32::from_str_radix(size, 16).map_err(|_| "a chunk's size is no number")? as usize;
        at += line + 2;
        if size == 0 {
            // Trailers, then a blank line.
            loop {
                let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
                at += line + 2;
                if line == 0 {
                    return Ok(Some(at));
                }
            }
        }
        at += size + 2;
        if at > bytes.len() {
            return Ok(None);
        }
    }
}

/// `head` with another Content-Length: what a proxy writes that believes that the rest is the whole.
pub fn with_length(head: &[u8], length: usize) -> Vec<u8> {
    let mut written = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let is_length = line.get(..15).is_some_and(|name| name.eq_ignore_ascii_case(b"content-length:"));
        if is_length {
            written.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        } else {
            written.extend_from_slice(line);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str, is_answer: bool) -> Head {
        for end in 0..text.find("\r\n\r\n").unwrap() + 4 {
            assert_eq!(head(&text.as_bytes()[..end], is_answer).unwrap(), None);
        }
        head(text.as_bytes(), is_answer).unwrap().unwrap()
    }

    #[test]
    fn a_head_says_what_follows_it() {
        let put = whole("PUT /a HTTP/1.1\r\nHost: x\r\ncontent-length: 7\r\n\r\n1234567", false);
        assert_eq!((put.words, put.body, put.closes), (["PUT".into(), "/a".into()], Body::Length(7), false));
        let get = whole("GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", false);
        assert_eq!((get.body, get.closes), (Body::Length(0), true));
        let chunked = whole("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true);
        assert_eq!(chunked.body, Body::Chunked);
        let unchanged = whole("HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\n\r\n", true);
        assert_eq!(unchanged.body, Body::Length(0));
        let open = whole("HTTP/1.1 200 OK\r\n\r\n", true);
        assert_eq!((open.body, open.closes), (Body::UntilClose, true));
        assert!(head(b"PUT /a HTTP/1.1\r\ncontent-length: -1\r\n\r\n", false).is_err());
        assert!(head(&[b'a'; HEAD_BYTES_MAX + 1], false).is_err());
    }

    #[test]
    fn chunks_end_with_their_last_line() {
        let text = b"4\r\nabcd\r\nA;x=1\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\nGET";
        let end = text.len() - 3;
        for part in 0..end {
            assert_eq!(chunked_length(&text[..part]).unwrap(), None, "{part}");
        }
        assert_eq!(chunked_length(text).unwrap(), Some(end));
        assert!(chunked_length(b"x\r\n").is_err());
    }

    #[test]
    fn another_length_leaves_the_rest_as_it_was() {
        let head = b"PUT /a HTTP/1.1\r\nContent-Length: 70\r\nx-a: content-length: 70\r\n\r\n";
        let wanted = b"PUT /a HTTP/1.1\r\ncontent-length: 3\r\nx-a: content-length: 70\r\n\r\n";
        assert_eq!(with_length(head, 3), wanted);
    }
}
