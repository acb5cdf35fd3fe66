//! A real server on loopback: packages are uploaded over HTTP and answers compared whole.

mod documents;
mod fixture;
mod hostile;
mod pages;
mod questions;
mod software;
