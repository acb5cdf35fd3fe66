//! What crosses a hop: the names and headers of an upload, the receipt, and the hop list.
//!
//! Everything here judges only head, name, size and first bytes; content is judged after custody, at the server.
//! Source: delivery contract, sections 1, 5 and 7; `agent-beacon-batch` reference, section 8.2.

use std::sync::Arc;

use crate::id::{Digest, Guid, shorten};
use crate::time::Timestamp;

/// Code of the 404 that only a listener for uploads gives: it takes none of this kind.
pub const UNKNOWN_KIND: &str = "unknown-kind";

/// Header names, lower case as they are looked up.
pub mod header {
    /// GUID of the agent; the origin until enrolment exists.
    pub const AGENT: &str = "x-muster-agent";
    /// Origin as the first hop set it; counts only together with [`VIA`].
    pub const ORIGIN: &str = "x-muster-origin";
    /// `kind/account/type`.
    pub const STREAM: &str = "x-muster-stream";
    /// RFC 3339, or `YYYYMMDDThhmmss`.
    pub const COLLECTED_AT: &str = "x-muster-collected-at";
    /// Decimal, 64 bits.
    pub const EPOCH: &str = "x-muster-epoch";
    /// Decimal, 64 bits, from 1.
    pub const SEQUENCE: &str = "x-muster-sequence";
    /// Hexadecimal digest of the body.
    pub const SHA256: &str = "x-muster-sha256";
    /// `guid;received-ms,...`, first hop first.
    pub const VIA: &str = "x-muster-via";
    /// Tells whether the origin was proven at the first hop: `proven` or `unproven`.
    pub const IDENTITY: &str = "x-muster-identity";
    /// Of an agent's policy question: the last number it used of each stream, as [`marks`](crate::formats::marks).
    pub const PUBLISHED: &str = "x-muster-published";
    /// Of an agent's policy question: what nodes took of it, as [`marks`](crate::formats::marks).
    pub const ACKED: &str = "x-muster-acked";
    /// Of an agent's policy question: what it has given up because no node will take it.
    pub const REFUSED: &str = "x-muster-refused";
    /// Of an agent's policy question: what a later report took the place of before a node took it.
    pub const SUPERSEDED: &str = "x-muster-superseded";
    /// Of a policy answer: what the agent is to send again, as [`marks`](crate::formats::marks).
    pub const RESEND: &str = "x-muster-resend";
}

/// Most bytes of an upload's body. Source: delivery contract, section 7.
pub const BODY_BYTES_MAX: u64 = 32 << 20;
/// Most bytes of a request's head.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 64;
/// Most bytes of a request's URL.
pub const URL_BYTES_MAX: usize = 4 << 10;
/// Most bytes of a file name after decoding.
pub const NAME_BYTES_MAX: usize = 200;
/// Most nodes a package may pass.
pub const HOPS_MAX: usize = 8;
/// Most bytes of an origin: `anon/`, a GUID, `/` and a file name.
pub const ORIGIN_BYTES_MAX: usize = 5 + 36 + 1 + NAME_BYTES_MAX;
/// Most bytes of a stream's name.
pub(crate) const STREAM_BYTES_MAX: usize = 256;

/// Why an upload is not taken: the status of the answer, a word for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Stable word.
    pub code: &'static str,
    /// What was wrong and what would be right.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }
}

/// How a folder's files may end, and what their bytes begin with.
struct Folder {
    name: &'static str,
    endings: &'static [(&'static str, FirstBytes)],
}

/// What a file of a known ending begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// `1f 8b`.
    Gzip,
    /// `<`, behind a byte order mark if there is one.
    Markup,
}

impl FirstBytes {
    /// Whether `bytes` (the first four or more, or all there are) begin like this.
    pub fn fit(self, bytes: &[u8]) -> bool {
        match self {
            FirstBytes::Gzip => bytes.starts_with(&[0x1f, 0x8b]),
            FirstBytes::Markup => [&b"<"[..], b"\xef\xbb\xbf<", b"\xff\xfe<\0", b"\xfe\xff\0<"]
                .iter()
                .any(|start| bytes.starts_with(start)),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            FirstBytes::Gzip => "the gzip magic 1f 8b",
            FirstBytes::Markup => "`<`",
        }
    }
}

