//! Libraries of applications and the rules that recognise them: `config/recognition/*.toml`, see
//! `docs/operations/recognition.md`.
//!
//! ```toml
//! [[application]]
//! id = "postgresql-15"
//! publisher = "PostgreSQL Global Development Group"
//! product = "PostgreSQL"
//! version = "15"
//! classification = "open-source"
//! rules = [
//!   { name = "postgresql-15", evidence = "deb" },
//!   { name = ["postgresql15-server", "postgresql-server"], version = "15.%", evidence = "rpm" },
//! ]
//!
//! [[ignored]]
//! reason = "shared libraries come with what uses them"
//! rules = [{ name = "lib%", evidence = "deb" }]
//! ```
//!
//! `%` stands for zero or more characters. A list stands for several rules, one per text. A field that is left out is
//! not compared; `publisher = "<blank>"` asks that there is none. The rules of an application are named after it and
//! counted: `postgresql-15#1`, `#2`, ...

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, Document};
use crate::model::pattern::Pattern;
use crate::model::recognition::{EvidenceKind, FieldTest, Rule, RuleId, Verdict};
use crate::model::software::{Application, ApplicationId, Classification};

/// What asks that a publisher is blank.
const BLANK: &str = "<blank>";
/// What rules that ignore are named after.
const IGNORED: &str = "ignored";
/// Rules that one entry may stand for: the product of its lists.
const COMBINATIONS_MAX: usize = 1_000;
/// Characters of a publisher, product, version or edition at most.
const TEXT_CHARS_MAX: usize = 200;

/// Applications and rules, checked: ids are unique, and every rule compares a name, a version or a publisher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    applications: Vec<Application>,
    rules: Vec<Rule>,
}

