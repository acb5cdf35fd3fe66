//! The ServiceNow stand-in.
mod query;
mod schema;
mod tables;
