//! The policy `.npl`: which catalogs an agent has to follow, and in which order.
//!
//! An outer `Policy` carries the server's revision, the one inside names this version's content by a GUID. A policy
//! is taken as a whole or not at all: half a policy would leave an agent half configured.
//!
//! Source: `agent-beacon-batch` reference, sections 2.1 and 7.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::wire;
use super::xml::{Kept, MissingAttribute, Tag, XmlError, XmlReader, XmlWriter};
use crate::id::{Digest, Guid, IdError, shorten};

/// Packages of one policy. The product has about five; a list past this one is an attack or a mistake.
pub const PACKAGES_MAX: usize = 1_000;

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum NplError {
    /// Not the XML that is read here, or more of it than is read.
    #[error("policy XML is refused")]
    Xml(#[from] XmlError),
    /// Another kind of document.
    #[error("the root element is `{0}`, not `Policy`")]
    Root(String),
    /// An element lacks what it must have.
    #[error(transparent)]
    Missing(#[from] MissingAttribute),
    /// A number that is none, or too large.
    #[error("`{attribute}` is `{met}`, not a number of its range")]
    Number {
        /// The attribute.
        attribute: &'static str,
        /// What stands there, shortened.
        met: String,
    },
    /// The version has no usable name.
    #[error("the inner `Policy` has no usable GUID")]
    Guid(#[source] IdError),
    /// There must be exactly one inner `Policy`.
    #[error("the root holds {0} policies, not one")]
    Policies(usize),
    /// Too many packages.
    #[error("more than {PACKAGES_MAX} packages")]
    Packages,
}

/// One policy, as an agent receives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Npl {
    /// Devices it applies to; `*` for all.
    pub applies_to: String,
    /// Who made it.
    pub source: String,
    /// The server's policy revision (`Version` of the root), comparable across beacons: an agent never goes back.
    pub revision: u64,
    /// Name of this version's content, see [`policy_guid`].
    pub guid: Guid,
    /// In document order; [`Npl::in_order`] is the order in which they are applied.
    pub packages: Vec<PolicyPackage>,
}

/// A catalog that the policy names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyPackage {
    /// Path of the `.osd` below the download folder, percent-encoded.
    pub href: String,
    /// What the catalog is for: `schedule`, `config`, `failover` and so on.
    pub object_id: String,
    /// Lower is applied first.
    pub precedence: i32,
}

impl Npl {
    /// Reads a policy.
    pub fn read(xml: impl Read) -> Result<Npl, NplError> {
        let mut xml = XmlReader::new(xml);
        let mut kept = Kept::default();
        let mut policy = match xml.child()? {
            Some(tag) if tag.name() == "Policy" => Npl {
                applies_to: tag.required("AppliesTo")?.into(),
                source: tag.get("Source").unwrap_or("").into(),
                revision: number(tag.required("Version")?, "Version")?,
                ..Npl::default()
            },
            other => return Err(NplError::Root(shorten(other.map_or("", |tag| tag.name())))),
        };
        let mut versions = 0;
        while let Some(tag) = xml.child()? {
            if tag.name() != "Policy" {
                xml.skip()?;
                continue;
            }
            versions += 1;
            policy.guid = tag.required("GUID")?.parse().map_err(NplError::Guid)?;
            while let Some(tag) = xml.child()? {
                if tag.name() == "Package" {
                    let package = PolicyPackage::read(&tag)?;
                    kept.add(size_of::<PolicyPackage>() + package.href.len() + package.object_id.len())?;
                    policy.packages.push(package);
                }
                if policy.packages.len() > PACKAGES_MAX {
                    return Err(NplError::Packages);
                }
                xml.skip()?;
            }
        }
        // A document that goes on after its root is not well-formed.
        xml.child()?;
        if versions == 1 { Ok(policy) } else { Err(NplError::Policies(versions)) }
    }

    /// Prints the policy; equal policies give equal bytes.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut xml = XmlWriter::new(out, Some(r#"Policy PUBLIC "Policy" "urn:muster:policy""#))?;
        xml.open("Policy")?;
        xml.attribute("AppliesTo", &self.applies_to)?;
        xml.attribute("Source", &self.source)?;
        xml.number("Version", self.revision)?;
        xml.children()?;
        xml.open("Policy")?;
        xml.attribute("GUID", &format!("{{{}}}", self.guid))?;
        xml.attribute("Source", &self.source)?;
        xml.number("Version", self.revision)?;
        xml.children()?;
        for package in &self.packages {
            xml.open("Package")?;
            xml.attribute("href", &package.href)?;
            xml.attribute("ObjectID", &package.object_id)?;
            xml.attribute("Precedence", &package.precedence.to_string())?;
            xml.empty()?;
        }
        xml.close("Policy")?;
        xml.close("Policy")?;
        xml.into_inner().map(|_| ())
    }

    /// The packages in the order in which they are applied: lower precedence first, equal ones as they stand.
    pub fn in_order(&self) -> Vec<&PolicyPackage> {
        let mut packages: Vec<_> = self.packages.iter().collect();
        packages.sort_by_key(|package| package.precedence);
        packages
    }
}

