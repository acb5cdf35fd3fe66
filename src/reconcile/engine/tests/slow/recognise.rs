//! Recognition (section 4).

use std::collections::{BTreeMap, BTreeSet};

use super::estate::{Device, Estate, Evidence, Rule, TEXTS};
use super::number::Number;
use super::text::{fold, matches};

/// What recognition finds.
#[derive(Debug, Default)]
pub struct Recognised {
    /// Application, device.
    pub installations: BTreeSet<(String, String)>,
    /// Folded kind and texts, to the texts as they are written and the devices.
    pub unrecognised: BTreeMap<Vec<String>, (Vec<String>, BTreeSet<String>)>,
}

/// "The application is installed on the device when one of these holds" (section 4).
pub fn recognise(estate: &Estate) -> Recognised {
    let mut found = Recognised::default();
    let mut stays: BTreeSet<(Number, String)> = BTreeSet::new(); // rule, device
    for evidence in &estate.evidence {
        let Some(device) = estate.devices.get(&evidence.device) else { continue };
        let hit: Vec<&Rule> = estate.rules.iter().filter(|rule| hits(rule, evidence, device)).collect();
        if hit.is_empty() {
            add_unrecognised(&mut found, evidence);
        }
        // "only the most specific stay: most literal characters ..., then fewest `%`. All that tie stay."
        let best = hit.iter().map(|rule| specificity(rule, device)).max();
        for rule in hit {
            if Some(specificity(rule, device)) == best {
                stays.insert((rule.rule, device.device.clone()));
            }
        }
    }
    for application in estate.applications.keys() {
        for device in estate.devices.keys() {
            if installed(estate, &stays, application, device) {
                found.installations.insert((application.clone(), device.clone()));
            }
        }
    }
    found
}

fn installed(estate: &Estate, stays: &BTreeSet<(Number, String)>, application: &str, device: &str) -> bool {
    let rules: Vec<&Rule> = estate.rules.iter().filter(|rule| rule.application == application).collect();
    let stays = |rule: &Rule| stays.contains(&(rule.rule, device.to_string()));
    // "1. an installer rule, or a `sufficient` file rule, of it stays for some evidence of the device"
    let sufficient = rules.iter().any(|rule| (rule.kind == "installer" || rule.role == "sufficient") && stays(rule));
    // "2. it has `required` file rules and each of them stays for some evidence of the device"
    let mut required = rules.iter().filter(|rule| rule.kind == "file" && rule.role == "required").peekable();
    sufficient || (required.peek().is_some() && required.all(|rule| stays(rule)))
}

/// The table of section 4: field, and whether `%` is a wildcard there.
fn compared(kind: &str, device: &Device) -> Vec<(&'static str, bool)> {
    if kind == "installer" {
        return vec![("name", true), ("version", true), ("publisher", true), ("type", false)];
    }
    let mut fields = vec![("name", true), ("version", true), ("company", true), ("description", true), ("size", false)];
    // "path with `%` unless the device's `os` begins with `windows`"
    if !fold(&device.os).starts_with("windows") {
        fields.push(("path", true));
    }
    fields
}

/// "`publisher` = `<blank>` in an installer rule is hit only by a blank publisher".
fn must_be_blank(rule: &Rule, field: &str) -> bool {
    rule.kind == "installer" && field == "publisher" && fold(&rule.texts[field]) == "<blank>"
}

fn hits(rule: &Rule, evidence: &Evidence, device: &Device) -> bool {
    rule.kind == evidence.kind
        && compared(rule.kind, device).into_iter().all(|(field, wildcards)| {
            let (wanted, text) = (&rule.texts[field], &evidence.texts[field]);
            // "A blank rule field is not compared."
            if wanted.is_empty() {
                true
            } else if must_be_blank(rule, field) {
                text.is_empty()
            } else if wildcards {
                matches(wanted, text)
            } else {
                fold(wanted) == fold(text)
            }
        })
}

/// Larger is more specific: literal characters, then minus the number of `%`. In a field compared whole `%` is a
/// character like any other.
fn specificity(rule: &Rule, device: &Device) -> (usize, isize) {
    let (mut literals, mut wildcards) = (0, 0);
    for (field, has_wildcards) in compared(rule.kind, device) {
        if must_be_blank(rule, field) {
            continue; // "0 literals"
        }
        for character in fold(&rule.texts[field]).chars() {
            if has_wildcards && character == '%' {
                wildcards += 1;
            } else {
                literals += 1;
            }
        }
    }
    (literals, -wildcards)
}

/// "as first by byte order among equal folded texts" (section 8).
fn add_unrecognised(found: &mut Recognised, evidence: &Evidence) {
    let mut written = vec![evidence.kind.to_string()];
    written.extend(TEXTS.iter().map(|field| evidence.texts[field].clone()));
    let folded = written.iter().map(|text| fold(text)).collect();
    let (first, devices) = found.unrecognised.entry(folded).or_insert_with(|| (written.clone(), BTreeSet::new()));
    if written < *first {
        *first = written;
    }
    devices.insert(evidence.device.clone());
}
