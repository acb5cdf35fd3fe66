//! The failover settings: which beacons an agent may use, and how it orders them. INI, as in the UNIX preference file.
//!
//! ```text
//! [ManageSoft\NetSelector\CurrentVersion]            SelectorAlgorithm HighestPriority LowestPriority
//! [ManageSoft\Common\DownloadSettings\{guid}]*       Protocol Host Port Directory, ...
//! [ManageSoft\Common\UploadSettings\{guid}]*         the same
//! ```
//!
//! One bad entry must not take the others away, and a bad list must not cut an agent off: an unusable entry becomes a
//! finding; a list of whose uploads none is usable is refused, and then the agent keeps its old one. Downloads are no
//! reason to refuse: an upload without one of its own is downloaded from at the usual place. Names of sections and keys
//! are compared without regard to ASCII case; unknown ones are skipped.
//!
//! Source: `agent-beacon-batch` reference, sections 3.2, 3.3 and 7.

mod server;

use std::fmt;

pub use self::server::{Password, Priority, Protocol, Server, is_loopback_host};
use super::ini::{self, Ini, IniError, Section, sections};
use crate::id::shorten;

/// Bytes of one file. A thousand entries take about 200 KB.
pub const BYTES_MAX: usize = 1 << 20;
/// Bytes of one line.
pub const LINE_BYTES_MAX: usize = ini::LINE_BYTES_MAX;
/// Sections of entries in one file, usable or not.
pub const ENTRIES_MAX: usize = 1_000;
/// The range of priorities when the file names none. Source: the example of the reference.
const PRIORITIES: (u32, u32) = (1, 100);

const SELECTOR_SECTION: &str = r"ManageSoft\NetSelector\CurrentVersion";
const DOWNLOAD_SECTION: &str = r"ManageSoft\Common\DownloadSettings\";
const UPLOAD_SECTION: &str = r"ManageSoft\Common\UploadSettings\";

/// Why failover settings are refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailoverError {
    /// Too large.
    #[error("failover settings have {met} bytes, the limit is {BYTES_MAX}")]
    Size {
        /// Their length.
        met: usize,
    },
    /// A line that is too long.
    #[error("line {line} of the failover settings has {met} bytes, the limit is {LINE_BYTES_MAX}")]
    Line {
        /// Its number, counted from 1.
        line: usize,
        /// Its length.
        met: usize,
    },
    /// Not UTF-8.
    #[error("failover settings are not UTF-8")]
    Encoding,
    /// Too many entries.
    #[error("failover settings have more than {ENTRIES_MAX} entries")]
    Entries,
    /// A list that would leave the agent without a server.
    #[error("none of the {met} {list} entries is usable")]
    Unusable {
        /// `download` or `upload`.
        list: &'static str,
        /// Entries of that list.
        met: usize,
    },
    /// No entry of either list.
    #[error("failover settings name no server")]
    Empty,
}

impl From<IniError> for FailoverError {
    fn from(error: IniError) -> FailoverError {
        match error {
            IniError::Encoding => FailoverError::Encoding,
            IniError::Line { line, met } => FailoverError::Line { line, met },
            IniError::Sections => FailoverError::Entries,
        }
    }
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverFinding {
    /// Line of the section or setting, counted from 1.
    pub line: usize,
    /// The last two parts of the section's name, shortened.
    pub section: String,
    /// Why.
    pub fault: FailoverFault,
}

/// Why an entry or a setting was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailoverFault {
    /// A value that must be there is not, or is blank.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that means nothing.
    #[error("`{key}` is `{met}`, which is not {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// What stands there, shortened.
        met: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The section does not end in a GUID.
    #[error("its name does not end in a GUID")]
    Name,
    /// An earlier entry of the same list has the GUID.
    #[error("it is there twice")]
    Twice,
}

impl fmt::Display for FailoverFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, [{}]: {}", self.line, self.section, self.fault)
    }
}