/// The folders of `ManageSoftRL`. Source: `agent-beacon-batch` reference, section 4.4.
const FOLDERS: [Folder; 8] = [
    Folder { name: "Discovery", endings: &[(".disco", FirstBytes::Markup)] },
    Folder { name: "Inventories", endings: &[(".ndi.gz", FirstBytes::Gzip)] },
    Folder { name: "UsageData", endings: &[(".mmi.gz", FirstBytes::Gzip)] },
    Folder { name: "Logs", endings: &[(".log.gz", FirstBytes::Gzip)] },
    Folder { name: "ActivityStatus", endings: &[(".xml.gz", FirstBytes::Gzip), (".xml", FirstBytes::Markup)] },
    Folder { name: "ActiveDirectory", endings: &[(".xml.gz", FirstBytes::Gzip), (".xml", FirstBytes::Markup)] },
    Folder { name: "VdiAccess", endings: &[(".xml.gz", FirstBytes::Gzip), (".xml", FirstBytes::Markup)] },
    // Of other tools and of the business; beacons take them at an address of their own too.
    Folder { name: "IntermediateData", endings: &[(".ndi.gz", FirstBytes::Gzip), (".csv.gz", FirstBytes::Gzip)] },
];

/// A checked upload name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadName {
    /// The folder, one of the eight.
    pub folder: &'static str,
    /// The decoded name.
    pub name: String,
    /// What the body has to begin with.
    pub first_bytes: FirstBytes,
}

/// Reads `{Kind}/{name}` of an upload's URL, both still percent-encoded.
///
/// The name is decoded once; 1 to 200 bytes of UTF-8; no control characters, none of `/ \ : * ? " < > | %`, no `..`, no
/// marks that turn the writing direction, no leading `.`, a known ending of its folder. Errors: 404 for another folder,
/// 400 for a name.
pub fn upload_name(folder: &str, encoded: &str) -> Result<UploadName, Refusal> {
    let folder = FOLDERS.iter().find(|known| known.name == folder).ok_or_else(|| {
        Refusal::new(
            404,
            UNKNOWN_KIND,
            format!("`{}` is no kind of upload: one of {}", shorten(folder), folder_names()),
        )
    })?;
    let wrong = |why: &str| Refusal::new(400, "file-name", format!("file name `{}`: {why}", shorten(encoded)));
    let name = percent_decode(encoded).ok_or_else(|| wrong("its percent-encoding is broken"))?;
    let name = String::from_utf8(name).map_err(|_| wrong("it is not UTF-8"))?;
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Err(wrong("it must have 1 to 200 bytes"));
    }
    if name.starts_with('.') || name.contains("..") {
        return Err(wrong("it must not begin with `.` or contain `..`"));
    }
    if let Some(bad) = name.chars().find(|&c| is_forbidden(c)) {
        return Err(wrong(&format!("it must not contain {bad:?}")));
    }
    let lower = name.to_ascii_lowercase();
    let ending = folder.endings.iter().find(|(ending, _)| lower.ends_with(ending) && lower.len() > ending.len());
    let Some(&(_, first_bytes)) = ending else {
        let known: Vec<&str> = folder.endings.iter().map(|(ending, _)| *ending).collect();
        return Err(wrong(&format!("files of {} end in {}", folder.name, known.join(" or "))));
    };
    Ok(UploadName { folder: folder.name, name, first_bytes })
}

/// Whether `name` is one of the folders.
pub(super) fn is_folder(name: &str) -> bool {
    FOLDERS.iter().any(|folder| folder.name == name)
}

