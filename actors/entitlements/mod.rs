//! `muster entitlements`: tables of licences from entitlement documents (ISO/IEC 19770-3), without a server.

pub mod command;
