//! Which rules hit a piece of evidence.
//!
//! Rules are numbered from the most specific to the least, so the first that hits is one that wins. Each rule stands in
//! one list of an index, by what a title must have for it to hit: the whole name, a run of characters in the name, the
//! whole publisher, a run in the publisher, or nothing. A title is looked up in each index once and only the rules found
//! there are tried. Runs are found by one pass of an Aho-Corasick automaton, however many there are.
//!
//! Source: reconcile-files reference, section 4.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use aho_corasick::AhoCorasick;
use hashbrown::HashMap;

use crate::model::pattern::{Pattern, fold};
use crate::model::recognition::{Folded, Rule, RuleId, Specificity};
use crate::model::software::{ApplicationId, Title, TitleId};

/// Rules of one tenant at most.
pub const RULES_MAX: usize = 500_000;

/// Why rules make no recogniser.
#[derive(Debug, thiserror::Error)]
pub enum RecogniserError {
    /// More than [`RULES_MAX`].
    #[error("{0} recognition rules, at most {RULES_MAX} are taken: split the library by tenant")]
    Many(usize),
    /// Two rules of one name.
    #[error("two recognition rules are named `{0}`: rename one")]
    Twice(RuleId),
    /// The index would not fit.
    #[error("cannot index the recognition rules")]
    Index(#[from] aho_corasick::BuildError),
}

/// Rules, ready to recognise.
pub struct Recogniser<A = ApplicationId> {
    /// Most specific first; equals by application (those that ignore before all), then id.
    rules: Vec<Indexed<A>>,
    /// The applications that rules name, ascending.
    applications: Vec<A>,
    names: Index,
    publishers: Index,
    /// Rules that ask for neither: versions and types only.
    others: Vec<u32>,
}

struct Indexed<A> {
    rule: Rule<A>,
    specificity: Specificity,
    /// Place of its application in `applications`; `None`: it ignores.
    application: Option<u32>,
}

/// Rules by the text that a field must hold for them to hit.
struct Index {
    whole: HashMap<Box<str>, Vec<u32>>,
    runs: AhoCorasick,
    /// For each run of the automaton its rules.
    of_run: Vec<Vec<u32>>,
}

/// Where a rule is put while an index is built. Ordered, so that the automaton is the same whatever order rules come in.
#[derive(Default)]
struct IndexBuilder {
    whole: HashMap<Box<str>, Vec<u32>>,
    runs: BTreeMap<Box<str>, Vec<u32>>,
}

impl IndexBuilder {
    /// Whether `pattern` gives something to look for.
    fn add(&mut self, pattern: Option<&Pattern>, rule: u32) -> bool {
        let Some(pattern) = pattern else { return false };
        if pattern.is_literal() {
            self.whole.entry(pattern.as_str().into()).or_default().push(rule);
            return true;
        }
        let Some(run) = pattern.longest_literal() else { return false };
        self.runs.entry(run.into()).or_default().push(rule);
        true
    }

