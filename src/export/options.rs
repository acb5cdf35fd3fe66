//! The documented command line of the export.

use crate::export::{Changes, DataType, ExportRequest};
use crate::id::shorten;
use crate::time::{DAY_MS, Timestamp};

/// The endpoint of app 4.x and the endpoint of app 5.x. Source: command line document.
const ENDPOINTS: [&str; 2] = ["fnmp.do", "api/x_fls_flexera_fnms/integration/fnmstosn"];

/// Why a command line is wrong: exit 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Not an option of this command.
    #[error("unknown option `{0}`")]
    Unknown(String),
    /// Given twice.
    #[error("option `-{0}` is given twice")]
    Twice(&'static str),
    /// Without its value.
    #[error("option `{0}` needs a value")]
    Value(String),
    /// With a value that cannot be.
    #[error("option `-{option}` cannot be `{value}`: {wanted}")]
    Invalid {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        wanted: &'static str,
    },
    /// Options that contradict each other.
    #[error("{0}")]
    Conflict(&'static str),
}

/// The options as given; what is missing may stand in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// `-url`: https base URL.
    pub url: Option<String>,
    /// `-user`: accepted, not transmitted.
    pub user: Option<String>,
    /// `-token`: OAuth refresh token.
    pub token: Option<String>,
    /// `--token-file`: file that holds it, so that it stays out of the process list.
    pub token_file: Option<String>,
    /// `-endpoint`: integration endpoint, without a leading slash.
    pub endpoint: Option<String>,
    /// What to export.
    pub request: ExportRequest,
}

/// Options in their documented spelling; they are read in any case, with one dash or two.
const OPTIONS: [&str; 12] = [
    "url",
    "user",
    "token",
    "token-file",
    "endpoint",
    "changes",
    "changesPeriod",
    "changesSince",
    "connectionTest",
    "withApplications",
    "withContracts",
    "WithHardwareInventory",
];

impl CommandLine {
    /// Reads `-option value` pairs; `now` is the end of `-changesPeriod`.
    ///
    /// Source: servicenow reference, section 2: `changesSince` before `changesPeriod` before the last successful export.
    pub fn parse<S: AsRef<str>>(args: &[S], now: Timestamp) -> Result<CommandLine, ArgumentError> {
        let mut values: [Option<&str>; OPTIONS.len()] = [None; OPTIONS.len()];
        let mut args = args.iter().map(AsRef::as_ref);
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let bare = name.strip_prefix("--").or_else(|| name.strip_prefix('-')).unwrap_or_default();
            let index = OPTIONS
                .iter()
                .position(|option| option.eq_ignore_ascii_case(bare))
                .ok_or_else(|| ArgumentError::Unknown(shorten(name)))?;
            if values[index].is_some() {
                return Err(ArgumentError::Twice(OPTIONS[index]));
            }
            let value = inline.or_else(|| args.next()).ok_or_else(|| ArgumentError::Value(shorten(name)))?;
            values[index] = Some(value);
        }
        let get = |option: &str| OPTIONS.iter().position(|known| *known == option).and_then(|index| values[index]);
        let text = |option| get(option).map(str::to_owned);
        let flag = |option: &'static str| match get(option) {
            None => Ok(None),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(value) => Err(ArgumentError::Invalid { option, value: shorten(value), wanted: "true or false" }),
        };
        let endpoint = match get("endpoint").map(|value| value.trim_matches('/')) {
            Some(value) if !ENDPOINTS.contains(&value) => {
                let wanted = "fnmp.do or api/x_fls_flexera_fnms/integration/fnmstosn";
                return Err(ArgumentError::Invalid { option: "endpoint", value: shorten(value), wanted });
            }
            endpoint => endpoint.map(str::to_owned),
        };
        if let Some(url) = get("url")
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            return Err(ArgumentError::Invalid { option: "url", value: shorten(url), wanted: "an https URL" });
        }
        let types = [
            (DataType::Inventory, "WithHardwareInventory"),
            (DataType::Contract, "withContracts"),
            (DataType::Application, "withApplications"),
        ];
        let mut wanted = Vec::new();
        for (data_type, option) in types {
            if flag(option)?.unwrap_or(true) {
                wanted.push(data_type);
            }
        }
        let baseline = baseline(get("changesSince"), get("changesPeriod"), now)?;
        let changes = match (flag("changes")?.unwrap_or(true), baseline) {
            (true, Some(at)) => Changes::Since(at),
            (true, None) => Changes::SinceLast,
            (false, None) => Changes::Everything,
            (false, Some(_)) => {
                return Err(ArgumentError::Conflict("`-changes false` sends everything and takes no baseline"));
            }
        };
        Ok(CommandLine {
            url: text("url"),
            user: text("user"),
            token: text("token"),
            token_file: text("token-file"),
            endpoint,
            request: ExportRequest {
                types: wanted,
                changes,
                connection_test: flag("connectionTest")?.unwrap_or(false),
            },
        })
    }
}

fn baseline(since: Option<&str>, period: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, ArgumentError> {
    let days = match period {
        None => None,
        Some(value) => {
            let days = value.parse::<u32>().ok().filter(|days| *days > 0);
            let invalid = || ArgumentError::Invalid {
                option: "changesPeriod",
                value: shorten(value),
                wanted: "a number of days",
            };
            Some(days.ok_or_else(invalid)?)
        }
    };
    if let Some(value) = since {
        let at = (value.len() == 10).then(|| Timestamp::from_rfc3339(&format!("{value}T00:00:00Z"))).flatten();
        let invalid = || ArgumentError::Invalid { option: "changesSince", value: shorten(value), wanted: "YYYY-MM-DD" };
        return at.ok_or_else(invalid).map(Some);
    }
    Ok(days.map(|days| now.plus_ms(-i64::from(days) * DAY_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_741_922_122_000);

    fn parse(line: &str) -> Result<CommandLine, ArgumentError> {
        CommandLine::parse(&line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>(), NOW)
    }

    #[test]
    fn options_and_booleans_are_read_in_any_case() {
        let line =
            parse("-URL https://x.example -Token abc -endpoint /fnmp.do -WITHCONTRACTS False -connectiontest TRUE")
                .unwrap();
        assert_eq!(line.url.as_deref(), Some("https://x.example"));
        assert_eq!(line.endpoint.as_deref(), Some("fnmp.do"));
        assert_eq!(line.request.types, [DataType::Inventory, DataType::Application]);
        assert!(line.request.connection_test);
        assert_eq!(parse("").unwrap().request, ExportRequest::default());
    }

    #[test]
    fn a_date_goes_before_a_period_and_a_period_before_the_last_export() {
        let changes = |line| parse(line).map(|line| line.request.changes);
        let date = Timestamp::from_rfc3339("2025-03-01T00:00:00Z").unwrap();
        assert_eq!(changes("-changesSince 2025-03-01 -changesPeriod 2"), Ok(Changes::Since(date)));
        assert_eq!(changes("-changesPeriod 2"), Ok(Changes::Since(NOW.plus_ms(-2 * DAY_MS))));
        assert_eq!(changes("-changes true"), Ok(Changes::SinceLast));
        assert_eq!(changes("-changes false"), Ok(Changes::Everything));
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for line in [
            "-exclude contracts",
            "url https://x.example",
            "-url ftp://x",
            "-url",
            "-changes maybe",
            "-changes true -CHANGES true",
            "-changes false -changesPeriod 2",
            "-changesPeriod 0",
            "-changesSince yesterday",
            "-changesSince 2025-13-01",
            "-endpoint other.do",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
