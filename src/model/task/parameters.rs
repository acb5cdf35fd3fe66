use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rng::mix;

/// Parameters of one task, at most.
const COUNT_MAX: usize = 32;
/// Characters of a name, at most.
const NAME_CHARS_MAX: usize = 64;
/// Bytes of a value, at most.
const VALUE_BYTES_MAX: usize = 1_024;

/// Why parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Not `name=value`.
    #[error("parameter `{0}` is not of the form name=value")]
    Form(String),
    /// A name with other characters, too long, or empty.
    #[error("`{0}` is not the name of a parameter: 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`")]
    Name(String),
    /// Control characters in a value.
    #[error("the value of parameter `{0}` has control characters: write printable text")]
    Binary(Box<str>),
    /// A value that is too long.
    #[error("the value of parameter `{name}` has {bytes} bytes, at most {VALUE_BYTES_MAX} are taken")]
    Long {
        /// Whose.
        name: Box<str>,
        /// How long.
        bytes: usize,
    },
    /// One name twice.
    #[error("parameter `{0}` is given twice")]
    Twice(Box<str>),
    /// Too many.
    #[error("{0} parameters, at most {COUNT_MAX} are taken")]
    Many(usize),
}

/// Named values of a task, ascending by name, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Box<str>, Box<str>)>")]
pub struct Parameters(Vec<(Box<str>, Box<str>)>);

impl Parameters {
    /// Checks them.
    pub fn new(mut all: Vec<(Box<str>, Box<str>)>) -> Result<Parameters, ParameterError> {
        if all.len() > COUNT_MAX {
            return Err(ParameterError::Many(all.len()));
        }
        for (name, value) in &all {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(is_name) {
                return Err(ParameterError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(ParameterError::Long { name: name.clone(), bytes: value.len() });
            }
            if value.chars().any(char::is_control) {
                return Err(ParameterError::Binary(name.clone()));
            }
        }
        all.sort_unstable();
        match all.array_windows().find(|[(one, _), (other, _)]| one == other) {
            Some([(name, _), _]) => Err(ParameterError::Twice(name.clone())),
            None => Ok(Parameters(all)),
        }
    }

    /// Reads `name=value`, one each.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Parameters, ParameterError> {
        let pair = |text: &str| match text.split_once('=') {
            Some((name, value)) => Ok((name.into(), value.into())),
            None => Err(ParameterError::Form(text.chars().take(NAME_CHARS_MAX).collect())),
        };
        Parameters::new(texts.into_iter().map(pair).collect::<Result<_, _>>()?)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 64 bits that equal parameters share, mixed into `seed`.
    pub fn hash(&self, seed: u64) -> u64 {
        let text = |seed: u64, text: &str| {
            let chunks = text.as_bytes().chunks(8).map(|chunk| {
                let mut bytes = [0; 8];
                bytes[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(bytes)
            });
            chunks.fold(mix(seed, text.len() as u64), mix)
        };
        self.iter().fold(mix(seed, self.0.len() as u64), |seed, (name, value)| text(text(seed, name), value))
    }
}

impl TryFrom<Vec<(Box<str>, Box<str>)>> for Parameters {
    type Error = ParameterError;

    fn try_from(all: Vec<(Box<str>, Box<str>)>) -> Result<Parameters, ParameterError> {
        Parameters::new(all)
    }
}

impl fmt::Display for Parameters {
    /// As a command line has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_by_name_and_equal_ones_are_equal_however_they_were_written() {
        let one = Parameters::parse(["full=true", "a=1", "path=x=y"]).unwrap();
        let other = Parameters::parse(["a=1", "path=x=y", "full=true"]).unwrap();
        assert_eq!((&one, one.hash(7)), (&other, other.hash(7)));
        assert_eq!((one.get("path"), one.get("b")), (Some("x=y"), None));
        assert_eq!(one.to_string(), "a=1 full=true path=x=y");
        let hashes = [["a=1", "b=2"], ["a=12", "b="], ["a1=", "b=2"]].map(|p| Parameters::parse(p).unwrap().hash(7));
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    }

    #[test]
    fn what_is_too_much_binary_or_twice_is_refused_with_its_name() {
        let refused = |texts: &[&str]| Parameters::parse(texts.iter().copied()).unwrap_err().to_string();
        assert_eq!(refused(&["full"]), "parameter `full` is not of the form name=value");
        assert_eq!(refused(&["a=1", "a=2"]), "parameter `a` is given twice");
        assert_eq!(refused(&["a=\u{1}"]), "the value of parameter `a` has control characters: write printable text");
        assert!(refused(&["=1"]).starts_with("`` is not the name of a parameter"));
        assert!(refused(&["ä=1"]).starts_with("`ä` is not the name of a parameter"));
        let long = format!("a={}", "x".repeat(1_025));
        assert_eq!(refused(&[&long]), "the value of parameter `a` has 1025 bytes, at most 1024 are taken");
        let many: Vec<String> = (0..33).map(|n| format!("p{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(&many), "33 parameters, at most 32 are taken");
    }
}
