//! How an export ended, as the exit status of the command.

use serde::{Deserialize, Serialize};

/// End of an export run. Source: servicenow reference, section 1; 0 and 1 are documented, the others are this project's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// 0: everything wanted is in ServiceNow.
    Success,
    /// 1: a segment was transmitted as often as allowed without being accepted.
    TriesExhausted,
    /// 2: bad arguments or configuration.
    BadArguments,
    /// 3: the licensed ServiceNow option is absent.
    OptionAbsent,
    /// 4: credentials refused.
    CredentialsRefused,
    /// 5: an import is in progress, or the scheduled import or data source record is missing.
    NotReady,
    /// 6: the own database cannot be reached.
    DatabaseUnreachable,
    /// 7: the import failed on the ServiceNow side.
    ImportFailed,
    /// 8: a return code that no further try can change.
    FatalCode,
    /// 9: the import did not end in time.
    StatusTimeout,
}

impl ExitCode {
    /// The exit status.
    pub fn number(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::TriesExhausted => 1,
            ExitCode::BadArguments => 2,
            ExitCode::OptionAbsent => 3,
            ExitCode::CredentialsRefused => 4,
            ExitCode::NotReady => 5,
            ExitCode::DatabaseUnreachable => 6,
            ExitCode::ImportFailed => 7,
            ExitCode::FatalCode => 8,
            ExitCode::StatusTimeout => 9,
        }
    }
}
