//! Links, levels and candidates (section 5.1).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::cycle::{Edge, lowest_line_on_a_cycle, on_a_cycle};
use super::estate::{Application, Estate};
use super::licences::Licence;
use super::number::Number;
use super::text::{compare_versions, fold};

/// How a licence covers an application.
#[derive(Clone, Debug)]
pub struct Link {
    /// `None` is automatic.
    pub priority: Option<Number>,
    pub supplementary: bool,
    pub ratio: Option<Number>,
}

/// "Links. The rows of license_applications.csv. With `upgrade` (`downgrade`) the licence also covers every application
/// without a row of its own ..." (section 5.1).
pub fn links(estate: &Estate, licence: &Licence) -> BTreeMap<String, Link> {
    let mut links = BTreeMap::new();
    for row in &licence.rows {
        links.insert(row.application.clone(), row.link.clone());
    }
    for (id, application) in &estate.applications {
        if licence.rows.iter().any(|row| row.application == *id) {
            continue;
        }
        // "it gets that row's priority, role and ratio (several rows: smallest priority, blank last, then lowest
        // application id)"
        let covering =
            licence.rows.iter().filter(|row| covers(licence, &estate.applications[&row.application], application));
        let first = covering.min_by_key(|row| (row.link.priority.is_none(), row.link.priority, &row.application));
        if let Some(row) = first {
            links.insert(id.clone(), row.link.clone());
        }
    }
    links
}

/// "has the same publisher, product and edition as a linked one (texts folded as in section 4, product not blank) and a
/// later (earlier) version".
fn covers(licence: &Licence, linked: &Application, other: &Application) -> bool {
    let same = |one: &str, other: &str| fold(one) == fold(other);
    same(&linked.publisher, &other.publisher)
        && same(&linked.product, &other.product)
        && same(&linked.edition, &other.edition)
        && !other.product.is_empty()
        && match compare_versions(&other.version, &linked.version) {
            Ordering::Greater => licence.upgrade,
            Ordering::Less => licence.downgrade,
            Ordering::Equal => false,
        }
}

/// "Level 0: an application that is a member of no suite and supplementary on no licence. Otherwise 1 + the highest level
/// among the suites it is in and the primaries of the licences where it is supplementary. A cycle is exit 2."
pub fn levels(estate: &Estate, licences: &BTreeMap<String, Licence>) -> Result<BTreeMap<String, usize>, String> {
    let mut above: Vec<Edge> =
        estate.suites.iter().map(|(suite, member, line)| (member.clone(), suite.clone(), *line)).collect();
    if let Some(line) = lowest_line_on_a_cycle(&above) {
        return Err(format!("suites.csv:{line} member: the suites go in a circle"));
    }
    let from_licences = primaries_above(estate, licences);
    above.extend(from_licences.clone());
    let circle = on_a_cycle(&above);
    // Every circle left goes through a licence; the lowest row of one is named.
    if let Some(line) = circle.iter().filter(|edge| from_licences.contains(edge)).map(|(_, _, line)| line).min() {
        return Err(format!("license_applications.csv:{line} application: supplementary products go in a circle"));
    }
    let supplementary: BTreeSet<&String> = licences
        .values()
        .flat_map(|licence| licence.links.iter().filter(|(_, link)| link.supplementary).map(|(id, _)| id))
        .collect();
    let mut levels: BTreeMap<String, usize> = estate.applications.keys().map(|id| (id.clone(), 0)).collect();
    // Without a cycle the levels stand still after as many rounds as there are applications.
    for _ in 0..=estate.applications.len() {
        for id in estate.applications.keys() {
            let over: Vec<&String> = above.iter().filter(|(from, _, _)| from == id).map(|(_, to, _)| to).collect();
            let level = match over.iter().map(|id| levels[*id]).max() {
                Some(highest) => 1 + highest,
                // Supplementary on a licence without primaries: 1 + the highest of none.
                None => usize::from(supplementary.contains(id)),
            };
            levels.insert(id.clone(), level);
        }
    }
    Ok(levels)
}

/// For each supplementary link an edge to each primary of the same licence.
fn primaries_above(estate: &Estate, licences: &BTreeMap<String, Licence>) -> Vec<Edge> {
    let mut above = Vec::new();
    for licence in licences.values() {
        for (application, _) in licence.links.iter().filter(|(_, link)| link.supplementary) {
            let line = line_of(estate, licence, application);
            for (primary, _) in licence.links.iter().filter(|(_, link)| !link.supplementary) {
                above.push((application.clone(), primary.clone(), line));
            }
        }
    }
    above
}

/// The line of the application's own row, or of a row it has its link from.
fn line_of(estate: &Estate, licence: &Licence, application: &str) -> usize {
    let own = licence.rows.iter().find(|row| row.application == application);
    let covers = |id: &str| covers(licence, &estate.applications[id], &estate.applications[application]);
    let lent = licence.rows.iter().filter(|row| row.link.supplementary && covers(&row.application));
    own.map(|row| row.line).or(lent.map(|row| row.line).min()).unwrap_or(1)
}

/// "Candidates of an application, in this order" (section 5.1).
pub fn candidates(licences: &BTreeMap<String, Licence>, application: &str, as_of: i64) -> Vec<String> {
    let mut linked: Vec<(&Licence, &Link)> = licences
        .values()
        .filter(|licence| licence.takes_installations())
        .filter_map(|licence| Some((licence, licence.links.get(application)?)))
        .collect();
    linked.sort_by(|one, other| {
        let key = |(licence, link): &(&Licence, &Link)| {
            let multi_product = licence.rows.iter().any(|row| row.link.supplementary);
            let unlimited = link.priority.is_none() && licence.total(as_of).is_none();
            (
                !multi_product,
                licence.true_up,
                !licence.in_engine(),
                link.priority.is_none(),
                link.priority,
                !unlimited,
                licence.license.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    linked.into_iter().map(|(licence, _)| licence.license.clone()).collect()
}
