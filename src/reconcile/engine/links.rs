//! Which licences cover which applications, in which order they are asked, and in which order applications are offered.
//!
//! Source: reconcile-files reference, section 5.1.

use hashbrown::HashMap;

use crate::model::day::Day;
use crate::model::estate::{Estate, Number};
use crate::model::licensing::{Licensing, Link, Metric, Role, Total};

/// A licence that covers an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The licence.
    pub licence: Number,
    /// What the application is to it.
    pub role: Role,
}

/// See the module's head.
#[derive(Debug)]
pub struct Links {
    /// For each application the licences that cover it, in the order in which they are asked.
    candidates: Vec<Vec<Candidate>>,
    /// For each licence what it covers, ascending by application, versions included.
    covered: Vec<Vec<Link>>,
    /// Applications in the order in which they are offered.
    order: Vec<Number>,
}

/// Applications that need each other to be offered first: a member of a suite that is in the end its member, or a
/// supplementary one that is its own primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// All that wait for themselves, ascending.
    pub applications: Vec<Number>,
}

impl Links {
    /// The links of `licensing`, as of a day: a licence that is unlimited stands before others.
    pub fn new(estate: &Estate, licensing: &Licensing, as_of: Day) -> Result<Links, Cycle> {
        let mut versions = Versions::default();
        let covered: Vec<Vec<Link>> = licensing
            .licences
            .iter()
            .map(|licence| {
                let mut links = licence.links.clone();
                if licence.settings.upgrade || licence.settings.downgrade {
                    links.extend(versions.covered(
                        estate,
                        licence.settings.upgrade,
                        licence.settings.downgrade,
                        &licence.links,
                    ));
                    links.sort_by_key(|link| link.application);
                }
                links
            })
            .collect();
        let mut ranked: Vec<Vec<(Rank, Candidate)>> = vec![Vec::new(); estate.applications.len()];
        for (licence, links) in (0..).zip(&covered) {
            let terms = &licensing.licences[licence as usize];
            if terms.metric.is_some_and(Metric::counts_access) {
                continue;
            }
            let is_unlimited = terms.total(as_of) == Total::Unlimited;
            let is_calculated = terms.metric.is_some_and(Metric::is_calculated);
            // With supplementary products: it stands first for its primaries, too.
            let is_multi_product = terms.links.iter().any(|link| link.role.is_supplementary());
            for link in links {
                let rank = Rank {
                    is_single_product: !is_multi_product,
                    is_true_up: terms.settings.true_up,
                    is_not_calculated: !is_calculated,
                    priority: (link.priority.is_none(), link.priority),
                    is_limited: link.priority.is_none() && !is_unlimited,
                    licence,
                };
                ranked[link.application as usize].push((rank, Candidate { licence, role: link.role }));
            }
        }
        let candidates = ranked.into_iter().map(|mut of_application| {
            of_application.sort_by_key(|&(rank, _)| rank);
            of_application.into_iter().map(|(_, candidate)| candidate).collect()
        });
        let order = order(estate, &covered)?;
        Ok(Links { candidates: candidates.collect(), covered, order })
    }

    /// The licences that cover an application, in the order in which they are asked.
    pub fn candidates(&self, application: Number) -> &[Candidate] {
        &self.candidates[application as usize]
    }

    /// What a licence covers, ascending by application.
    pub fn covered(&self, licence: Number) -> &[Link] {
        &self.covered[licence as usize]
    }

    /// What an application is to a licence.
    pub fn role(&self, licence: Number, application: Number) -> Option<Role> {
        let links = self.covered(licence);
        let place = links.binary_search_by_key(&application, |link| link.application).ok()?;
        Some(links[place].role)
    }

    /// Applications by level, then id: suites before their members, primaries before what is supplementary to them.
    pub fn order(&self) -> &[Number] {
        &self.order
    }
}

/// The order of candidates, field by field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_single_product: bool,
    is_true_up: bool,
    is_not_calculated: bool,
    priority: (bool, Option<u64>),
    is_limited: bool,
    licence: Number,
}

/// Applications by what their versions have in common, made when the first licence asks.
#[derive(Default)]
struct Versions {
    lines: Option<HashMap<[Box<str>; 3], Vec<Number>>>,
}