impl Library {
    /// The applications, ascending by id.
    pub fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// The rules, as they stand in the files, which are taken in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The application with this id.
    pub fn application(&self, id: &ApplicationId) -> Option<&Application> {
        let place = self.applications.binary_search_by(|application| application.id.cmp(id)).ok()?;
        Some(&self.applications[place])
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryFile {
    #[serde(default)]
    application: Vec<ApplicationFile>,
    #[serde(default)]
    ignored: Vec<IgnoredFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationFile {
    id: Spanned<String>,
    publisher: Spanned<String>,
    product: Spanned<String>,
    version: Option<Spanned<String>>,
    edition: Option<Spanned<String>>,
    #[serde(default)]
    classification: Classification,
    #[serde(default = "yes")]
    licensable: bool,
    #[serde(default)]
    rules: Vec<Spanned<RuleFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoredFile {
    /// Read by people; asked for, so that there is one.
    reason: Spanned<String>,
    rules: Vec<Spanned<RuleFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    name: Option<Spanned<Texts>>,
    version: Option<Spanned<Texts>>,
    publisher: Option<Spanned<Texts>>,
    evidence: Option<Spanned<Texts>>,
}

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts in square brackets")]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn list(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Several(texts) => texts,
        }
    }
}

fn yes() -> bool {
    true
}

/// The files that are built into the program, `config/recognition/*.toml`. They are one library: read them together.
pub fn standard_libraries() -> [Document<'static>; 4] {
    [
        Document { text: include_str!("../../config/recognition/debian.toml"), file: "built-in debian.toml" },
        Document { text: include_str!("../../config/recognition/redhat.toml"), file: "built-in redhat.toml" },
        Document { text: include_str!("../../config/recognition/windows.toml"), file: "built-in windows.toml" },
        Document { text: include_str!("../../config/recognition/databases.toml"), file: "built-in databases.toml" },
    ]
}

/// Reads a library from its files. An application of one file may not stand in another; rules of files that are read
/// together compete by how specific they are, not by their file.
pub fn read_library(files: &[Document<'_>]) -> Result<Library, ConfigError> {
    let mut library = Library::default();
    // Where each application stands, for the error that names both places.
    let mut places: BTreeMap<ApplicationId, (Document<'_>, Range<usize>)> = BTreeMap::new();
    let mut ignored = 0;
    for file in files {
        let content: LibraryFile = file.read()?;
        for application in &content.application {
            let id: ApplicationId =
                application.id.get_ref().parse().map_err(|error| file.error_at(&application.id, format!("{error}")))?;
            if id.as_str() == IGNORED {
                return Err(file.error_at(&application.id, "is the name of the rules that ignore, choose another"));
            }
            if let Some((first, span)) = places.insert(id.clone(), (*file, application.id.span())) {
                let first = format!("{}:{}", first.file, first.line(&span));
                return Err(file.error_at(&application.id, format!("`{id}` stands in {first} already, remove one")));
            }
            let verdict = Verdict::Application(id.clone());
            read_rules(file, &application.rules, id.as_str(), 0, &verdict, &mut library.rules)?;
            let empty = || Spanned::new(0..0, String::new());
            library.applications.push(Application {
                publisher: text(file, &application.publisher, true)?,
                product: text(file, &application.product, true)?,
                version: text(file, application.version.as_ref().unwrap_or(&empty()), false)?,
                edition: text(file, application.edition.as_ref().unwrap_or(&empty()), false)?,
                classification: application.classification,
                licensable: application.licensable,
                id,
            });
        }
        for group in &content.ignored {
            text(file, &group.reason, true)?;
            // Named on through all files, since they belong to no application.
            ignored = read_rules(file, &group.rules, IGNORED, ignored, &Verdict::Ignored, &mut library.rules)?;
        }
    }
    library.applications.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(library)
}

/// Adds the rules that `rules` stand for, named `owner#n` from `count` + 1 on; gives the last number.
fn read_rules(
    file: &Document<'_>,
    rules: &[Spanned<RuleFile>],
    owner: &str,
    mut count: usize,
    verdict: &Verdict,
    out: &mut Vec<Rule>,
) -> Result<usize, ConfigError> {
    for spanned in rules {
        let rule = spanned.get_ref();
        let names = tests(file, rule.name.as_ref(), false)?;
        let versions = tests(file, rule.version.as_ref(), false)?;
        let publishers = tests(file, rule.publisher.as_ref(), true)?;
        let evidence = evidence(file, rule.evidence.as_ref())?;
        if [&names, &versions, &publishers].iter().all(|tests| tests.contains(&FieldTest::Any)) {
            let problem = "compares nothing, so it would hit every title: give it a name, a version or a publisher";
            return Err(file.error_at(spanned, problem));
        }
        let combined = [names.len(), versions.len(), publishers.len(), evidence.len()];
        if combined.into_iter().fold(1, usize::saturating_mul) > COMBINATIONS_MAX {
            let problem = format!("its lists stand for more than {COMBINATIONS_MAX} rules together, split it");
            return Err(file.error_at(spanned, problem));
        }
        for (name, version, publisher, evidence) in combinations(&names, &versions, &publishers, &evidence) {
            count += 1;
            let id: RuleId = match format!("{owner}#{count}").parse() {
                Ok(id) => id,
                Err(error) => return Err(file.error_at(spanned, format!("{error}: shorten the id"))),
            };
            out.push(Rule {
                id,
                kind: EvidenceKind::Installer,
                name: name.clone(),
                version: version.clone(),
                publisher: publisher.clone(),
                description: FieldTest::Any,
                path: FieldTest::Any,
                evidence: evidence.clone(),
                verdict: verdict.clone(),
            });
        }
    }
    Ok(count)
}

type OneRule<'r> = (&'r FieldTest, &'r FieldTest, &'r FieldTest, &'r Box<str>);

fn combinations<'r>(
    names: &'r [FieldTest],
    versions: &'r [FieldTest],
    publishers: &'r [FieldTest],
    evidence: &'r [Box<str>],
) -> impl Iterator<Item = OneRule<'r>> {
    names.iter().flat_map(move |name| {
        versions.iter().flat_map(move |version| {
            publishers
                .iter()
                .flat_map(move |publisher| evidence.iter().map(move |evidence| (name, version, publisher, evidence)))
        })
    })
}

/// The tests that a field of a rule stands for; one that is left out compares nothing.
fn tests(
    file: &Document<'_>,
    field: Option<&Spanned<Texts>>,
    may_be_blank: bool,
) -> Result<Vec<FieldTest>, ConfigError> {
    let Some(field) = field else { return Ok(vec![FieldTest::Any]) };
    let mut tests = Vec::new();
    for text in field.get_ref().list() {
        if may_be_blank && text.trim() == BLANK {
            tests.push(FieldTest::Blank);
            continue;
        }
        let pattern = Pattern::new(text).map_err(|error| file.error_at(field, format!("{error}")))?;
        if pattern.literals() == 0 {
            return Err(file.error_at(field, "has no characters but `%`: leave the field out to compare nothing"));
        }
        tests.push(FieldTest::Like(pattern));
    }
    if tests.is_empty() {
        return Err(file.error_at(field, "is an empty list: leave the field out to compare nothing"));
    }
    Ok(tests)
}

fn evidence(file: &Document<'_>, field: Option<&Spanned<Texts>>) -> Result<Vec<Box<str>>, ConfigError> {
    let Some(field) = field else { return Ok(vec!["".into()]) };
    let folded: Vec<Box<str>> = field.get_ref().list().iter().map(|text| Rule::fold_evidence(text)).collect();
    if folded.is_empty() || folded.iter().any(|text| text.is_empty()) {
        return Err(file.error_at(field, "is empty: leave the field out to take every type of evidence"));
    }
    if folded.iter().any(|text| text.contains('%')) {
        return Err(file.error_at(field, "is compared whole: list the types instead of using `%`"));
    }
    Ok(folded)
}

/// A short text without control characters, trimmed.
fn text(file: &Document<'_>, text: &Spanned<String>, is_required: bool) -> Result<Box<str>, ConfigError> {
    let trimmed = text.get_ref().trim();
    let chars = trimmed.chars().count();
    if is_required && chars == 0 {
        return Err(file.error_at(text, "is empty, write a text"));
    }
    if chars > TEXT_CHARS_MAX {
        return Err(file.error_at(text, format!("has {chars} characters, at most {TEXT_CHARS_MAX} are taken")));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(file.error_at(text, "has control characters, remove them"));
    }
    Ok(trimmed.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::pattern::fold;
    use crate::model::recognition::Folded;

    const ACME: &str = "[[application]]\nid = 'acme'\npublisher = 'Acme'\nproduct = 'Server'\n";

    fn read(text: &str) -> Result<Library, String> {
        read_library(&[Document { text, file: "acme.toml" }]).map_err(|error| error.to_string())
    }

    fn shown(library: &Library) -> Vec<String> {
        library.rules().iter().map(Rule::to_string).collect()
    }

    #[test]
    fn a_list_stands_for_one_rule_per_text() {
        let rules = "rules = [{ name = ['Acme%', 'acme-x'], evidence = ['deb', 'RPM'] }, \
                     { publisher = ['<blank>', 'Acme'], version = '3.%' }]\n";
        let library = read(&format!("{ACME}{rules}")).unwrap();
        assert_eq!(
            shown(&library),
            [
                "acme#1: name acme%, evidence deb",
                "acme#2: name acme%, evidence rpm",
                "acme#3: name acme-x, evidence deb",
                "acme#4: name acme-x, evidence rpm",
                "acme#5: version 3.%, publisher <blank>",
                "acme#6: version 3.%, publisher acme",
            ]
        );
        let application = library.application(&"acme".parse().unwrap()).unwrap();
        assert_eq!((application.name().as_str(), application.licensable), ("Server", true));
        assert_eq!(application.classification, Classification::Unknown);
    }

    #[test]
    fn rules_that_ignore_are_counted_through_all_files() {
        let text = "[[ignored]]\nreason = 'r'\nrules = [{ name = 'lib%' }]\n";
        let both = [Document { text, file: "a" }, Document { text, file: "b" }];
        let library = read_library(&both).unwrap();
        assert_eq!(shown(&library), ["ignored#1: name lib%", "ignored#2: name lib%"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_do() {
        let wrong = |text: &str, error: &str| assert_eq!(read(text).unwrap_err(), error);
        wrong(
            &format!("{ACME}rules = [\n  {{ evidence = 'deb' }},\n]\n"),
            "acme.toml:6: `application[1].rules[1]`: compares nothing, so it would hit every title: give it a name, a \
             version or a publisher",
        );
        wrong(
            &format!("{ACME}rules = [\n  {{ nmae = 'x' }},\n]\n"),
            "acme.toml:6: `application[1].rules[1].nmae`: unknown key, did you mean `name`?",
        );
        wrong(
            &format!("{ACME}rules = [{{ name = '%' }}]\n"),
            "acme.toml:5: `application[1].rules[1].name`: has no characters but `%`: leave the field out to compare \
             nothing",
        );
        wrong(
            &format!("{ACME}rules = [{{ name = 3 }}]\n"),
            "acme.toml:5: `application[1].rules[1].name`: a text or a list of texts in square brackets",
        );
        wrong(
            &format!("{ACME}rules = [{{ name = 'x', evidence = 'd%' }}]\n"),
            "acme.toml:5: `application[1].rules[1].evidence`: is compared whole: list the types instead of using `%`",
        );
        wrong(
            &format!("{ACME}{ACME}"),
            "acme.toml:6: `application[2].id`: `acme` stands in acme.toml:2 already, remove one",
        );
        let many = format!("[{}]", "'x', ".repeat(40));
        wrong(
            &format!("{ACME}rules = [{{ name = {many}, version = {many} }}]\n"),
            "acme.toml:5: `application[1].rules[1]`: its lists stand for more than 1000 rules together, split it",
        );
        wrong(
            "[[application]]\nid = 'ignored'\npublisher = 'x'\nproduct = 'x'\n",
            "acme.toml:2: `application[1].id`: is the name of the rules that ignore, choose another",
        );
        wrong(
            &format!("{ACME}classification = 'opensource'\n"),
            "acme.toml:5: `application[1].classification`: `opensource` is not known here, did you mean `open-source`?",
        );
        wrong(
            "[[application]]\nid = 'a'\npublisher = ' '\nproduct = 'x'\n",
            "acme.toml:3: `application[1].publisher`: is empty, write a text",
        );
    }

    fn shipped() -> Library {
        read_library(&standard_libraries()).unwrap()
    }

    /// What the most specific of the rules that hit make of a title, and these rules. By the definition: that the index
    /// of `reconcile`, its neighbour, finds the same is shown there and in `actors/server/library.rs`.
    fn recognised<'l>(library: &'l Library, title: [&str; 4]) -> (String, Vec<&'l Rule>) {
        let [name, version, publisher, evidence] = title.map(fold);
        let evidence =
            Folded { name: &name, version: &version, publisher: &publisher, evidence: &evidence, ..Folded::default() };
        let hits: Vec<&Rule> = library.rules().iter().filter(|rule| rule.hits(&evidence)).collect();
        let best = hits.iter().map(|rule| rule.specificity()).max();
        let stay: Vec<&Rule> = hits.into_iter().filter(|rule| Some(rule.specificity()) == best).collect();
        let mut verdicts: Vec<&str> =
            stay.iter().map(|rule| rule.application().map_or(IGNORED, ApplicationId::as_str)).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        (if verdicts.is_empty() { "unrecognised".into() } else { verdicts.join(" and ") }, stay)
    }

    #[test]
    fn the_shipped_files_are_one_library() {
        let library = shipped();
        let alone = |file: &Document<'_>| read_library(std::slice::from_ref(file)).unwrap().applications().len();
        let counts = standard_libraries().each_ref().map(alone);
        assert_eq!(counts.iter().sum::<usize>(), library.applications().len(), "an id stands in one file");
        assert!(counts.iter().zip([140, 120, 250, 140]).all(|(count, least)| *count >= least), "{counts:?}");
        let mut idle: BTreeSet<&ApplicationId> = library.applications().iter().map(|one| &one.id).collect();
        for rule in library.rules() {
            rule.application().map(|application| idle.remove(application));
        }
        assert_eq!(idle, BTreeSet::new(), "applications without a rule");
        for application in library.applications() {
            let is_component = application.classification == Classification::Component;
            assert!(!(is_component && application.licensable), "{} is part of something else", application.id);
        }
    }

    #[test]
    fn what_installers_report_is_recognised_as_one_application() {
        let library = shipped();
        let examples = include_str!("../../tests/golden/recognition/examples.txt").lines();
        let examples: Vec<&str> = examples.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(examples.len() >= 200, "{}", examples.len());
        let mut wrong = Vec::new();
        for example in examples {
            let fields: Vec<&str> = example.split('|').map(str::trim).collect();
            let [name, version, publisher, evidence, expected] = fields[..] else { panic!("{example}") };
            let is_known = ["ignored", "unrecognised"].contains(&expected)
                || library.application(&expected.parse().unwrap()).is_some();
            let (found, rules) = recognised(&library, [name, version, publisher, evidence]);
            if found != expected || !is_known {
                wrong.push(format!("{example}: {found} by {rules:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn no_shipped_rule_is_hidden_by_another() {
        let library = shipped();
        let mut hidden = Vec::new();
        for rule in library.rules() {
            // What stands for `%` must not look like a part of some other name.
            let text = |test: &FieldTest| test.pattern().map_or(String::new(), |text| text.as_str().replace('%', "0"));
            let [name, version, publisher] = [&rule.name, &rule.version, &rule.publisher].map(text);
            let evidence = if rule.evidence.is_empty() { "uninstall" } else { &rule.evidence };
            let (found, stay) = recognised(&library, [&name, &version, &publisher, evidence]);
            let wanted = rule.application().map_or(IGNORED, ApplicationId::as_str);
            if found != wanted || !stay.iter().any(|stays| stays.id == rule.id) {
                hidden.push(format!("{rule}: {found}"));
            }
        }
        assert!(hidden.is_empty(), "{}", hidden.join("\n"));
    }

    #[test]
    fn two_shipped_applications_differ_in_more_than_their_id() {
        let library = shipped();
        let mut seen = BTreeMap::new();
        for application in library.applications() {
            let Application { publisher, product, version, edition, .. } = application;
            // What rights to upgrade and downgrade compare, so a version written twice would be covered twice.
            let key = [publisher, product, edition, version].map(|text| fold(text).into_owned());
            assert_eq!(seen.insert(key, &application.id), None, "{} is there already", application.id);
        }
    }
}