impl PolicyPackage {
    fn read(tag: &Tag) -> Result<PolicyPackage, NplError> {
        Ok(PolicyPackage {
            href: tag.required("href")?.into(),
            object_id: tag.required("ObjectID")?.into(),
            precedence: number(tag.get("Precedence").unwrap_or("0"), "Precedence")?,
        })
    }
}

fn number<N: FromStr>(text: &str, attribute: &'static str) -> Result<N, NplError> {
    text.parse().map_err(|_| NplError::Number { attribute, met: shorten(text) })
}

/// The name of a policy version by its content: the first 128 bits of SHA-256 over the sorted pairs of object id and
/// catalog MD5 (in hexadecimal, case does not count).
///
/// Each text goes in behind its length (64 bits, big-endian), so that no two lists give the same bytes. Equal content,
/// equal GUID, so "nothing changed" needs one comparison; the order of `catalogs` does not count.
///
/// Source: `agent-beacon-batch` reference, section 7. It leaves open how the pairs become bytes.
pub fn policy_guid<'a>(catalogs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Guid {
    let mut pairs: Vec<(&str, String)> =
        catalogs.into_iter().map(|(object_id, md5)| (object_id, md5.to_ascii_lowercase())).collect();
    pairs.sort();
    let mut hash = Sha256::new();
    for text in pairs.iter().flat_map(|(object_id, md5)| [*object_id, md5]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("32 hexadecimal digits are a GUID")
}

