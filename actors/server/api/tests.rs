//! A real server on loopback: packages are uploaded over HTTP and answers compared whole.

pub(crate) mod fixture;

mod business;
mod documents;
mod guards;
mod hostile;
mod licences;
mod pages;
mod questions;
mod settings;
mod software;
mod sources;
mod tasks;
mod tenants;
mod unmerge;
