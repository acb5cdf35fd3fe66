//! The client configuration: what policy tells an agent to do, beside schedule and failover. INI, as they are.
//!
//! ```text
//! [ManageSoft\Usage Agent\CurrentVersion]      Enabled SamplePeriod UploadPeriod
//! [ManageSoft\Uploader\CurrentVersion]         NetworkMaxRate UploadLogs CatchUp
//! [ManageSoft\Launcher\CurrentVersion]         NetworkMaxRate
//! [ManageSoft\Tracker\CurrentVersion]          HomeTechnologies
//! [ManageSoft\NetSelector\CurrentVersion]      SelectorAlgorithm
//! ```
//!
//! Periods are whole seconds, rates bytes a second. Whatever looks into what people do (usage, logs, homes) is off
//! until the file switches it on: a bad value becomes a finding and the default stays. Names of sections and keys are
//! compared without regard to ASCII case; unknown ones are skipped. A later value of a key replaces an earlier one.
//! When policy is asked for is said by the schedule alone.
//!
//! Source: `agent-beacon-batch` reference, sections 1.4, 2.3, 3.4 and 7 (the INI form); the names are this project's.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::failover::SelectorCall;
use super::host::home::Technology;
use super::ini::{Ini, IniError, LINE_BYTES_MAX, SECTIONS_MAX, sections};
use crate::id::shorten;

/// Bytes of one file; the ones we write have less than 1 KB.
pub const BYTES_MAX: usize = 64 << 10;

const USAGE_SECTION: &str = r"ManageSoft\Usage Agent\CurrentVersion";
const UPLOADER_SECTION: &str = r"ManageSoft\Uploader\CurrentVersion";
const LAUNCHER_SECTION: &str = r"ManageSoft\Launcher\CurrentVersion";
const TRACKER_SECTION: &str = r"ManageSoft\Tracker\CurrentVersion";
const SELECTOR_SECTION: &str = r"ManageSoft\NetSelector\CurrentVersion";

/// How often processes may be looked at: each second to each hour.
const SAMPLE_SECS: RangeInclusive<u32> = 1..=3_600;
/// How often usage may go over the network: each minute to each 30 days.
const PERIOD_SECS: RangeInclusive<u32> = 60..=30 * 86_400;

/// Why a client configuration is refused as a whole; the agent then keeps the one it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientConfigurationError {
    /// Too large.
    #[error("the client configuration has {met} bytes, the limit is {BYTES_MAX}")]
    Size {
        /// Its length.
        met: usize,
    },
    /// A line that is too long.
    #[error("line {line} of the client configuration has {met} bytes, the limit is {LINE_BYTES_MAX}")]
    Line {
        /// Its number, counted from 1.
        line: usize,
        /// Its length.
        met: usize,
    },
    /// Not UTF-8.
    #[error("the client configuration is not UTF-8")]
    Encoding,
    /// Too many sections.
    #[error("the client configuration has more than {SECTIONS_MAX} sections")]
    Sections,
}

impl From<IniError> for ClientConfigurationError {
    fn from(error: IniError) -> ClientConfigurationError {
        match error {
            IniError::Encoding => ClientConfigurationError::Encoding,
            IniError::Line { line, met } => ClientConfigurationError::Line { line, met },
            IniError::Sections => ClientConfigurationError::Sections,
        }
    }
}

/// A value that was not taken; what stood before stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfigurationFinding {
    /// Line of the section, counted from 1.
    pub line: usize,
    /// The key.
    pub key: &'static str,
    /// What stands there, shortened.
    pub met: String,
    /// What may stand there.
    pub expected: &'static str,
}

impl fmt::Display for ClientConfigurationFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClientConfigurationFinding { line, key, met, expected } = self;
        write!(f, "section of line {line}: `{key}` is `{met}`, which is not {expected}")
    }
}

/// What policy tells an agent to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfiguration {
    /// Whether the use of programs is metered. Off by default.
    pub is_usage_metered: bool,
    /// Seconds from one look at the processes to the next; 60 by default.
    pub usage_sample_secs: u32,
    /// Seconds from one usage file to the next; 28,800 by default.
    pub usage_upload_secs: u32,
    /// Bytes a second that uploads may take; 0, the default, for any.
    pub upload_rate_limit: u64,
    /// Bytes a second that downloads may take; 0, the default, for any.
    pub download_rate_limit: u64,
    /// Whether the agent's own logs are uploaded. Off by default.
    pub are_logs_uploaded: bool,
    /// Whether what is queued is uploaded at the daily catch-up. On by default.
    pub is_catch_up_on: bool,
    /// What may be looked for in the homes of accounts. None by default.
    pub home_technologies: BTreeSet<Technology>,
    /// How servers are ordered, in place of what the failover settings say; never empty.
    pub selector: Option<Vec<SelectorCall>>,
}