/// The file in which a beacon has the policy of a device: `{machine}-{uid}.npl`. The uid are the first 16 hexadecimal
/// digits of the SHA-256 of the sorted addresses joined by `,`; an address counts once, in its canonical form, an IPv4
/// address that is written as IPv6 as the former.
///
/// Source: `agent-beacon-batch` reference, sections 2.1 and 8.2.
pub fn policy_file_name(machine: &str, addresses: impl IntoIterator<Item = IpAddr>) -> String {
    let mut addresses: Vec<String> = addresses.into_iter().map(|address| address.to_canonical().to_string()).collect();
    addresses.sort();
    addresses.dedup();
    let digest = Digest::of(addresses.join(",").as_bytes()).to_string();
    format!("{}-{}.npl", wire::name_part(machine), &digest[..16])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEB07: &[u8] = include_bytes!("../../tests/golden/formats/web07.npl");

    fn package(object_id: &str, precedence: i32) -> PolicyPackage {
        PolicyPackage { href: format!("{object_id}.osd"), object_id: object_id.into(), precedence }
    }

    fn write(policy: &Npl) -> Vec<u8> {
        let mut out = Vec::new();
        policy.write(&mut out).unwrap();
        out
    }

    fn reason(document: &str) -> String {
        Npl::read(document.as_bytes()).expect_err(document).to_string()
    }

    #[test]
    fn a_policy_is_named_after_machine_and_addresses_whatever_their_order_and_spelling() {
        let name =
            |addresses: &[&str]| policy_file_name("web 07", addresses.iter().map(|address| address.parse().unwrap()));
        // printf '10.20.4.17,2001:db8::7' | sha256sum
        let wanted = "web=2007-43ae3a246e62e80a.npl";
        assert_eq!(name(&["10.20.4.17", "2001:db8::7"]), wanted);
        assert_eq!(name(&["2001:DB8:0::7", "::ffff:10.20.4.17", "10.20.4.17"]), wanted);
        // printf '' | sha256sum
        assert_eq!(name(&[]), "web=2007-e3b0c44298fc1c14.npl");
    }

    #[test]
    fn the_example_of_the_reference_is_read_and_written_again() {
        let policy = Npl::read(WEB07).unwrap();
        assert_eq!(policy.guid.to_string(), "0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001");
        assert_eq!(policy.packages[0].href, "Schedules/Default%20Machine%20Schedule.osd");
        assert_eq!(
            policy.packages.iter().map(|p| &p.object_id[..]).collect::<Vec<_>>(),
            ["schedule", "config", "invsettings", "failover"]
        );
        assert_eq!(
            String::from_utf8(write(&policy)).unwrap(),
            String::from_utf8_lossy(WEB07).replace("utf-8", "UTF-8")
        );
    }

    #[test]
    fn a_lower_precedence_is_applied_first_and_equal_ones_as_they_stand() {
        let policy = Npl {
            packages: vec![package("c", 1), package("a", 0), package("d", 1), package("b", -1)],
            ..Npl::default()
        };
        let order: Vec<&str> = policy.in_order().iter().map(|package| &package.object_id[..]).collect();
        assert_eq!(order, ["b", "a", "c", "d"]);
    }

    #[test]
    fn the_guid_names_the_content_and_nothing_else() {
        let guid = policy_guid([("schedule", "6f59"), ("config", "02ac")]);
        assert_eq!(guid, policy_guid([("config", "02AC"), ("schedule", "6F59")]));
        assert_ne!(guid, policy_guid([("schedule", "6f59"), ("config", "02ad")]));
        assert_ne!(policy_guid([("a", "bc")]), policy_guid([("ab", "c")]));
        assert_ne!(policy_guid([("a", "b")]), policy_guid([("a", "b"), ("a", "b")]));
        assert_eq!(guid.to_string(), "ae10ed12-03f3-82b4-d863-fdb2046b9bf4");
    }

    #[test]
    fn half_a_policy_is_refused() {
        assert_eq!(reason("<Schedule/>"), "the root element is `Schedule`, not `Policy`");
        assert_eq!(reason("<Policy Version='1'/>"), "`Policy` has no attribute `AppliesTo`");
        let root = |inner: &str| format!("<Policy AppliesTo='*' Version='1'>{inner}</Policy>");
        let inner = "<Policy GUID='{0d1e5f8a-1f0e-4b4e-a0cf-64f8f1f4c001}'>";
        assert_eq!(reason(&root("")), "the root holds 0 policies, not one");
        assert_eq!(reason(&root(&format!("{inner}</Policy>{inner}</Policy>"))), "the root holds 2 policies, not one");
        assert_eq!(reason(&root("<Policy GUID='x'/>")), "the inner `Policy` has no usable GUID");
        assert_eq!(
            reason(&root(&format!("{inner}<Package href='x'/></Policy>"))),
            "`Package` has no attribute `ObjectID`"
        );
        assert_eq!(
            reason(&root(&format!("{inner}<Package href='x' ObjectID='y' Precedence='high'/></Policy>"))),
            "`Precedence` is `high`, not a number of its range"
        );
        let packages = "<Package href='x' ObjectID='y'/>".repeat(PACKAGES_MAX + 1);
        assert_eq!(reason(&root(&format!("{inner}{packages}</Policy>"))), "more than 1000 packages");
        assert_eq!(reason("<Policy AppliesTo='*' Version='-1'/>"), "`Version` is `-1`, not a number of its range");
    }

    #[test]
    fn unknown_elements_are_skipped_with_all_that_is_in_them() {
        let policy = Npl::read(
            b"<Policy AppliesTo='*' Version='3'><x><Policy GUID='no'/></x><Policy \
              GUID='0d1e5f8a1f0e4b4ea0cf64f8f1f4c001'><y><Package/></y><Package href='h' ObjectID='o'><z/></Package></Policy></Policy>"
                .as_slice(),
        )
        .unwrap();
        assert_eq!((policy.revision, policy.packages.len()), (3, 1));
    }

    #[test]
    fn a_policy_cut_anywhere_is_refused() {
        for end in 0..WEB07.trim_ascii_end().len() {
            assert!(Npl::read(&WEB07[..end]).is_err(), "{end}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            names in proptest::collection::vec(("[^\\p{Cc}\u{fffe}\u{ffff}]*", any::<i32>()), 0..8),
            revision: u64,
            seed: [u8; 16],
        ) {
            let packages = names.iter().map(|(name, precedence)| package(name, *precedence)).collect();
            let guid = Guid::from_random(seed);
            let policy = Npl { applies_to: "*".into(), source: "muster".into(), revision, guid, packages };
            prop_assert_eq!(Npl::read(&write(&policy)[..]).unwrap(), policy);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Npl::read(&bytes[..]);
        }
    }
}
