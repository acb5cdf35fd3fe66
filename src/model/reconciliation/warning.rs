//! What is to be said of the data, once each.

use std::fmt;

use crate::model::estate::Number;

/// Which kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningCode {
    /// An awaited device or user has its first installation.
    AwaitingAllocated,
    /// A cell of the licence side is bad, and its licence takes nothing.
    BadData,
    /// A virtual machine is charged to a host that it may leave.
    HostInCluster,
    /// An option and its database are licensed by different types.
    OptionTypeDiffers,
    /// A peak is older than its period.
    PeakPeriodOver,
    /// A rule would give a factor if one knew when the server was bought.
    PurchaseDateMissing,
    /// A quantity has to be entered by hand.
    QuantityMissing,
    /// A row names an application that is not listed.
    UnknownApplication,
    /// A row names a device that is not listed.
    UnknownDevice,
    /// A row names a licence that is not listed.
    UnknownLicense,
    /// No rule knows a processor.
    UnknownProcessor,
}

impl WarningCode {
    /// The word in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            WarningCode::AwaitingAllocated => "awaiting_allocated",
            WarningCode::BadData => "bad_data",
            WarningCode::HostInCluster => "host_in_cluster",
            WarningCode::OptionTypeDiffers => "option_type_differs",
            WarningCode::PeakPeriodOver => "peak_period_over",
            WarningCode::PurchaseDateMissing => "purchase_date_missing",
            WarningCode::QuantityMissing => "quantity_missing",
            WarningCode::UnknownApplication => "unknown_application",
            WarningCode::UnknownDevice => "unknown_device",
            WarningCode::UnknownLicense => "unknown_license",
            WarningCode::UnknownProcessor => "unknown_processor",
        }
    }
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A warning. Its subject is a device, user or region, an id that is not known, or a place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Warning {
    /// Which kind.
    pub code: WarningCode,
    /// The licence it is about.
    pub licence: Option<Number>,
    /// What it is about.
    pub subject: Box<str>,
}