    fn build(self) -> Result<Index, aho_corasick::BuildError> {
        let (runs, of_run): (Vec<Box<str>>, Vec<Vec<u32>>) = self.runs.into_iter().unzip();
        let runs = AhoCorasick::builder().build(runs.iter().map(|run| run.as_bytes()))?;
        Ok(Index { whole: self.whole, runs, of_run })
    }
}

impl Index {
    fn find(&self, text: &str, candidates: &mut Vec<u32>) {
        if let Some(rules) = self.whole.get(text) {
            candidates.extend_from_slice(rules);
        }
        for found in self.runs.find_overlapping_iter(text) {
            candidates.extend_from_slice(&self.of_run[found.pattern().as_usize()]);
        }
    }
}

impl<A: Clone + Ord> Recogniser<A> {
    /// Indexes `rules`, in whatever order they come.
    pub fn new(rules: impl IntoIterator<Item = Rule<A>>) -> Result<Recogniser<A>, RecogniserError> {
        let mut rules: Vec<Rule<A>> = rules.into_iter().collect();
        if rules.len() > RULES_MAX {
            return Err(RecogniserError::Many(rules.len()));
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(RecogniserError::Twice(pair[0].id.clone()));
        }
        let mut applications: Vec<A> = rules.iter().filter_map(|rule| rule.application().cloned()).collect();
        applications.sort_unstable();
        applications.dedup();
        let place = |application: &A| applications.binary_search(application).ok().map(|place| place as u32);
        let index = |rule: Rule<A>| {
            let application = rule.application().and_then(place);
            Indexed { specificity: rule.specificity(), application, rule }
        };
        let mut rules: Vec<Indexed<A>> = rules.into_iter().map(index).collect();
        // Stable, so that rules of one application stay in the order of their ids.
        rules.sort_by_key(|indexed| (Reverse(indexed.specificity), indexed.application));
        let (mut names, mut publishers, mut others) = (IndexBuilder::default(), IndexBuilder::default(), Vec::new());
        for (number, Indexed { rule, .. }) in (0..).zip(&rules) {
            if !names.add(rule.name.pattern(), number) && !publishers.add(rule.publisher.pattern(), number) {
                others.push(number);
            }
        }
        Ok(Recogniser { rules, applications, names: names.build()?, publishers: publishers.build()?, others })
    }

    /// The applications that rules name, ascending.
    pub fn applications(&self) -> &[A] {
        &self.applications
    }

    /// The rules that stay for a piece of evidence: of those that hit it the most specific, all that tie, by
    /// application, then id. `stay` receives their numbers for [`Recogniser::rule`]; `candidates` is scratch.
    pub fn stay_into(&self, evidence: &Folded<'_>, candidates: &mut Vec<u32>, stay: &mut Vec<u32>) {
        candidates.clear();
        self.names.find(evidence.name, candidates);
        self.publishers.find(evidence.publisher, candidates);
        candidates.extend_from_slice(&self.others);
        // By number, so the most specific come first; a run that occurs twice brings its rules twice.
        candidates.sort_unstable();
        candidates.dedup();
        stay.clear();
        let mut winner: Option<Specificity> = None;
        for &number in candidates.iter() {
            let Indexed { rule, specificity, .. } = &self.rules[number as usize];
            if winner.is_some_and(|winner| winner > *specificity) {
                break;
            }
            if rule.hits(evidence) {
                winner = Some(*specificity);
                stay.push(number);
            }
        }
    }

    /// The rule with a number that [`Recogniser::stay_into`] gave.
    pub fn rule(&self, number: u32) -> &Rule<A> {
        &self.rules[number as usize].rule
    }
}

impl Recogniser {
    /// The rules that stay for `title`: of those that hit it the most specific, all that tie, by application, then id.
    ///
    /// Empty: the title is unrecognised. Of an application named by several rules the first counts.
    pub fn recognise(&self, title: &Title) -> Vec<&Rule> {
        let mut stay = Vec::new();
        self.recognise_into(title, &mut Vec::new(), &mut stay);
        stay.into_iter().map(|number| &self.rules[number as usize].rule).collect()
    }

