//! Rules by which titles are recognised as applications.
//!
//! Source: reconcile-files reference, section 4.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pattern::{Pattern, fold};
use super::software::{ApplicationId, NameError, check_id};

/// Name of a rule, unique in a library: what an operator looks up when an application surprises. Compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RuleId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<RuleId, NameError> {
        check_id(text).map(|()| RuleId(text.into()))
    }
}

impl TryFrom<String> for RuleId {
    type Error = NameError;
    fn try_from(text: String) -> Result<RuleId, NameError> {
        text.parse()
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> String {
        id.0.as_ref().into()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule asks of one text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FieldTest {
    /// Nothing: the text is not compared.
    #[default]
    Any,
    /// The text is blank. Asked of publishers: "no publisher" is a different thing from "whoever publishes it".
    Blank,
    /// The text matches.
    Like(Pattern),
}

impl FieldTest {
    /// Whether a folded text passes.
    pub fn passes(&self, folded: &str) -> bool {
        match self {
            FieldTest::Any => true,
            FieldTest::Blank => folded.is_empty(),
            FieldTest::Like(pattern) => pattern.matches(folded),
        }
    }

    /// The pattern, when there is one.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            FieldTest::Like(pattern) => Some(pattern),
            FieldTest::Any | FieldTest::Blank => None,
        }
    }
}

/// What becomes of a title that a rule recognises.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// It makes this application installed.
    Application(ApplicationId),
    /// It is known and means nothing: neither an application nor on the list of the unrecognised.
    Ignored,
}

/// One rule over installer evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// What answers name.
    pub id: RuleId,
    /// Asked of the title's name.
    pub name: FieldTest,
    /// Asked of the title's version.
    pub version: FieldTest,
    /// Asked of the title's publisher.
    pub publisher: FieldTest,
    /// The whole type of evidence, folded; empty: not compared.
    pub evidence: Box<str>,
    /// What a hit means.
    pub verdict: Verdict,
}

/// How specific a rule is: the greater one wins. More literal characters over all compared texts first, then fewer `%`.
///
/// Rules that still tie all stay. Source: reconcile-files reference, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    literals: usize,
    wildcards: std::cmp::Reverse<usize>,
}

impl Rule {
    /// How specific it is.
    pub fn specificity(&self) -> Specificity {
        let patterns = || [&self.name, &self.version, &self.publisher].into_iter().filter_map(FieldTest::pattern);
        Specificity {
            literals: patterns().map(Pattern::literals).sum::<usize>() + self.evidence.chars().count(),
            wildcards: std::cmp::Reverse(patterns().map(Pattern::wildcards).sum()),
        }
    }

    /// Whether it hits a title with these folded texts.
    pub fn hits(&self, name: &str, version: &str, publisher: &str, evidence: &str) -> bool {
        (self.evidence.is_empty() || *self.evidence == *evidence)
            && self.name.passes(name)
            && self.version.passes(version)
            && self.publisher.passes(publisher)
    }

    /// The application it makes installed; `None` for a rule that ignores.
    pub fn application(&self) -> Option<&ApplicationId> {
        match &self.verdict {
            Verdict::Application(application) => Some(application),
            Verdict::Ignored => None,
        }
    }

    /// A type of evidence as a rule compares it.
    pub fn fold_evidence(text: &str) -> Box<str> {
        fold(text).into()
    }
}

/// `postgresql-15#1: name postgresql-15, version 15.%, evidence deb`: what it compares, for those who ask why.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.id)?;
        let mut comma = "";
        let evidence = (!self.evidence.is_empty()).then_some(&*self.evidence);
        let texts = [("name", &self.name), ("version", &self.version), ("publisher", &self.publisher)];
        let texts = texts.into_iter().filter_map(|(field, test)| match test {
            FieldTest::Any => None,
            FieldTest::Blank => Some((field, "<blank>")),
            FieldTest::Like(pattern) => Some((field, pattern.as_str())),
        });
        for (field, text) in texts.chain(evidence.map(|text| ("evidence", text))) {
            write!(f, "{comma} {field} {text}")?;
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str) -> FieldTest {
        FieldTest::Like(Pattern::new(text).unwrap())
    }

    fn rule(name: &str, version: FieldTest, publisher: FieldTest, evidence: &str) -> Rule {
        let verdict = Verdict::Application("app".parse().unwrap());
        Rule { id: "r#1".parse().unwrap(), name: like(name), version, publisher, evidence: evidence.into(), verdict }
    }

    #[test]
    fn a_rule_hits_when_every_compared_text_passes() {
        let rule = rule("acme%", like("3.%"), FieldTest::Blank, "deb");
        assert!(rule.hits("acme-server", "3.1", "", "deb"));
        assert!(!rule.hits("acme-server", "3.1", "", "rpm"));
        assert!(!rule.hits("acme-server", "3", "", "deb"));
        assert!(!rule.hits("acme-server", "3.1", "acme", "deb"));
        assert_eq!(rule.to_string(), "r#1: name acme%, version 3.%, publisher <blank>, evidence deb");
    }

    #[test]
    fn more_literals_win_then_fewer_wildcards() {
        let specificity = |name, version| rule(name, version, FieldTest::Any, "").specificity();
        assert!(specificity("abc", FieldTest::Any) > specificity("ab%", FieldTest::Any));
        assert!(specificity("abc%", FieldTest::Any) > specificity("ab", FieldTest::Any));
        assert!(specificity("abc", FieldTest::Any) > specificity("%abc", FieldTest::Any));
        assert!(specificity("ab", like("1.%")) > specificity("abc", FieldTest::Any));
        assert_eq!(specificity("ab", FieldTest::Blank), specificity("ab", FieldTest::Any), "a blank has no literals");
    }
}