impl Default for ClientConfiguration {
    fn default() -> ClientConfiguration {
        ClientConfiguration {
            is_usage_metered: false,
            usage_sample_secs: 60,
            usage_upload_secs: 28_800,
            upload_rate_limit: 0,
            download_rate_limit: 0,
            are_logs_uploaded: false,
            is_catch_up_on: true,
            home_technologies: BTreeSet::new(),
            selector: None,
        }
    }
}

/// The keys of one section; a bad value becomes a finding.
struct Keys<'a, 'f> {
    section: &'a super::ini::Section<'a>,
    findings: &'f mut Vec<ClientConfigurationFinding>,
}

impl Keys<'_, '_> {
    /// Puts what `read` makes of the value of `key` in the place of `slot`.
    fn take<T>(
        &mut self,
        key: &'static str,
        slot: &mut T,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) {
        let Some(text) = self.section.get(key) else { return };
        match read(text) {
            Some(value) => *slot = value,
            None => self.find(key, text, expected),
        }
    }

    fn find(&mut self, key: &'static str, met: &str, expected: &'static str) {
        let met = shorten(met);
        self.findings.push(ClientConfigurationFinding { line: self.section.line, key, met, expected });
    }

    fn flag(&mut self, key: &'static str, slot: &mut bool) {
        self.take(key, slot, "True or False", |text| match text {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        });
    }

    fn secs(&mut self, key: &'static str, slot: &mut u32, range: RangeInclusive<u32>, expected: &'static str) {
        self.take(key, slot, expected, |text| text.parse().ok().filter(|secs| range.contains(secs)));
    }

    fn rate(&mut self, slot: &mut u64) {
        self.take("NetworkMaxRate", slot, "a whole number of bytes a second", |text| text.parse().ok());
    }
}

impl ClientConfiguration {
    /// Reads a client configuration; findings are in the order of the file's sections.
    pub fn read(
        bytes: &[u8],
    ) -> Result<(ClientConfiguration, Vec<ClientConfigurationFinding>), ClientConfigurationError> {
        if bytes.len() > BYTES_MAX {
            return Err(ClientConfigurationError::Size { met: bytes.len() });
        }
        let mut configuration = ClientConfiguration::default();
        let mut findings = Vec::new();
        for section in &sections(bytes)? {
            configuration.read_section(&mut Keys { section, findings: &mut findings });
        }
        Ok((configuration, findings))
    }

    fn read_section(&mut self, keys: &mut Keys) {
        let name = keys.section.name;
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is(USAGE_SECTION) {
            keys.flag("Enabled", &mut self.is_usage_metered);
            keys.secs("SamplePeriod", &mut self.usage_sample_secs, SAMPLE_SECS, "1 to 3600 seconds");
            keys.secs("UploadPeriod", &mut self.usage_upload_secs, PERIOD_SECS, "60 to 2592000 seconds");
        } else if is(UPLOADER_SECTION) {
            keys.rate(&mut self.upload_rate_limit);
            keys.flag("UploadLogs", &mut self.are_logs_uploaded);
            keys.flag("CatchUp", &mut self.is_catch_up_on);
        } else if is(LAUNCHER_SECTION) {
            keys.rate(&mut self.download_rate_limit);
        } else if is(TRACKER_SECTION) {
            self.read_technologies(keys);
        } else if is(SELECTOR_SECTION) {
            keys.take("SelectorAlgorithm", &mut self.selector, "algorithm calls separated by `;`", |text| {
                SelectorCall::read_all(text).map(|calls| Some(calls).filter(|calls| !calls.is_empty()))
            });
        }
    }

    /// A name that is not known costs the others nothing: a newer server may know more of them.
    fn read_technologies(&mut self, keys: &mut Keys) {
        const KEY: &str = "HomeTechnologies";
        let Some(text) = keys.section.get(KEY) else { return };
        self.home_technologies.clear();
        for name in text.split(';').map(str::trim).filter(|name| !name.is_empty()) {
            match name.parse() {
                Ok(technology) => {
                    self.home_technologies.insert(technology);
                }
                Err(_) => keys.find(KEY, name, "a technology that is known here"),
            }
        }
    }

