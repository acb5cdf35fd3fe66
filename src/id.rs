//! Names of things: nodes, origins, tenants, devices, and the digest that names a package's bytes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a GUID in any of its usual spellings.
    #[error("`{0}` is not a GUID")]
    Guid(String),
    /// Not 64 hexadecimal digits.
    #[error("`{0}` is not a SHA-256 digest in hexadecimal")]
    Digest(String),
    /// Empty, too long, or with characters that are not allowed in a name.
    #[error("`{0}` is not a tenant name: 1 to 40 letters, digits, `-` or `_`")]
    Tenant(String),
}

/// Identity of a node or an agent. Read with or without braces; written without, in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Guid(uuid::Uuid);

impl Guid {
    /// No node: all zeros.
    pub const NIL: Guid = Guid(uuid::Uuid::nil());

    /// A version 4 GUID from 16 random bytes of the caller.
    pub fn from_random(bytes: [u8; 16]) -> Guid {
        Guid(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A version 8 GUID that carries a number of up to 62 bits behind 60 random ones, so that whoever is shown the GUID
    /// finds the thing without an index.
    pub fn numbered(random: u64, number: u64) -> Guid {
        let bytes = (u128::from(random) << 64 | u128::from(number)).to_be_bytes();
        Guid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The number that [`Guid::numbered`] put in.
    pub fn number(self) -> u64 {
        self.0.as_u64_pair().1 & (u64::MAX >> 2)
    }

    /// The first 64 bits, to seed the random stream of the entity.
    pub fn seed(self) -> u64 {
        let (high, low) = self.0.as_u64_pair();
        high ^ low.rotate_left(32)
    }
}

impl FromStr for Guid {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Guid, IdError> {
        uuid::Uuid::try_parse(text).map(Guid).map_err(|_| IdError::Guid(shorten(text)))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// SHA-256 of a package's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Digest, IdError> {
        let wrong = || IdError::Digest(shorten(text));
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16).ok_or_else(wrong);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Digest(out))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A tenant; every key of the server begins with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The tenant of an installation that has only one: `default`.
    pub fn default_tenant() -> TenantId {
        TenantId("default".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<TenantId, IdError> {
        let fits =
            (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits { Ok(TenantId(text.into())) } else { Err(IdError::Tenant(shorten(text))) }
    }
}

impl TryFrom<String> for TenantId {
    type Error = IdError;
    fn try_from(text: String) -> Result<TenantId, IdError> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> String {
        tenant.0.as_ref().into()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device: never reused, ascending, so the smaller one is the older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub u64);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Input quoted in an error: at most 60 characters, control characters escaped.
pub fn shorten(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_reads_with_braces_and_prints_without() {
        let guid: Guid = "{5B0A7D0E-77A1-4C0E-9A53-0D7F6F1D2C11}".parse().unwrap();
        assert_eq!(guid.to_string(), "5b0a7d0e-77a1-4c0e-9a53-0d7f6f1d2c11");
        assert!("5b0a7d0e".parse::<Guid>().is_err());
    }

    #[test]
    fn a_numbered_guid_carries_its_number_through_its_text() {
        for number in [0, 1, 1_000_000, u64::MAX >> 2] {
            let guid = Guid::numbered(0x1234_5678_9abc_def0, number);
            assert_eq!(guid.to_string().parse::<Guid>().unwrap().number(), number);
        }
        assert_ne!(Guid::numbered(1 << 20, 7), Guid::numbered(1 << 21, 7));
        assert_eq!(Guid::numbered(0, 1).to_string(), "00000000-0000-8000-8000-000000000001");
    }

    #[test]
    fn a_digest_reads_back_and_refuses_other_text() {
        let digest = Digest::of(b"muster");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
        for text in ["", "00", &"g".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_tenant_name_cannot_break_out_of_a_key() {
        assert!("T0001".parse::<TenantId>().is_ok());
        for text in ["", "a/b", "a\0b", "ü", &"x".repeat(41)] {
            assert!(text.parse::<TenantId>().is_err(), "{text}");
        }
    }
}