/// The failover settings of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// How servers are ordered: applied left to right, each call re-orders the result of the one before. Empty when
    /// the file names none.
    pub selector: Vec<SelectorCall>,
    /// Priority of the server that is tried first; not above `lowest_priority`.
    pub highest_priority: u32,
    /// Priority of the server that is tried last.
    pub lowest_priority: u32,
    /// Where to download; empty when the file has no such section.
    pub downloads: Vec<Server>,
    /// Where to upload; empty when the file has no such section.
    pub uploads: Vec<Server>,
}

/// One step of the order, `MgsNameMatch(20,,true)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorCall {
    /// Name of the algorithm, not checked against the known ones.
    pub name: String,
    /// Arguments by position; an empty one stands for its default.
    pub arguments: Vec<String>,
}

impl Failover {
    /// Reads failover settings; findings are in the order of the file, at most one for each section and setting.
    pub fn read(bytes: &[u8]) -> Result<(Failover, Vec<FailoverFinding>), FailoverError> {
        if bytes.len() > BYTES_MAX {
            return Err(FailoverError::Size { met: bytes.len() });
        }
        let sections = sections(bytes)?;
        let (highest_priority, lowest_priority) = PRIORITIES;
        let mut settings = Failover {
            selector: Vec::new(),
            highest_priority,
            lowest_priority,
            downloads: Vec::new(),
            uploads: Vec::new(),
        };
        let mut findings = Vec::new();
        let (mut downloads_met, mut uploads_met) = (0, 0);
        for section in &sections {
            // Without the part that all have, so that the GUID survives the shortening.
            let name = section.name.rsplit('\\').take(2).collect::<Vec<_>>();
            let name = shorten(&name.into_iter().rev().collect::<Vec<_>>().join("\\"));
            let mut find = |fault| findings.push(FailoverFinding { line: section.line, section: name.clone(), fault });
            if section.name.eq_ignore_ascii_case(SELECTOR_SECTION) {
                settings.read_selector(section, &mut find);
                continue;
            }
            let (id, list, met) = if let Some(id) = strip_prefix(section.name, DOWNLOAD_SECTION) {
                (id, &mut settings.downloads, &mut downloads_met)
            } else if let Some(id) = strip_prefix(section.name, UPLOAD_SECTION) {
                (id, &mut settings.uploads, &mut uploads_met)
            } else {
                continue;
            };
            *met += 1;
            match Server::read(id, section) {
                Ok(server) if list.iter().any(|known| known.id == server.id) => find(FailoverFault::Twice),
                Ok(server) => list.push(server),
                Err(fault) => find(fault),
            }
            if downloads_met + uploads_met > ENTRIES_MAX {
                return Err(FailoverError::Entries);
            }
        }
        if uploads_met > 0 && settings.uploads.is_empty() {
            return Err(FailoverError::Unusable { list: "upload", met: uploads_met });
        }
        if downloads_met > 0 && settings.downloads.is_empty() && settings.uploads.is_empty() {
            return Err(FailoverError::Unusable { list: "download", met: downloads_met });
        }
        if downloads_met + uploads_met == 0 { Err(FailoverError::Empty) } else { Ok((settings, findings)) }
    }

    fn read_selector(&mut self, section: &Section, find: &mut impl FnMut(FailoverFault)) {
        if let Some(text) = section.get("SelectorAlgorithm") {
            match SelectorCall::read_all(text) {
                Some(calls) => self.selector = calls,
                None => find(fault("SelectorAlgorithm", text, "algorithm calls separated by `;`")),
            }
        }
        let number = |key, default| section.get(key).map_or(Ok(default), |text| text.parse().map_err(|_| text));
        let priorities = (number("HighestPriority", PRIORITIES.0), number("LowestPriority", PRIORITIES.1));
        match priorities {
            (Ok(highest), Ok(lowest)) if highest <= lowest => {
                (self.highest_priority, self.lowest_priority) = (highest, lowest);
            }
            (Ok(highest), Ok(_)) => {
                find(fault("HighestPriority", &highest.to_string(), "at most LowestPriority"));
            }
            (Err(text), _) => find(fault("HighestPriority", text, "a whole number")),
            (_, Err(text)) => find(fault("LowestPriority", text, "a whole number")),
        }
    }

