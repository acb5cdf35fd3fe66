//! A network: an address and how many of its bits name it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::id::shorten;

/// A network such as `10.1.0.0/16` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// The text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not an address, `/` and a number of bits.
    #[error("`{0}` is no subnet, write it as 10.1.0.0/16 or 2001:db8::/32")]
    Form(String),
    /// An address within the network.
    #[error("`{given}` is an address within a subnet, write the subnet as {meant}")]
    Host {
        /// What was written.
        given: String,
        /// The network it lies in.
        meant: Cidr,
    },
}

/// `address` with all but its first `bits` bits set to 0.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let wrong = || CidrError::Form(shorten(text));
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let is_number = (1..=3).contains(&bits.len()) && bits.bytes().all(|byte| byte.is_ascii_digit());
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.parse().ok().filter(|bits| is_number && *bits <= most).ok_or_else(wrong)?;
        let network = Cidr { address: masked(address, bits), bits };
        if network.address == address {
            Ok(network)
        } else {
            Err(CidrError::Host { given: shorten(text), meant: network })
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_reads_in_any_spelling_and_prints_in_one() {
        for (text, shown) in [
            ("10.1.0.0/16", "10.1.0.0/16"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), shown);
        }
        for text in ["", "10.1.0.0", "10.1.0.0/", "10.1.0.0/33", "10.1.0/16", "::/129", "10.1.0.0/+8", "a/8", "::/1000"]
        {
            assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Form(_))), "{text}");
        }
        let error = "172.16.34.53/21".parse::<Cidr>().unwrap_err().to_string();
        assert_eq!(error, "`172.16.34.53/21` is an address within a subnet, write the subnet as 172.16.32.0/21");
    }
}