fn folder_names() -> String {
    FOLDERS.map(|folder| folder.name).join(", ")
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '%')
        // Direction marks, embeddings, overrides and isolates; line and paragraph separators; the byte order mark.
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` with `%XX` decoded once; `None` when a `%` is not followed by two hexadecimal digits.
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
        out.push((digit(bytes.next())? * 16 + digit(bytes.next())?) as u8);
    }
    Some(out)
}

/// `text` percent-encoded for one path segment: everything but letters, digits and `-._~`.
pub fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() + 8), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// An account or machine inside a file name: every byte outside `A-Z a-z 0-9 . _ -` as `=XX`, at most 64 bytes.
///
/// Source: `agent-beacon-batch` reference, section 4.4.
pub fn name_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let piece = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => (byte as char).to_string(),
            _ => format!("={byte:02X}"),
        };
        if out.len() + piece.len() > 64 {
            break;
        }
        out.push_str(&piece);
    }
    out
}

/// One entry of the hop list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The node.
    pub node: Guid,
    /// When it took custody.
    pub received: Timestamp,
}

/// What the headers of an upload say, checked but not yet believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadHead {
    /// GUID of the agent.
    pub agent: Option<Guid>,
    /// Origin set by the first hop; only with a hop list.
    pub origin: Option<Arc<str>>,
    /// Whether the first hop had proof of the origin.
    pub proven: bool,
    /// `kind/account/type`.
    pub stream: Option<Arc<str>>,
    /// When the agent says it collected; `None` also when it cannot be read (the receiver then takes its own clock).
    pub collected_at: Option<Timestamp>,
    /// Epoch and number.
    pub sequence: Option<(u64, u64)>,
    /// Digest of the body.
    pub digest: Option<Digest>,
    /// Nodes passed, first hop first.
    pub via: Vec<Via>,
}

/// Reads the `X-Muster-*` headers through `get` (lower-case name to value; `Err` when a value is not text).
///
/// Errors: 400 for a header that cannot be read, 508 for more than eight hops or a list that names `own`.
pub fn upload_head<'a>(
    folder: &str,
    own: Guid,
    get: impl Fn(&'static str) -> Result<Option<&'a str>, Refusal>,
) -> Result<UploadHead, Refusal> {
    let wrong = |name: &'static str, value: &str, right: &str| {
        Refusal::new(400, "header", format!("header {name} `{}`: {right}", shorten(value)))
    };
    let mut head = UploadHead::default();
    if let Some(value) = get(header::AGENT)? {
        head.agent = Some(value.trim().parse().map_err(|_| wrong(header::AGENT, value, "it must be a GUID"))?);
    }
    if let Some(value) = get(header::SHA256)? {
        let right = "it must be 64 hexadecimal digits";
        head.digest = Some(value.trim().parse().map_err(|_| wrong(header::SHA256, value, right))?);
    }
    if let Some(value) = get(header::VIA)? {
        head.via = via(value).ok_or_else(|| wrong(header::VIA, value, "it must be guid;received-ms,..."))?;
        if head.via.len() > HOPS_MAX {
            return Err(Refusal::new(508, "loop", format!("{} hops, at most {HOPS_MAX} are allowed", head.via.len())));
        }
        if head.via.iter().any(|hop| hop.node == own) {
            return Err(Refusal::new(508, "loop", "the package has passed this node already"));
        }
    }
    if !head.via.is_empty() {
        let right = "a relayed package carries the origin its first hop set";
        let value = get(header::ORIGIN)?.ok_or_else(|| wrong(header::ORIGIN, "", right))?;
        // Judged as it was before it was escaped for the hop: what a first hop takes, every later one takes.
        let origin = unescape_header(value).ok_or_else(|| wrong(header::ORIGIN, value, right))?;
        if !(1..=ORIGIN_BYTES_MAX).contains(&origin.len()) || origin.chars().any(char::is_control) {
            return Err(wrong(header::ORIGIN, value, right));
        }
        head.origin = Some(origin.into());
        head.proven = get(header::IDENTITY)? == Some("proven");
    }
    if let Some(value) = get(header::STREAM)? {
        let right = "it must be kind/account/type of the folder it is put into";
        let text = unescape_header(value).ok_or_else(|| wrong(header::STREAM, value, right))?;
        let mut parts = text.split('/');
        let fits = parts.next() == Some(folder) && parts.clone().count() == 2 && text.len() <= STREAM_BYTES_MAX;
        if !fits || text.chars().any(char::is_control) {
            return Err(wrong(header::STREAM, value, right));
        }
        head.stream = Some(text.into());
    }
    let number = |name: &'static str| -> Result<Option<u64>, Refusal> {
        get(name)?
            .map(|value| value.trim().parse().map_err(|_| wrong(name, value, "it must be a whole number")))
            .transpose()
    };
    head.sequence = match (number(header::EPOCH)?, number(header::SEQUENCE)?) {
        (Some(epoch), Some(number)) if number > 0 => Some((epoch, number)),
        (None, None) => None,
        (_, number) => {
            let value = number.map(|number| number.to_string()).unwrap_or_default();
            return Err(wrong(header::SEQUENCE, &value, "it counts from 1 and comes together with an epoch"));
        }
    };
    if let Some(value) = get(header::COLLECTED_AT)? {
        head.collected_at = Timestamp::from_rfc3339(value.trim()).or_else(|| Timestamp::from_stamp(value.trim()));
    }
    Ok(head)
}

fn via(text: &str) -> Option<Vec<Via>> {
    // One more than allowed is enough to refuse; a longer list is not read.
    text.split(',')
        .take(HOPS_MAX + 1)
        .map(|hop| {
            let (node, received) = hop.trim().split_once(';')?;
            Some(Via { node: node.parse().ok()?, received: Timestamp(received.parse().ok()?) })
        })
        .collect()
}

/// The hop list as a header's value.
pub fn via_text(hops: impl IntoIterator<Item = Via>) -> String {
    hops.into_iter().map(|hop| format!("{};{}", hop.node, hop.received.0)).collect::<Vec<_>>().join(",")
}

/// A text as a header's value: bytes that a header cannot carry, and `%`, percent-encoded.
pub fn escape_header(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(byte as char),
        }
        out
    })
}

pub(super) fn unescape_header(text: &str) -> Option<String> {
    String::from_utf8(percent_decode(text)?).ok()
}

/// Checks the first bytes of a body against its file's ending. Error: 415.
pub fn check_first_bytes(name: &UploadName, bytes: &[u8]) -> Result<(), Refusal> {
    if name.first_bytes.fit(bytes) {
        return Ok(());
    }
    let expected = name.first_bytes.expected();
    Err(Refusal::new(415, "content", format!("a file named `{}` begins with {expected}", shorten(&name.name))))
}

/// The account and type that an inventory's file name tells: `{account} on {machine} at {stamp} (Full).ndi.gz`.
pub fn stream_of_name(folder: &str, name: &str) -> Arc<str> {
    let account = name.split_once(" on ").map_or("", |(account, _)| account);
    let kind_type =
        name.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(kind_type, _)| kind_type);
    let plain = |part: &str| !part.contains('/') && part.len() <= 64;
    match (plain(account), plain(kind_type)) {
        (true, true) => format!("{folder}/{account}/{kind_type}").into(),
        _ => format!("{folder}//").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NODE: &str = "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11";
    const OTHER: &str = "6b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11";

    fn head(headers: &[(&str, &str)]) -> Result<UploadHead, Refusal> {
        upload_head("Inventories", NODE.parse().unwrap(), |name| {
            Ok(headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
        })
    }

    #[test]
    fn names_that_agents_write_are_taken() {
        for name in ["root%20on%20web07%20at%2020250314T031522%20(Full).ndi.gz", "a%23b%5Bc%5D.ndi.gz", "%C3%BC.NDI.GZ"]
        {
            assert!(upload_name("Inventories", name).is_ok(), "{name}");
        }
        assert_eq!(upload_name("Discovery", "x.disco").unwrap().first_bytes, FirstBytes::Markup);
    }

    #[test]
    fn names_that_could_do_harm_are_refused() {
        let long = format!("{}.ndi.gz", "x".repeat(200));
        let names = [
            "",
            ".ndi.gz",
            "a.txt",
            "a.ndi",
            "..%2fa.ndi.gz",
            "a%2Fb.ndi.gz",
            "a%5Cb.ndi.gz",
            "a%00.ndi.gz",
            "a%0d%0a.ndi.gz",
            "a%3A.ndi.gz",
            "a%252e.ndi.gz",
            "%FF.ndi.gz",
            "a%.ndi.gz",
            "a%4.ndi.gz",
            ".a.ndi.gz",
            "a..b.ndi.gz",
            "a%E2%80%AEb.ndi.gz",
            "a%E2%81%A6.ndi.gz",
            "a%3C.ndi.gz",
            "a%7F.ndi.gz",
            "a.disco",
            &long,
        ];
        for name in names {
            assert_eq!(upload_name("Inventories", name).map_err(|refusal| refusal.status), Err(400), "{name}");
        }
        assert_eq!(upload_name("Secrets", "a.ndi.gz").unwrap_err().status, 404);
    }

    #[test]
    fn headers_of_an_agent_are_read() {
        let digest = Digest::of(b"x").to_string();
        let read = head(&[
            (header::AGENT, "{5B0A7D0E-77A1-4C0E-9A53-0D7F6F1D2C11}"),
            (header::STREAM, "Inventories/root/Full"),
            (header::EPOCH, "18446744073709551615"),
            (header::SEQUENCE, "3"),
            (header::SHA256, &digest),
            (header::COLLECTED_AT, "2025-03-14T03:15:22Z"),
            (header::ORIGIN, "somebody-else"),
        ])
        .unwrap();
        assert_eq!(read.agent, Some(NODE.parse().unwrap()));
        assert_eq!(read.origin, None, "an origin without a hop list does not count");
        assert_eq!(read.sequence, Some((u64::MAX, 3)));
        assert_eq!(read.stream.as_deref(), Some("Inventories/root/Full"));
        assert_eq!(read.collected_at, Some(Timestamp(1_741_922_122_000)));
    }

    #[test]
    fn headers_that_cannot_be_right_are_refused_by_name() {
        let nine = vec![format!("{OTHER};1"); 9].join(",");
        let cases: [(&[(&str, &str)], u16); 11] = [
            (&[(header::AGENT, "me")], 400),
            (&[(header::SHA256, "abc")], 400),
            (&[(header::SEQUENCE, "1")], 400),
            (&[(header::EPOCH, "1")], 400),
            (&[(header::EPOCH, "1"), (header::SEQUENCE, "0")], 400),
            (&[(header::STREAM, "UsageData/root/Full")], 400),
            (&[(header::STREAM, "Inventories/a/b/c")], 400),
            (&[(header::VIA, "nobody")], 400),
            (&[(header::VIA, &format!("{OTHER};1"))], 400),
            (&[(header::ORIGIN, "o"), (header::VIA, &format!("{NODE};1"))], 508),
            (&[(header::ORIGIN, "o"), (header::VIA, &nine)], 508),
        ];
        for (headers, status) in cases {
            let refusal = head(headers).unwrap_err();
            assert_eq!(refusal.status, status, "{headers:?}");
            assert!(refusal.message.contains("x-muster") || status == 508, "{refusal}");
        }
    }

    #[test]
    fn a_collection_time_that_cannot_be_read_is_no_reason_to_refuse() {
        assert_eq!(head(&[(header::COLLECTED_AT, "yesterday")]).unwrap().collected_at, None);
    }

    #[test]
    fn an_account_never_breaks_out_of_a_file_name() {
        assert_eq!(name_part("DOM\\kim/ü"), "DOM=5Ckim=2F=C3=BC");
        assert!(name_part(&"ü".repeat(100)).len() <= 64);
        assert_eq!(
            &*stream_of_name("Inventories", "root on web07 at 20250314T031522 (Full).ndi.gz"),
            "Inventories/root/Full"
        );
        assert_eq!(&*stream_of_name("Inventories", "x.ndi.gz"), "Inventories//");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,80}") {
            let _ = upload_name("Inventories", &text);
            for name in [header::AGENT, header::VIA, header::STREAM, header::SEQUENCE, header::COLLECTED_AT] {
                let _ = head(&[(name, &text), (header::ORIGIN, &text)]);
            }
            let _ = stream_of_name("Inventories", &text);
        }

        #[test]
        fn what_is_escaped_reads_back(text in ".{0,80}") {
            let decoded = percent_decode(&percent_encode(&text)).unwrap();
            prop_assert_eq!(decoded, text.as_bytes());
            let escaped = escape_header(&text);
            prop_assert!(escaped.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert_eq!(unescape_header(&escaped), Some(text));
        }

        #[test]
        fn a_hop_list_reads_back(nodes in prop::collection::vec((any::<[u8; 16]>(), any::<i64>()), 1..8)) {
            let hops: Vec<Via> = nodes.iter().map(|&(node, ms)| Via { node: Guid::from_random(node), received: Timestamp(ms) }).collect();
            prop_assert_eq!(via(&via_text(hops.clone())), Some(hops));
        }
    }

    #[test]
    fn an_origin_is_judged_as_it_was_before_it_was_escaped() {
        let own = Guid::from_random([1; 16]);
        let via = format!("{};1700000000000", Guid::from_random([2; 16]));
        let head = |origin: &str| {
            let get = |name: &str| {
                Ok(match name {
                    header::VIA => Some(via.as_str()),
                    header::ORIGIN => Some(origin),
                    _ => None,
                })
            };
            upload_head("Inventories", own, get).map(|head| head.origin.map(|origin| origin.to_string()))
        };
        let longest = format!("anon/{}/{}", Guid::from_random([3; 16]), "社".repeat(NAME_BYTES_MAX / 3));
        assert_eq!(head(&escape_header(&longest)), Ok(Some(longest.clone())));
        assert_eq!(head(&escape_header(&format!("{longest}{}", "x".repeat(9)))).unwrap_err().status, 400);
        assert_eq!(head("x%0A2026-01-01 forged").unwrap_err().status, 400);
    }
}