    /// Prints the settings; equal settings give equal bytes. What INI cannot carry (control characters) becomes U+FFFD,
    /// and white space around a value is lost when it is read.
    pub fn write(&self) -> String {
        let mut ini = Ini::default();
        ini.section(SELECTOR_SECTION);
        let calls: Vec<String> = self.selector.iter().map(SelectorCall::to_string).collect();
        ini.optional("SelectorAlgorithm", &calls.join(";"));
        ini.entry("HighestPriority", &self.highest_priority.to_string());
        ini.entry("LowestPriority", &self.lowest_priority.to_string());
        for (section, servers) in [(DOWNLOAD_SECTION, &self.downloads), (UPLOAD_SECTION, &self.uploads)] {
            for server in servers {
                ini.section(&format!("{section}{{{}}}", server.id));
                server.write(&mut ini);
            }
        }
        ini.text
    }
}

impl fmt::Display for SelectorCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.arguments.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}({})", self.name, self.arguments.join(","))
    }
}

impl SelectorCall {
    /// Reads `MgsPing;MgsNameMatch(20,,true)`; `None` when a call has no name or its brackets do not pair.
    pub fn read_all(text: &str) -> Option<Vec<SelectorCall>> {
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut calls = Vec::new();
        for call in text.split(';').map(str::trim).filter(|call| !call.is_empty()) {
            let (name, arguments) = match call.split_once('(') {
                Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')')?)),
                None => (call, None),
            };
            if name.is_empty() || !is_word(name) {
                return None;
            }
            let arguments: Vec<String> = match arguments {
                Some(arguments) if !arguments.trim().is_empty() => {
                    arguments.split(',').map(|argument| argument.trim().to_string()).collect()
                }
                _ => Vec::new(),
            };
            if arguments.iter().any(|argument| argument.contains(['(', ')'])) {
                return None;
            }
            calls.push(SelectorCall { name: name.into(), arguments });
        }
        Some(calls)
    }
}

