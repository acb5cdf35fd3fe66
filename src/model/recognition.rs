//! Rules by which evidence is recognised as applications.
//!
//! Source: reconcile-files reference, section 4.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::name;
use super::pattern::{Pattern, fold};
use super::software::ApplicationId;

name! {
    /// Name of a rule, unique in a library: what an operator looks up when an application surprises.
    RuleId
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

/// Where evidence comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// A package manager or installer says so.
    #[default]
    Installer,
    /// A file is there.
    File,
}

impl EvidenceKind {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            EvidenceKind::Installer => "installer",
            EvidenceKind::File => "file",
        }
    }
}

/// What becomes of evidence that a rule recognises. `A` names applications.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict<A = ApplicationId> {
    /// It makes this application installed.
    Application(A),
    /// Together with all others of this verdict and application it makes the application installed.
    Required(A),
    /// It is known and means nothing: neither an application nor on the list of the unrecognised.
    Ignored,
}

/// One rule over evidence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule<A = ApplicationId> {
    /// What answers name.
    pub id: RuleId,
    /// Which evidence it is for.
    pub kind: EvidenceKind,
    /// Asked of the name.
    pub name: FieldTest,
    /// Asked of the version.
    pub version: FieldTest,
    /// Asked of the publisher, of a file of its company.
    pub publisher: FieldTest,
    /// Asked of a file's description.
    pub description: FieldTest,
    /// Asked of a file's path.
    pub path: FieldTest,
    /// The whole type of an installer, or size of a file, folded; empty: not compared.
    pub evidence: Box<str>,
    /// What a hit means.
    pub verdict: Verdict<A>,
}

/// The texts of one piece of evidence, folded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Folded<'f> {
    /// Where it comes from.
    pub kind: EvidenceKind,
    /// Its name.
    pub name: &'f str,
    /// Its version.
    pub version: &'f str,
    /// Its publisher, of a file its company.
    pub publisher: &'f str,
    /// A file's description.
    pub description: &'f str,
    /// A file's path.
    pub path: &'f str,
    /// Type of an installer, size of a file.
    pub evidence: &'f str,
}

/// How specific a rule is: the greater one wins. More literal characters over all compared texts first, then fewer `%`.
///
/// Rules that still tie all stay. Source: reconcile-files reference, section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    literals: usize,
    wildcards: std::cmp::Reverse<usize>,
}

impl<A> Rule<A> {
    /// How specific it is.
    pub fn specificity(&self) -> Specificity {
        let tests = [&self.name, &self.version, &self.publisher, &self.description, &self.path];
        let patterns = || tests.into_iter().filter_map(FieldTest::pattern);
        Specificity {
            literals: patterns().map(Pattern::literals).sum::<usize>() + self.evidence.chars().count(),
            wildcards: std::cmp::Reverse(patterns().map(Pattern::wildcards).sum()),
        }
    }

    /// Whether it hits.
    pub fn hits(&self, evidence: &Folded<'_>) -> bool {
        self.kind == evidence.kind
            && (self.evidence.is_empty() || *self.evidence == *evidence.evidence)
            && self.name.passes(evidence.name)
            && self.version.passes(evidence.version)
            && self.publisher.passes(evidence.publisher)
            && self.description.passes(evidence.description)
            && self.path.passes(evidence.path)
    }

    /// The application it makes installed, or helps to; `None` for a rule that ignores.
    pub fn application(&self) -> Option<&A> {
        match &self.verdict {
            Verdict::Application(application) | Verdict::Required(application) => Some(application),
            Verdict::Ignored => None,
        }
    }

    /// Whether it makes its application installed only together with others.
    pub fn is_required(&self) -> bool {
        matches!(self.verdict, Verdict::Required(_))
    }
}

impl Rule {
    /// A type of evidence as a rule compares it.
    pub fn fold_evidence(text: &str) -> Box<str> {
        fold(text).into()
    }
}

/// `postgresql-15#1: name postgresql-15, version 15.%, evidence deb`: what it compares, for those who ask why.
impl<A> fmt::Display for Rule<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.id)?;
        let mut comma = "";
        let evidence = (!self.evidence.is_empty()).then_some(&*self.evidence);
        let (publisher, evidence_name) = match self.kind {
            EvidenceKind::Installer => ("publisher", "evidence"),
            EvidenceKind::File => ("company", "size"),
        };
        let texts = [
            ("name", &self.name),
            ("version", &self.version),
            (publisher, &self.publisher),
            ("description", &self.description),
            ("path", &self.path),
        ];
        let texts = texts.into_iter().filter_map(|(field, test)| match test {
            FieldTest::Any => None,
            FieldTest::Blank => Some((field, "<blank>")),
            FieldTest::Like(pattern) => Some((field, pattern.as_str())),
        });
        for (field, text) in texts.chain(evidence.map(|text| (evidence_name, text))) {
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
        Rule {
            id: "r#1".parse().unwrap(),
            kind: EvidenceKind::Installer,
            name: like(name),
            version,
            publisher,
            description: FieldTest::Any,
            path: FieldTest::Any,
            evidence: evidence.into(),
            verdict,
        }
    }

    #[test]
    fn a_rule_hits_when_every_compared_text_passes() {
        let rule = rule("acme%", like("3.%"), FieldTest::Blank, "deb");
        let hits = |name, version, publisher, evidence| {
            rule.hits(&Folded { name, version, publisher, evidence, ..Folded::default() })
        };
        assert!(hits("acme-server", "3.1", "", "deb"));
        assert!(!hits("acme-server", "3.1", "", "rpm"));
        assert!(!hits("acme-server", "3", "", "deb"));
        assert!(!hits("acme-server", "3.1", "acme", "deb"));
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
