//! Why an inventory file is refused.

use crate::formats::gzip::GzipError;
use crate::formats::xml::XmlError;

/// Distinct names of properties in one file. Source: `delivery-contract` reference, section 7.
pub const PROPERTY_NAMES_MAX: usize = 10_000;

/// Why a file is refused as a whole. Each text can stand as the reason of a quarantined package.
#[derive(Debug, thiserror::Error)]
pub enum NdiError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("inventory XML is refused")]
    Xml(#[source] XmlError),
    /// Not the gzip that is read here, or more of it than is read.
    #[error("inventory gzip is refused")]
    Gzip(#[source] GzipError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `Inventory`")]
    Root(String),
    /// The root lacks an attribute that it must have.
    #[error("the root element has no attribute `{0}`")]
    RootAttribute(&'static str),
    /// Too many names.
    #[error("more than {PROPERTY_NAMES_MAX} distinct property names")]
    PropertyNames,
}

impl From<XmlError> for NdiError {
    fn from(error: XmlError) -> NdiError {
        match error {
            XmlError::Read(error) => match error.downcast::<GzipError>() {
                Ok(error) => NdiError::Gzip(error),
                Err(error) => NdiError::Xml(XmlError::Read(error)),
            },
            error => NdiError::Xml(error),
        }
    }
}
