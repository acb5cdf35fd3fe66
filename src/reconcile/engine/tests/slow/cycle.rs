//! Circles: "a cycle in groups, hosts or suites" is exit 2 (section 1).

use std::collections::BTreeSet;

/// From, to, line.
pub type Edge = (String, String, usize);

/// The edges whose end leads back to their beginning. Nothing leads on from a blank.
pub fn on_a_cycle(edges: &[Edge]) -> Vec<&Edge> {
    let closes = |(from, to, _): &&Edge| {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![to];
        while let Some(here) = ahead.pop() {
            if !here.is_empty() && reached.insert(here) {
                ahead.extend(edges.iter().filter(|(start, _, _)| start == here).map(|(_, end, _)| end));
            }
        }
        reached.contains(from)
    };
    edges.iter().filter(closes).collect()
}

/// The lowest line of these edges, if there are any.
pub fn lowest_line_on_a_cycle(edges: &[Edge]) -> Option<usize> {
    on_a_cycle(edges).iter().map(|(_, _, line)| *line).min()
}
