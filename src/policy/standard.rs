//! The policy of an agent that nothing special is aimed at.

use std::collections::BTreeMap;

use super::bundle::PolicyBundle;
use crate::formats::npl::{Npl, policy_guid};

/// Where the policy of every agent stands that has none of its own.
pub const STANDARD_POLICY: &str = "Policies/default.npl";

/// The bundle of revision `revision`: a policy that names no catalog, so agents go by their own configuration.
pub fn standard_bundle(revision: u64) -> PolicyBundle {
    let policy = Npl {
        applies_to: "*".into(),
        source: "muster".into(),
        revision,
        guid: policy_guid(std::iter::empty::<(&str, &str)>()),
        packages: Vec::new(),
    };
    let mut text = Vec::new();
    // Writing into a Vec cannot fail, and our writer writes UTF-8.
    policy.write(&mut text).expect("a Vec takes every write");
    let text = String::from_utf8(text).expect("XML of ours is UTF-8");
    PolicyBundle::new(BTreeMap::from([(STANDARD_POLICY.to_owned(), text)])).expect("one short file fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_policy_reads_back_and_its_revision_changes_the_bundle() {
        let bundle = standard_bundle(7);
        let policy = Npl::read(bundle.file(STANDARD_POLICY).unwrap().as_bytes()).unwrap();
        assert_eq!((policy.revision, policy.applies_to.as_str(), policy.packages.len()), (7, "*", 0));
        assert_ne!(bundle.revision(), standard_bundle(8).revision());
    }
}