    /// Prints the configuration; equal configurations give equal bytes.
    pub fn write(&self) -> String {
        let mut ini = Ini::default();
        let flag = |flag: bool| if flag { "True" } else { "False" };
        ini.section(USAGE_SECTION);
        ini.entry("Enabled", flag(self.is_usage_metered));
        ini.entry("SamplePeriod", &self.usage_sample_secs.to_string());
        ini.entry("UploadPeriod", &self.usage_upload_secs.to_string());
        ini.section(UPLOADER_SECTION);
        ini.entry("NetworkMaxRate", &self.upload_rate_limit.to_string());
        ini.entry("UploadLogs", flag(self.are_logs_uploaded));
        ini.entry("CatchUp", flag(self.is_catch_up_on));
        ini.section(LAUNCHER_SECTION);
        ini.entry("NetworkMaxRate", &self.download_rate_limit.to_string());
        ini.section(TRACKER_SECTION);
        let technologies: Vec<&str> = self.home_technologies.iter().map(|technology| technology.as_str()).collect();
        ini.entry("HomeTechnologies", &technologies.join(";"));
        if let Some(calls) = &self.selector {
            ini.section(SELECTOR_SECTION);
            let calls: Vec<String> = calls.iter().map(SelectorCall::to_string).collect();
            ini.entry("SelectorAlgorithm", &calls.join(";"));
        }
        ini.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = include_str!("../../tests/golden/formats/client_configuration.ndc");

    fn read(text: &str) -> (ClientConfiguration, Vec<String>) {
        let (configuration, findings) = ClientConfiguration::read(text.as_bytes()).unwrap();
        (configuration, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_file_is_the_default_and_looks_into_nothing() {
        let (configuration, findings) = read("");
        assert_eq!((&configuration, &findings[..]), (&ClientConfiguration::default(), &[][..]));
        assert_eq!(
            configuration,
            ClientConfiguration {
                is_usage_metered: false,
                usage_sample_secs: 60,
                usage_upload_secs: 28_800,
                upload_rate_limit: 0,
                download_rate_limit: 0,
                are_logs_uploaded: false,
                is_catch_up_on: true,
                home_technologies: BTreeSet::new(),
                selector: None,
            }
        );
    }

    #[test]
    fn every_key_is_read_and_written_back_byte_for_byte() {
        let (configuration, findings) = read(EXAMPLE);
        assert_eq!(findings, [""; 0]);
        let call = |name: &str| SelectorCall { name: name.into(), arguments: vec![] };
        assert_eq!(
            configuration,
            ClientConfiguration {
                is_usage_metered: true,
                usage_sample_secs: 30,
                usage_upload_secs: 86_400,
                upload_rate_limit: 65_536,
                download_rate_limit: 1_048_576,
                are_logs_uploaded: true,
                is_catch_up_on: false,
                home_technologies: [Technology::Cargo, Technology::Pipx].into(),
                selector: Some(vec![call("MgsPing"), call("MgsSiteMatch")]),
            }
        );
        assert_eq!(configuration.write(), EXAMPLE);
    }

    #[test]
    fn a_bad_value_is_a_finding_and_the_default_stays() {
        for (section, entry, expected) in [
            (USAGE_SECTION, "Enabled=yes", "`Enabled` is `yes`, which is not True or False"),
            (USAGE_SECTION, "SamplePeriod=0", "`SamplePeriod` is `0`, which is not 1 to 3600 seconds"),
            (USAGE_SECTION, "SamplePeriod=3601", "`SamplePeriod` is `3601`, which is not 1 to 3600 seconds"),
            (USAGE_SECTION, "UploadPeriod=59", "`UploadPeriod` is `59`, which is not 60 to 2592000 seconds"),
            (
                UPLOADER_SECTION,
                "NetworkMaxRate=-1",
                "`NetworkMaxRate` is `-1`, which is not a whole number of bytes a second",
            ),
            (UPLOADER_SECTION, "UploadLogs=", "`UploadLogs` is ``, which is not True or False"),
            (UPLOADER_SECTION, "CatchUp=1", "`CatchUp` is `1`, which is not True or False"),
            (
                LAUNCHER_SECTION,
                "NetworkMaxRate=99999999999999999999",
                "`NetworkMaxRate` is `99999999999999999999`, which is not a whole number of bytes a second",
            ),
            (
                TRACKER_SECTION,
                "HomeTechnologies=steam",
                "`HomeTechnologies` is `steam`, which is not a technology that is known here",
            ),
            (
                SELECTOR_SECTION,
                "SelectorAlgorithm=MgsPing(",
                "`SelectorAlgorithm` is `MgsPing(`, which is not algorithm calls separated by `;`",
            ),
        ] {
            let (configuration, findings) = read(&format!("; made by hand\n[{section}]\n{entry}\n"));
            assert_eq!(configuration, ClientConfiguration::default(), "{entry}");
            assert_eq!(findings, [format!("section of line 2: {expected}")], "{entry}");
        }
    }

    #[test]
    fn an_unknown_technology_costs_the_known_ones_nothing() {
        let (configuration, findings) =
            read(&format!("[{TRACKER_SECTION}]\nHomeTechnologies=steam; CARGO;;bea;cargo\n"));
        assert_eq!(configuration.home_technologies, [Technology::Cargo, Technology::Bea].into());
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn spelling_and_unknown_words_do_not_matter_and_a_later_value_replaces_an_earlier_one() {
        let section = USAGE_SECTION.to_uppercase();
        let text = format!(
            "\u{feff}[{section}]\r\nENABLED = true\r\nNew=1\r\n[New]\r\nEnabled=x\r\n[{USAGE_SECTION}]\r\nEnabled=FALSE"
        );
        assert_eq!(read(&text), (ClientConfiguration::default(), vec![]));
        let (configuration, _) = read(&text.replace("FALSE", "x"));
        assert!(configuration.is_usage_metered);
    }

    #[test]
    fn size_lines_and_sections_are_bounded() {
        let error = |text: String| ClientConfiguration::read(text.as_bytes()).err().map(|error| error.to_string());
        assert_eq!(error("\n".repeat(BYTES_MAX)), None);
        let expected = "the client configuration has 65537 bytes, the limit is 65536";
        assert_eq!(error("\n".repeat(BYTES_MAX + 1)).as_deref(), Some(expected));
        let expected = "line 1 of the client configuration has 4097 bytes, the limit is 4096";
        assert_eq!(error("x".repeat(LINE_BYTES_MAX + 1)).as_deref(), Some(expected));
        let expected = "the client configuration has more than 2000 sections";
        assert_eq!(error("[a]\n".repeat(SECTIONS_MAX + 1)).as_deref(), Some(expected));
        assert_eq!(ClientConfiguration::read(b"\xff"), Err(ClientConfigurationError::Encoding));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (metered, logs, catch_up) in any::<(bool, bool, bool)>(),
            sample in SAMPLE_SECS,
            upload in PERIOD_SECS,
            (up, down) in any::<(u64, u64)>(),
            technologies in proptest::collection::btree_set(proptest::sample::select(&Technology::ALL[..]), 0..6),
            calls in proptest::collection::vec(
                ("[A-Za-z]{1,9}", proptest::collection::vec("[a-z0-9]{1,4}", 0..4)),
                0..4,
            ),
        ) {
            let calls: Vec<_> =
                calls.into_iter().map(|(name, arguments)| SelectorCall { name, arguments }).collect();
            let configuration = ClientConfiguration {
                is_usage_metered: metered,
                usage_sample_secs: sample,
                usage_upload_secs: upload,
                upload_rate_limit: up,
                download_rate_limit: down,
                are_logs_uploaded: logs,
                is_catch_up_on: catch_up,
                home_technologies: technologies,
                selector: Some(calls).filter(|calls| !calls.is_empty()),
            };
            let (back, findings) = ClientConfiguration::read(configuration.write().as_bytes()).unwrap();
            prop_assert_eq!(findings, vec![]);
            prop_assert_eq!(back, configuration);
        }

        #[test]
        fn whatever_is_read_is_within_its_ranges(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            lines in proptest::collection::vec("(SamplePeriod|UploadPeriod)=-?[0-9]{0,9}", 0..6),
        ) {
            let _ = ClientConfiguration::read(&bytes);
            let lines = lines.join("\n");
            let (configuration, _) = read(&format!("[{USAGE_SECTION}]\n{lines}\n"));
            prop_assert!(SAMPLE_SECS.contains(&configuration.usage_sample_secs));
            prop_assert!(PERIOD_SECS.contains(&configuration.usage_upload_secs));
        }
    }
}