    /// Recognises every title, each on its own, so `titles` may come in any order; of two titles with one id the first
    /// counts. One pass; a caller with several threads gives each a part and joins them by [`Recognised::extend`].
    pub fn recognise_all<'t>(&self, titles: impl IntoIterator<Item = (TitleId, &'t Title)>) -> Recognised<'_> {
        let mut all = Recognised {
            recogniser: self,
            spans: HashMap::new(),
            found: Vec::new(),
            ignored: Vec::new(),
            unrecognised: Vec::new(),
        };
        let (mut candidates, mut stay) = (Vec::new(), Vec::new());
        for (id, title) in titles {
            if all.spans.contains_key(&id) {
                continue;
            }
            self.recognise_into(title, &mut candidates, &mut stay);
            let start = all.found.len() as u32;
            for &number in &stay {
                let Some(application) = self.rules[number as usize].application else { continue };
                // Rules of one application stand together.
                if all.found[start as usize..].last().is_none_or(|last| last.application != application) {
                    all.found.push(Found { application, rule: number });
                }
            }
            match (stay.first(), all.found.len() as u32 - start) {
                (None, _) => all.unrecognised.push(id),
                (Some(_), 0) => all.ignored.push(id),
                (Some(_), _) => {}
            }
            all.spans.insert(id, (start, all.found.len() as u32));
        }
        all.unrecognised.sort_unstable();
        all.ignored.sort_unstable();
        all
    }

    /// The numbers of the rules that stay; `candidates` is scratch.
    fn recognise_into(&self, title: &Title, candidates: &mut Vec<u32>, stay: &mut Vec<u32>) {
        let [name, version, publisher, evidence] =
            [title.name(), title.version(), title.publisher(), title.evidence()].map(fold);
        let [name, version, publisher, evidence] = [&*name, &*version, &*publisher, &*evidence];
        self.stay_into(&Folded { name, version, publisher, evidence, ..Folded::default() }, candidates, stay);
    }
}

impl<A> fmt::Debug for Recogniser<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recogniser({} rules, {} applications)", self.rules.len(), self.applications.len())
    }
}

/// An application that a title makes installed.
#[derive(Clone, Copy)]
struct Found {
    /// Its place in [`Recogniser::applications`].
    application: u32,
    rule: u32,
}

/// What became of each title.
pub struct Recognised<'r> {
    recogniser: &'r Recogniser,
    /// Where the finds of a title stand in `found`. Looked up only, never walked.
    spans: HashMap<TitleId, (u32, u32)>,
    found: Vec<Found>,
    ignored: Vec<TitleId>,
    unrecognised: Vec<TitleId>,
}

impl<'r> Recognised<'r> {
    /// The applications that `title` makes installed, ascending, each with the rule that did it. None for a title that
    /// is unrecognised, ignored or was not given.
    pub fn applications(&self, title: TitleId) -> impl Iterator<Item = (&'r ApplicationId, &'r Rule)> + use<'_, 'r> {
        let recogniser = self.recogniser;
        self.found(title).iter().map(move |found| {
            (&recogniser.applications[found.application as usize], &recogniser.rules[found.rule as usize].rule)
        })
    }

    /// Titles that no rule hits, ascending.
    pub fn unrecognised(&self) -> &[TitleId] {
        &self.unrecognised
    }

    /// Titles that rules know and ignore, ascending.
    pub fn ignored(&self) -> &[TitleId] {
        &self.ignored
    }

    /// How many titles were given.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether no title was given.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The recogniser that did it.
    pub fn recogniser(&self) -> &'r Recogniser {
        self.recogniser
    }

    /// The same by their places in [`Recogniser::applications`].
    pub fn places(&self, title: TitleId) -> impl Iterator<Item = u32> + use<'_, 'r> {
        self.found(title).iter().map(|found| found.application)
    }

    fn found(&self, title: TitleId) -> &[Found] {
        self.spans.get(&title).map_or(&[], |&(start, end)| &self.found[start as usize..end as usize])
    }

    /// Adds what another part of the titles gave with the same recogniser; a title in both stays as it is here.
    ///
    /// # Panics
    ///
    /// When the two come from different recognisers: their numbers mean different rules.
    pub fn extend(&mut self, other: Recognised<'r>) {
        assert!(std::ptr::eq(self.recogniser, other.recogniser), "parts of one recognition have one recogniser");
        let news = |id: &TitleId| !self.spans.contains_key(id);
        self.unrecognised.extend(other.unrecognised.iter().copied().filter(news));
        self.ignored.extend(other.ignored.iter().copied().filter(news));
        self.unrecognised.sort_unstable();
        self.ignored.sort_unstable();
        let shift = self.found.len() as u32;
        self.found.extend_from_slice(&other.found);
        // The order of this walk ends in a hash table again and shows nowhere.
        for (id, (start, end)) in other.spans {
            self.spans.entry(id).or_insert((start + shift, end + shift));
        }
    }
}