impl Versions {
    /// Later or earlier versions of what `links` name that have no row of their own.
    fn covered(&mut self, estate: &Estate, upgrade: bool, downgrade: bool, links: &[Link]) -> Vec<Link> {
        let lines = self.lines.get_or_insert_with(|| {
            let mut lines: HashMap<[Box<str>; 3], Vec<Number>> = HashMap::new();
            for (number, application) in (0..).zip(&estate.applications) {
                lines.entry(application.line.clone()).or_default().push(number);
            }
            lines
        });
        let mut found: HashMap<Number, Link> = HashMap::new();
        for link in links {
            let linked = &estate.applications[link.application as usize];
            if linked.line[1].is_empty() {
                continue;
            }
            for &number in lines.get(&linked.line).into_iter().flatten() {
                let order = estate.applications[number as usize].version.cmp(&linked.version);
                let is_covered = (upgrade && order.is_gt()) || (downgrade && order.is_lt());
                if !is_covered || links.binary_search_by_key(&number, |link| link.application).is_ok() {
                    continue;
                }
                let rank = |link: &Link| (link.priority.is_none(), link.priority, link.application);
                let best = found.entry(number).or_insert(*link);
                if rank(link) < rank(best) {
                    *best = *link;
                }
            }
        }
        found.into_iter().map(|(application, link)| Link { application, ..link }).collect()
    }
}

/// Applications by level, then id.
fn order(estate: &Estate, covered: &[Vec<Link>]) -> Result<Vec<Number>, Cycle> {
    let count = estate.applications.len();
    // Edges from what comes first to what waits for it. A licence is a point between its primaries and the others, so
    // that many of both cost their sum and not their product. A point adds nothing to a level.
    let mut after: Vec<Vec<u32>> = vec![Vec::new(); count + covered.len()];
    let mut waits_for = vec![0_u32; count + covered.len()];
    let mut edge = |from: u32, to: u32| {
        after[from as usize].push(to);
        waits_for[to as usize] += 1;
    };
    for &(member, suite) in estate.suites.pairs() {
        edge(suite, member);
    }
    for (point, links) in (count as u32..).zip(covered) {
        if links.iter().any(|link| link.role.is_supplementary()) {
            for link in links {
                if link.role.is_supplementary() { edge(point, link.application) } else { edge(link.application, point) }
            }
        }
    }
    let mut level = vec![0_u32; after.len()];
    let mut ready: Vec<u32> = (0..after.len() as u32).filter(|&at| waits_for[at as usize] == 0).collect();
    while let Some(at) = ready.pop() {
        // Supplementary without any primary is still one above nothing.
        let next = level[at as usize] + u32::from((at as usize) < count);
        for &to in &after[at as usize] {
            let waiting = to as usize;
            let least = if waiting < count { next.max(1) } else { next };
            level[waiting] = level[waiting].max(least);
            waits_for[waiting] -= 1;
            if waits_for[waiting] == 0 {
                ready.push(to);
            }
        }
    }
    if waits_for.iter().any(|&waiting| waiting > 0) {
        return Err(Cycle { applications: in_cycles(count, &after, waits_for) });
    }
    let mut order: Vec<Number> = (0..count as Number).collect();
    order.sort_by_key(|&application| (level[application as usize], application));
    Ok(order)
}

/// Applications that wait for themselves: of all that wait, those that something waits for, again and again.
fn in_cycles(count: usize, after: &[Vec<u32>], mut waits_for: Vec<u32>) -> Vec<Number> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); after.len()];
    let mut holds_up = vec![0_u32; after.len()];
    for (from, all) in (0..).zip(after) {
        for &to in all.iter().filter(|&&to| waits_for[to as usize] > 0) {
            before[to as usize].push(from);
            holds_up[from as usize] += 1;
        }
    }
    let mut free: Vec<usize> = (0..after.len()).filter(|&at| waits_for[at] > 0 && holds_up[at] == 0).collect();
    while let Some(at) = free.pop() {
        waits_for[at] = 0;
        for &from in &before[at] {
            let from = from as usize;
            holds_up[from] -= 1;
            if holds_up[from] == 0 && waits_for[from] > 0 {
                free.push(from);
            }
        }
    }
    (0..count).filter(|&at| waits_for[at] > 0).map(|at| at as Number).collect()
}