fn fault(key: &'static str, met: &str, expected: &'static str) -> FailoverFault {
    FailoverFault::Value { key, met: shorten(met), expected }
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::Guid;

    const EXAMPLE: &str = include_str!("../../../tests/golden/formats/failover.ndc");
    const UPLOAD: &str = "[ManageSoft\\Common\\UploadSettings\\{00000000-0000-4000-8000-000000000001}]\n";
    const USABLE: &str = "Protocol=http\nHost=b\nPort=1\nDirectory=D\n";

    fn faults(text: &str) -> Vec<String> {
        let (_, findings) = Failover::read(text.as_bytes()).unwrap();
        findings.iter().map(FailoverFinding::to_string).collect()
    }

    #[test]
    fn the_example_of_the_reference_reads_and_writes_back_byte_for_byte() {
        let (settings, findings) = Failover::read(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(findings, []);
        let names: Vec<&str> = settings.selector.iter().map(|call| &call.name[..]).collect();
        assert_eq!(names, ["MgsRandom", "MgsPing", "MgsSiteMatch"]);
        assert_eq!((settings.highest_priority, settings.lowest_priority), (1, 100));
        let [server] = &settings.uploads[..] else { panic!("one server") };
        assert_eq!((&server.host[..], server.port, &server.site[..]), ("beacon1.lab.example", 7082, "lab-a"));
        assert_eq!((server.auto_priority, server.priority), (true, None));
        assert_eq!(settings.write(), EXAMPLE);
    }

    #[test]
    fn arguments_of_a_selector_are_positional_and_may_be_empty() {
        let read = |text: &str| {
            let calls = SelectorCall::read_all(text)?;
            Some(calls.iter().map(SelectorCall::to_string).collect::<Vec<_>>().join(";"))
        };
        assert_eq!(SelectorCall::read_all("MgsNameMatch(20,,true)").unwrap()[0].arguments, ["20", "", "true"]);
        assert_eq!(read(" MgsPing ( 5 ) ; ; MgsSubnetMatch() ").unwrap(), "MgsPing(5);MgsSubnetMatch");
        assert_eq!(read(""), Some(String::new()));
        for text in ["MgsPing(", "MgsPing)", "(5)", "Mgs Ping", "MgsPing((5))", "MgsPing(5)x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_unusable_entry_is_told_and_the_others_stay() {
        let other = UPLOAD.replace('1', "2");
        for (entry, expected) in [
            ("Host=b\nPort=1\nDirectory=D", "`Protocol` is missing"),
            ("Protocol=ftp\nHost=b\nPort=1\nDirectory=D", "`Protocol` is `ftp`, which is not http or https"),
            ("Protocol=http\nHost=\nPort=1\nDirectory=D", "`Host` is missing"),
            ("Protocol=http\nHost=a b\nPort=1\nDirectory=D", "`Host` is `a b`, which is not a host name or an address"),
            (
                "Protocol=http\nHost=a/..\nPort=1\nDirectory=D",
                "`Host` is `a/..`, which is not a host name or an address",
            ),
            ("Protocol=http\nHost=b\nDirectory=D", "`Port` is missing"),
            ("Protocol=http\nHost=b\nPort=0\nDirectory=D", "`Port` is `0`, which is not 1 to 65535"),
            ("Protocol=http\nHost=b\nPort=65536\nDirectory=D", "`Port` is `65536`, which is not 1 to 65535"),
            ("Protocol=http\nHost=b\nPort=1", "`Directory` is missing"),
            (
                "Protocol=http\nHost=b\nPort=1\nDirectory=../etc",
                "`Directory` is `../etc`, which is not a path of letters, digits, `.`, `-`, `_`",
            ),
            (
                "Protocol=http\nHost=b\nPort=1\nDirectory=D\nPriority=high",
                "`Priority` is `high`, which is not a whole number or `invalid`",
            ),
            (
                "Protocol=http\nHost=b\nPort=1\nDirectory=D\nAutoPriority=1",
                "`AutoPriority` is `1`, which is not True or False",
            ),
        ] {
            let text = format!("{UPLOAD}{USABLE}{other}{entry}\n");
            assert_eq!(
                faults(&text),
                [format!(r"line 6, [UploadSettings\\{{00000000-0000-4000-8000-000000000002}}]: {expected}")]
            );
        }
        let nameless = r"[ManageSoft\Common\UploadSettings\one]";
        let text = format!("{UPLOAD}{USABLE}{nameless}\n{USABLE}{UPLOAD}{USABLE}");
        assert_eq!(faults(&text).len(), 2);
        assert!(faults(&text)[0].ends_with("its name does not end in a GUID"));
        assert!(faults(&text)[1].ends_with("it is there twice"));
    }

    #[test]
    fn a_bad_selector_is_told_and_the_defaults_stand() {
        let selector = |lines: &str| format!("[{SELECTOR_SECTION}]\n{lines}\n{UPLOAD}{USABLE}");
        for (lines, expected) in [
            (
                "SelectorAlgorithm=MgsPing(",
                "`SelectorAlgorithm` is `MgsPing(`, which is not algorithm calls separated by `;`",
            ),
            ("HighestPriority=-1", "`HighestPriority` is `-1`, which is not a whole number"),
            ("LowestPriority=x", "`LowestPriority` is `x`, which is not a whole number"),
            ("HighestPriority=5\nLowestPriority=4", "`HighestPriority` is `5`, which is not at most LowestPriority"),
        ] {
            assert_eq!(faults(&selector(lines)), [format!(r"line 1, [NetSelector\\CurrentVersion]: {expected}")]);
            let (settings, _) = Failover::read(selector(lines).as_bytes()).unwrap();
            assert_eq!((settings.selector.len(), settings.highest_priority, settings.lowest_priority), (0, 1, 100));
        }
    }

    #[test]
    fn a_list_without_a_usable_entry_is_refused() {
        let download = UPLOAD.replace("Upload", "Download");
        let reason = |text: String| Failover::read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(reason(String::new()), "failover settings name no server");
        assert_eq!(reason(format!("[{SELECTOR_SECTION}]\n")), "failover settings name no server");
        assert_eq!(reason(UPLOAD.into()), "none of the 1 upload entries is usable");
        assert_eq!(reason(format!("{download}Host=b\n")), "none of the 1 download entries is usable");
        assert!(Failover::read(format!("{UPLOAD}{USABLE}{download}{USABLE}").as_bytes()).is_ok());
    }

    #[test]
    fn a_bad_download_costs_the_uploads_nothing() {
        let download = UPLOAD.replace("Upload", "Download");
        let (settings, findings) = Failover::read(format!("{UPLOAD}{USABLE}{download}Host=b\n").as_bytes()).unwrap();
        assert_eq!((settings.uploads.len(), settings.downloads.len(), findings.len()), (1, 0, 1));
        assert_eq!(findings[0].fault, FailoverFault::Missing("Protocol"));
    }

    #[test]
    fn the_file_its_lines_and_its_entries_are_bounded() {
        let reason = |bytes: &[u8]| Failover::read(bytes).unwrap_err().to_string();
        assert_eq!(reason(&[b' '; BYTES_MAX + 1]), "failover settings have 1048577 bytes, the limit is 1048576");
        let line = format!("\n;{}", "x".repeat(LINE_BYTES_MAX));
        assert_eq!(reason(line.as_bytes()), "line 2 of the failover settings has 4097 bytes, the limit is 4096");
        assert_eq!(reason(b"\xff"), "failover settings are not UTF-8");
        assert_eq!(reason(UPLOAD.repeat(ENTRIES_MAX + 1).as_bytes()), "failover settings have more than 1000 entries");
    }

    #[test]
    fn spelling_comments_and_line_ends_do_not_matter() {
        let text = format!(
            "\u{feff}; made by hand\r\nstray=1\r\n{}# c\r\nPROTOCOL = HTTPS\r\nhost=[fe80::1]\r\nport=443\r\ndirectory=/a/b/\r\nUnknown=1\r\n[Other]\r\nHost=x\r\n",
            UPLOAD.to_uppercase().replace('\n', "\r\n")
        );
        let (settings, findings) = Failover::read(text.as_bytes()).unwrap();
        assert_eq!(findings, []);
        let server = &settings.uploads[0];
        assert_eq!((server.protocol, &server.host[..], &server.directory[..]), (Protocol::Https, "fe80::1", "a/b"));
    }

    #[test]
    fn a_password_stays_out_of_logs() {
        let (mut settings, _) = Failover::read(EXAMPLE.as_bytes()).unwrap();
        settings.uploads[0].password = Password("hunter2".into());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    fn servers(at_least: usize) -> impl Strategy<Value = Vec<Server>> {
        let texts = ("[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", "[A-Za-z0-9_-]{1,9}", "([!-~é]([ -~é]{0,9}[!-~é])?)?");
        let priority =
            proptest::option::of(prop_oneof![any::<u32>().prop_map(Priority::Number), Just(Priority::Invalid)]);
        let server = (any::<[u8; 16]>(), texts, 1..=u16::MAX, any::<bool>(), priority).prop_map(
            |(id, (host, directory, text), port, flag, priority)| Server {
                id: Guid::from_random(id),
                protocol: if flag { Protocol::Https } else { Protocol::Http },
                host,
                port,
                directory,
                name: text.clone(),
                user: text.clone(),
                password: Password(text.clone()),
                proxy: text.clone(),
                auto_priority: flag,
                priority,
                site: text,
            },
        );
        proptest::collection::vec(server, at_least..4)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            downloads in servers(0),
            uploads in servers(1),
            calls in proptest::collection::vec(("[A-Za-z]{1,9}", proptest::collection::vec("[a-z0-9]{1,4}", 0..4)), 0..4),
            highest: u32,
            span: u32,
        ) {
            let selector = calls.into_iter().map(|(name, arguments)| SelectorCall { name, arguments }).collect();
            let lowest_priority = highest.saturating_add(span);
            let settings = Failover { selector, highest_priority: highest, lowest_priority, downloads, uploads };
            let (read, findings) = Failover::read(settings.write().as_bytes()).unwrap();
            prop_assert_eq!(findings, vec![]);
            prop_assert_eq!(read, settings);
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "(\\[|\\]|=|\\n|;|ManageSoft\\\\Common\\\\UploadSettings\\\\|Host|é|.){0,40}",
        ) {
            let _ = Failover::read(&bytes);
            let _ = Failover::read(text.as_bytes());
        }
    }
}
