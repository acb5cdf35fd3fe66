//! The list of Matchers that an import runs: the standard file, and the operator's own merged into it.
//!
//! Source: matching reference, section 4 (*Custom file*), 9 and 10.

use std::fmt;

use super::matcher::{Matcher, MatcherFault};
use crate::formats::matcher_xml::{MatcherName, MatcherXmlError, read_matchers};

/// The 21 standard Matchers as built into the program: `config/matchers/Computer.xml`.
pub fn standard_matchers() -> &'static str {
    include_str!("../../config/matchers/Computer.xml")
}

/// Which of the two files an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The one that comes with the program.
    Standard,
    /// The operator's own.
    Custom,
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileRole::Standard => "standard",
            FileRole::Custom => "custom",
        })
    }
}

/// Why no import can start: a Matcher that is dropped in silence would change which records are one device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// The file's form is wrong.
    #[error("cannot read the {role} file of Matchers")]
    Form {
        /// Which file.
        role: FileRole,
        /// Where and what to mend.
        source: MatcherXmlError,
    },
    /// The form is right, but a Matcher makes no sense.
    #[error("the {role} file of Matchers has a wrong {matcher}")]
    Matcher {
        /// Which file.
        role: FileRole,
        /// Which Matcher.
        matcher: MatcherName,
        /// What to mend.
        source: MatcherFault,
    },
}

impl MatcherError {
    /// Which file is wrong.
    pub fn role(&self) -> FileRole {
        match self {
            MatcherError::Form { role, .. } | MatcherError::Matcher { role, .. } => *role,
        }
    }
}

/// Matchers in the order in which they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matchers(Vec<Matcher>);

impl Matchers {
    /// Reads both files and merges them into one list: ascending Order, on equal Order the custom Matcher first, then
    /// file order. The standard Matchers cannot be removed.
    pub fn load(standard: &str, custom: Option<&str>) -> Result<Matchers, MatcherError> {
        let mut list = match custom {
            Some(text) => read(FileRole::Custom, text)?,
            None => Vec::new(),
        };
        list.extend(read(FileRole::Standard, standard)?);
        list.sort_by_key(Matcher::order); // stable: custom ones and earlier ones stay in front
        Ok(Matchers(list))
    }

    /// The Matchers, first to run first.
    pub fn iter(&self) -> std::slice::Iter<'_, Matcher> {
        self.0.iter()
    }
}

