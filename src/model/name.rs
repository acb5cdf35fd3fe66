//! Ids that people choose: of applications, rules and licences.

use crate::id::shorten;

/// Characters of such an id at most.
pub const NAME_CHARS_MAX: usize = 80;

/// The text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: 1 to {NAME_CHARS_MAX} characters, no space at the ends, no control characters")]
pub struct NameError(String);

pub(super) fn check(text: &str) -> Result<(), NameError> {
    let fits = (1..=NAME_CHARS_MAX).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(NameError(shorten(text))) }
}

/// A type for the ids of one kind of thing: shared text, compared byte by byte, stored as text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The id as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::name::NameError;
            fn from_str(text: &str) -> Result<$name, Self::Err> {
                $crate::model::name::check(text).map(|()| $name(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::model::name::NameError;
            fn try_from(text: String) -> Result<$name, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use name;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_printable() {
        for text in ["", " a", "a\n", &"x".repeat(NAME_CHARS_MAX + 1)] {
            assert!(check(text).is_err(), "{text:?}");
        }
        for text in ["postgresql-15", "acme#1", "é", &"é".repeat(NAME_CHARS_MAX)] {
            assert_eq!(check(text), Ok(()), "{text:?}");
        }
    }
}
