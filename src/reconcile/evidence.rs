//! Evidence on devices recognised as installations.
//!
//! Source: reconcile-files reference, section 4.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::{Recogniser, RecogniserError};
use crate::model::estate::{Device, Evidence, EvidenceText, Installations, Number, Pair};
use crate::model::folder::Folder;
use crate::model::pattern::fold;
use crate::model::recognition::{EvidenceKind, FieldTest, Folded, Rule};

/// Evidence that no rule hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecognised {
    /// Its texts, the first by byte order among equal folded ones.
    pub text: EvidenceText,
    /// On how many devices.
    pub devices: u64,
}

/// What evidence shows.
#[derive(Debug, Default)]
pub struct Recognition {
    /// What is installed where, with repetitions.
    pub pairs: Vec<Pair>,
    /// What no rule hits, ascending.
    pub unrecognised: Vec<Unrecognised>,
}

/// Puts the installations of a folder in their places: those that are known and those that evidence shows. What no rule
/// hits is given back.
pub fn install(folder: &mut Folder) -> Result<Vec<Unrecognised>, RecogniserError> {
    let Folder { estate, known, evidence, rules, .. } = folder;
    let Recognition { pairs, unrecognised } = recognise(&estate.devices, evidence, rules)?;
    let mut pieces = std::mem::take(known);
    pieces.push(pairs);
    *evidence = Evidence::default();
    estate.installations = Installations::of(estate.applications.len(), pieces);
    Ok(unrecognised)
}

/// What the rules make of one distinct text.
#[derive(Clone, Debug, Default)]
struct Hits {
    is_recognised: bool,
    /// Applications that it makes installed.
    installed: Box<[Number]>,
    /// Rules that have to be hit together, by their place in the list of such rules.
    required: Box<[u32]>,
}

/// Recognises all evidence. Each distinct text is looked at once, files twice: where paths are compared, and on Windows,
/// where they are not.
pub fn recognise(
    devices: &[Device],
    evidence: &Evidence,
    rules: &[Rule<Number>],
) -> Result<Recognition, RecogniserError> {
    // For each application the rules that have to be hit together, by their places among all such rules.
    let mut together: BTreeMap<Number, Vec<u32>> = BTreeMap::new();
    let mut required: HashMap<&str, u32> = HashMap::new();
    for rule in rules.iter().filter(|rule| rule.is_required()) {
        let place = required.len() as u32;
        required.insert(rule.id.as_str(), place);
        if let Some(&application) = rule.application() {
            together.entry(application).or_default().push(place);
        }
    }
    let has_paths = rules.iter().any(|rule| rule.path != FieldTest::Any);
    let elsewhere = all_hits(evidence, rules.to_vec(), &required)?;
    let on_windows = if has_paths {
        let without_path = |rule: &Rule<Number>| Rule { path: FieldTest::Any, ..rule.clone() };
        Some(all_hits(evidence, rules.iter().map(without_path).collect(), &required)?)
    } else {
        None
    };
    let mut found = Recognition::default();
    // By folded texts: the number of the text to show, and the devices.
    let mut unrecognised: BTreeMap<EvidenceText, (Number, BTreeSet<Number>)> = BTreeMap::new();
    for of_device in evidence.found.chunk_by(|a, b| a.0 == b.0) {
        let device = of_device[0].0;
        let hits = match &on_windows {
            Some(on_windows) if devices[device as usize].is_windows => on_windows,
            _ => &elsewhere,
        };
        let mut stayed: BTreeSet<u32> = BTreeSet::new();
        for &(_, text) in of_device {
            let hit = &hits[text as usize];
            found.pairs.extend(hit.installed.iter().map(|&application| (application, device)));
            stayed.extend(&hit.required);
            if !hit.is_recognised {
                let written = &evidence.texts[text as usize];
                let texts = written.texts.each_ref().map(|text| fold(text).into());
                let key = EvidenceText { kind: written.kind, texts };
                let (first, on) = unrecognised.entry(key).or_insert_with(|| (text, BTreeSet::new()));
                if evidence.texts[text as usize].texts < evidence.texts[*first as usize].texts {
                    *first = text;
                }
                on.insert(device);
            }
        }
        if !stayed.is_empty() {
            let whole = together.iter().filter(|(_, all)| all.iter().all(|rule| stayed.contains(rule)));
            found.pairs.extend(whole.map(|(&application, _)| (application, device)));
        }
    }
    let listed = unrecognised
        .into_values()
        .map(|(text, on)| Unrecognised { text: evidence.texts[text as usize].clone(), devices: on.len() as u64 });
    found.unrecognised = listed.collect();
    let kind = |text: &EvidenceText| text.kind.as_str();
    found.unrecognised.sort_by(|a, b| (kind(&a.text), &a.text.texts).cmp(&(kind(&b.text), &b.text.texts)));
    Ok(found)
}

/// What the rules make of each distinct text.
fn all_hits(
    evidence: &Evidence,
    rules: Vec<Rule<Number>>,
    required: &HashMap<&str, u32>,
) -> Result<Vec<Hits>, RecogniserError> {
    let recogniser = Recogniser::new(rules)?;
    let (mut candidates, mut stay) = (Vec::new(), Vec::new());
    let hits = evidence.texts.iter().map(|text| {
        let [name, version, publisher, kind, company, description, size, path] =
            text.texts.each_ref().map(|text| fold(text));
        let folded = match text.kind {
            EvidenceKind::Installer => Folded {
                kind: EvidenceKind::Installer,
                name: &name,
                version: &version,
                publisher: &publisher,
                description: "",
                path: "",
                evidence: &kind,
            },
            EvidenceKind::File => Folded {
                kind: EvidenceKind::File,
                name: &name,
                version: &version,
                publisher: &company,
                description: &description,
                path: &path,
                evidence: &size,
            },
        };
        recogniser.stay_into(&folded, &mut candidates, &mut stay);
        let mut hits = Hits { is_recognised: !stay.is_empty(), ..Hits::default() };
        let rules = || stay.iter().map(|&number| recogniser.rule(number));
        let mut installed: Vec<Number> =
            rules().filter(|rule| !rule.is_required()).filter_map(|rule| rule.application().copied()).collect();
        installed.sort_unstable();
        installed.dedup();
        hits.installed = installed.into();
        hits.required = rules().filter_map(|rule| required.get(rule.id.as_str()).copied()).collect();
        hits
    });
    Ok(hits.collect())
}