fn read(role: FileRole, text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let elements = read_matchers(text).map_err(|source| MatcherError::Form { role, source })?;
    let checked = elements.iter().enumerate().map(|(place, element)| {
        let matcher = MatcherName { nth: place + 1, order: Some(element.order) };
        Matcher::new(element).map_err(|source| MatcherError::Matcher { role, matcher, source })
    });
    checked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::fixture::xml;

    fn orders_and_names(standard: &[&str], custom: Option<&str>) -> Vec<(i64, String)> {
        let matchers = Matchers::load(&xml(standard), custom).unwrap();
        matchers.iter().map(|matcher| (matcher.order(), matcher.name().to_owned())).collect()
    }

    fn fault(line: &str) -> MatcherFault {
        match Matchers::load(&xml(&["1: => UUID", line]), None) {
            Err(MatcherError::Matcher { role: FileRole::Standard, matcher, source }) => {
                assert_eq!((matcher.nth, matcher.order), (2, Some(7)));
                source
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn matchers_run_in_ascending_order_whatever_the_file_says() {
        let expected = [(-5, "m-5".into()), (2, "m2".into()), (10, "m10".into())];
        assert_eq!(orders_and_names(&["10: => UUID", "-5: => UUID", "2: => UUID"], None), expected);
    }

    #[test]
    fn on_equal_order_the_custom_matcher_runs_first_and_then_file_order_counts() {
        let rules = "<Rules><Rule Property='UUID'/></Rules>";
        let named = |names: [&str; 2]| {
            let matcher = |name: &str| format!("<Matcher Order='10' Name='{name}'>{rules}</Matcher>");
            format!("<Matchers>{}</Matchers>", names.map(matcher).concat())
        };
        let matchers = Matchers::load(&named(["a", "b"]), Some(&named(["z", "c"]))).unwrap();
        let names: Vec<_> = matchers.iter().map(Matcher::name).collect();
        assert_eq!(names, ["z", "c", "a", "b"]);
    }

    #[test]
    fn a_custom_file_adds_to_the_standard_one_and_removes_nothing() {
        let custom = xml(&["25: => UUID"]);
        let matchers = Matchers::load(standard_matchers(), Some(&custom)).unwrap();
        let orders: Vec<_> = matchers.iter().map(Matcher::order).collect();
        let mut expected: Vec<i64> = (1..=21).map(|row| row * 10).collect();
        expected.insert(2, 25);
        assert_eq!(orders, expected);
        assert_eq!(Matchers::load(standard_matchers(), Some("<Matchers/>")), Matchers::load(standard_matchers(), None));
    }

    #[test]
    fn a_matcher_without_an_equality_between_records_is_refused() {
        for line in [
            "7: => UUID NotEqual",
            "7: => UUID Set",
            "7: => UUID Equal:x",
            "7: UUID Set => UUID NullInEither",
            "7: UUID Equal:x => HostID Like:x",
        ] {
            assert_eq!(fault(line), MatcherFault::NoEqualityRule, "{line}");
        }
        assert!(Matchers::load(&xml(&["7: => UUID BigOrLittleEndianEqual"]), None).is_ok());
    }

    #[test]
    fn not_equal_rules_are_at_most_one_and_never_beside_null_in_either() {
        assert_eq!(fault("7: => UUID; HostID NotEqual; ModelNo NotEqual"), MatcherFault::TwoNotEqual);
        let both = MatcherFault::NotEqualWithNullInEither;
        assert_eq!(fault("7: => UUID; HostID NotEqual; ModelNo NullInEither"), both);
        assert_eq!(fault("7: ModelNo NullInEither => UUID; HostID NotEqual"), both);
        // With a Value it looks at one record alone.
        let alone = "7: HostID NotEqual:x; ModelNo NullInEither => UUID; HostID NotEqual:y; HostType NotEqual:z";
        assert!(Matchers::load(&xml(&[alone]), None).is_ok());
    }

    #[test]
    fn faults_of_a_test_name_the_matcher() {
        assert_eq!(fault("7: Foo Set => UUID"), MatcherFault::UnknownProperty("Foo".into()));
        assert!(matches!(fault("7: UUID Like => UUID"), MatcherFault::ValueMissing { .. }));
        assert!(matches!(fault("7: UUID BigOrLittleEndianEqual => UUID"), MatcherFault::EndianCondition(_)));
    }

    #[test]
    fn null_in_either_is_taken_on_eight_properties_and_refused_on_nine() {
        let names = [
            "HostID",
            "ModelNo",
            "HostType",
            "VMType",
            "VMName",
            "MachineID",
            "SerialNo",
            "PartitionID",
            "ComputerName",
        ];
        let line = |count: usize| {
            let tests: Vec<String> = names[..count].iter().map(|name| format!("{name} NullInEither")).collect();
            format!("7: {} => UUID", tests.join(";"))
        };
        assert!(Matchers::load(&xml(&[&line(8)]), None).is_ok());
        assert_eq!(fault(&line(9)), MatcherFault::TooManyNullInEither);
        // Written twice, it is one property.
        assert!(Matchers::load(&xml(&[&line(8).replace("=> UUID", "=> UUID; HostID NullInEither")]), None).is_ok());
    }

    #[test]
    fn an_error_names_the_file_the_matcher_and_what_to_mend() {
        use std::error::Error as _;
        let chain = |error: MatcherError| format!("{error}: {}", error.source().unwrap());
        let custom = Matchers::load(standard_matchers(), Some(&xml(&["25: Foo Set => UUID"]))).unwrap_err();
        assert_eq!(
            chain(custom),
            "the custom file of Matchers has a wrong Matcher with Order 25 (number 1 in the file): \
             unknown property `Foo`; the matching reference lists the properties"
        );
        let standard = Matchers::load("<Matcher/>", None).unwrap_err();
        assert_eq!(
            chain(standard),
            "cannot read the standard file of Matchers: the root element is `Matcher`; it must be `Matchers`"
        );
        let form = Matchers::load(standard_matchers(), Some("<Matchers>")).unwrap_err();
        assert!(matches!(form, MatcherError::Form { role: FileRole::Custom, .. }));
    }
}