impl fmt::Debug for Recognised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recognised({} titles, {} unrecognised)", self.len(), self.unrecognised.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pattern::Pattern;
    use crate::model::recognition::{EvidenceKind, FieldTest, Verdict};
    use proptest::prelude::*;

    /// `application name/version/publisher/evidence`; an empty part is not compared, `-` for the application ignores.
    fn rule(id: &str, text: &str) -> Rule {
        let (application, fields) = text.split_once(' ').unwrap();
        let fields: Vec<&str> = fields.split('/').chain([""; 4]).collect();
        let test = |field: &str| match field {
            "" => FieldTest::Any,
            "<blank>" => FieldTest::Blank,
            pattern => FieldTest::Like(Pattern::new(pattern).unwrap()),
        };
        Rule {
            id: id.parse().unwrap(),
            kind: EvidenceKind::Installer,
            name: test(fields[0]),
            version: test(fields[1]),
            publisher: test(fields[2]),
            description: FieldTest::Any,
            path: FieldTest::Any,
            evidence: Rule::fold_evidence(fields[3]),
            verdict: match application {
                "-" => Verdict::Ignored,
                id => Verdict::Application(id.parse().unwrap()),
            },
        }
    }

    fn recogniser(rules: &[&str]) -> Recogniser {
        let rules = rules.iter().enumerate().map(|(place, text)| rule(&format!("r{place}"), text));
        Recogniser::new(rules).unwrap()
    }

    fn title(text: &str) -> Title {
        let fields: Vec<&str> = text.split('/').chain([""; 4]).collect();
        Title::new(fields[0], fields[1], fields[2], fields[3])
    }

    /// The rules that stay, as `r0 r2`.
    fn stay(rules: &[&str], text: &str) -> String {
        let recogniser = recogniser(rules);
        recogniser.recognise(&title(text)).iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_most_specific_rule_wins_whatever_index_it_stands_in() {
        let rules =
            ["any //acme%", "acme acme%", "server acme-server", "three acme-server/3.%", "- %//%/deb", "all /1"];
        assert_eq!(stay(&rules, "ACME-Server/3.1"), "r3");
        assert_eq!(stay(&rules, "acme-server/2"), "r2");
        assert_eq!(stay(&rules, "acme-client/2/Acme Inc."), "r1 r0", "as many literals and as many wildcards tie");
        assert_eq!(stay(&rules, "client/2/Acme Inc."), "r0");
        assert_eq!(stay(&rules, "x/2//deb"), "r4");
        assert_eq!(stay(&rules, "x/1"), "r5");
        assert_eq!(stay(&rules, "x/2"), "");
    }

    #[test]
    fn rules_that_tie_all_stay_and_an_application_is_found_once() {
        let recogniser = recogniser(&["b abc", "a abc", "- abc", "a abc", "c ab%"]);
        let titles = [(TitleId(7), &title("abc")), (TitleId(3), &title("abd")), (TitleId(1), &title("x"))];
        let recognised = recogniser.recognise_all(titles);
        let found = |id| {
            let found = recognised.applications(TitleId(id));
            found.map(|(application, rule)| format!("{application} by {}", rule.id)).collect::<Vec<_>>()
        };
        assert_eq!(found(7), ["a by r1", "b by r0"]);
        assert_eq!(found(3), ["c by r4"]);
        assert_eq!(found(9), [""; 0]);
        assert_eq!(recognised.unrecognised(), [TitleId(1)]);
    }

    #[test]
    fn an_ignored_title_is_neither_installed_nor_unrecognised() {
        let recogniser = recogniser(&["- lib%///deb", "ssl libssl%///deb"]);
        let titles = [title("libacl1/1//deb"), title("libssl3/3//deb"), title("libx/1//rpm")];
        let recognised = recogniser.recognise_all((0..).map(TitleId).zip(&titles));
        assert_eq!((recognised.ignored(), recognised.unrecognised()), (&[TitleId(0)][..], &[TitleId(2)][..]));
        assert_eq!(recognised.applications(TitleId(1)).count(), 1);
    }

    #[test]
    fn a_blank_publisher_is_asked_for_by_name() {
        let rules = ["none acme//<blank>", "some acme//%"];
        assert_eq!(stay(&rules, "acme/1"), "r0");
        assert_eq!(stay(&rules, "acme/1/Acme"), "r1");
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let error = Recogniser::new([rule("x", "a b"), rule("x", "a c")]).unwrap_err();
        assert_eq!(error.to_string(), "two recognition rules are named `x`: rename one");
    }

    fn any_rule() -> impl Strategy<Value = String> {
        let part = "(|<blank>|[ab%]{1,4})";
        ("(-|[pq])", "[ab%]{0,4}", "[ab%]{0,3}", part, "(|deb|rpm)")
            .prop_map(|(application, n, v, p, e)| format!("{application} {n}/{v}/{p}/{e}"))
    }

    fn any_title() -> impl Strategy<Value = String> {
        ("[abA]{0,6}", "[ab]{0,4}", "[ab]{0,5}", "(deb|rpm)").prop_map(|(n, v, p, e)| format!("{n}/{v}/{p}/{e}"))
    }

    proptest! {
        #[test]
        fn the_index_finds_what_trying_every_rule_finds(
            rules in prop::collection::vec(any_rule(), 0..12), text in any_title(),
        ) {
            let texts: Vec<&str> = rules.iter().map(String::as_str).collect();
            let title = title(&text);
            let [n, v, p, e] = [title.name(), title.version(), title.publisher(), title.evidence()].map(fold);
            let folded = Folded { name: &n, version: &v, publisher: &p, evidence: &e, ..Folded::default() };
            let all: Vec<Rule> = texts.iter().enumerate().map(|(i, text)| rule(&format!("r{i}"), text)).collect();
            let hits: Vec<&Rule> = all.iter().filter(|rule| rule.hits(&folded)).collect();
            let best = hits.iter().map(|rule| rule.specificity()).max();
            let mut expected: Vec<&str> =
                hits.iter().filter(|rule| Some(rule.specificity()) == best).map(|rule| rule.id.as_str()).collect();
            let recogniser = recogniser(&texts);
            let mut found: Vec<&str> = recogniser.recognise(&title).iter().map(|rule| rule.id.as_str()).collect();
            expected.sort_unstable();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn neither_order_nor_parts_change_what_is_recognised(
            rules in prop::collection::vec(any_rule(), 0..9),
            titles in prop::collection::vec(any_title(), 0..9),
            cut in 0_usize..9,
        ) {
            let all: Vec<Rule> = rules.iter().enumerate().map(|(i, text)| rule(&format!("r{i}"), text)).collect();
            let titles: Vec<(TitleId, Title)> = (0..).map(TitleId).zip(titles.iter().map(|text| title(text))).collect();
            let show = |recognised: &Recognised<'_>| {
                let of = |id| recognised.applications(id).map(|(a, r)| (a.clone(), r.id.clone())).collect::<Vec<_>>();
                let lists = (recognised.ignored().to_vec(), recognised.unrecognised().to_vec());
                (titles.iter().map(|(id, _)| of(*id)).collect::<Vec<_>>(), lists)
            };
            let forwards = Recogniser::new(all.iter().cloned()).unwrap();
            let backwards = Recogniser::new(all.iter().rev().cloned()).unwrap();
            let expected = show(&forwards.recognise_all(titles.iter().map(|(id, title)| (*id, title))));
            let (first, second) = titles.split_at(cut.min(titles.len()));
            let part = |titles: &[(TitleId, Title)]| {
                backwards.recognise_all(titles.iter().rev().map(|(id, title)| (*id, title)))
            };
            let mut joined = part(second);
            joined.extend(part(first));
            prop_assert_eq!(show(&joined), expected);
        }
    }
}
