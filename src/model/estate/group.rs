//! Enterprise groups: a forest, in which a licence is scoped to a group and all below it.
//!
//! Source: reconcile-files reference, sections 1 (cycles are refused) and 2 (a group that is not listed is a root).

use super::{Ids, Number, in_cycle};

/// Groups, each with its parent. Asking whether one lies below another costs two comparisons.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    ids: Ids,
    /// For each group where it stands in a walk from parents to children, and where its last descendant does.
    spans: Vec<(Number, Number)>,
}

impl Groups {
    /// The groups `ids` with the parents of some, each at most one; the error has those that lie below themselves.
    pub fn new(ids: Ids, parents: &[(Number, Number)]) -> Result<Groups, Vec<Number>> {
        let count = ids.len();
        let (mut children, mut is_child) = (vec![Vec::new(); count], vec![false; count]);
        for &(child, parent) in parents {
            children[parent as usize].push(child);
            is_child[child as usize] = true;
        }
        let mut spans = vec![(Number::MAX, 0); count];
        let mut next = 0;
        for root in (0..count as Number).filter(|&root| !is_child[root as usize]) {
            // A walk with its own stack: how deep groups go is up to a file.
            let mut stack = vec![(root, false)];
            while let Some((group, is_left)) = stack.pop() {
                if is_left {
                    spans[group as usize].1 = next - 1;
                    continue;
                }
                spans[group as usize].0 = next;
                next += 1;
                stack.push((group, true));
                stack.extend(children[group as usize].iter().map(|&child| (child, false)));
            }
        }
        if spans.iter().all(|&(entered, _)| entered != Number::MAX) {
            return Ok(Groups { ids, spans });
        }
        let mut above = vec![None; count];
        parents.iter().for_each(|&(child, parent)| above[child as usize] = Some(parent));
        // No root leads to what lies below itself.
        Err(in_cycle(count, |group| above[group as usize]).unwrap_or_default())
    }

    /// Their ids.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Whether `group` is `top` or below it.
    pub fn is_within(&self, group: Number, top: Number) -> bool {
        let (first, last) = self.spans[top as usize];
        (first..=last).contains(&self.spans[group as usize].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_within_itself_and_all_above_it() {
        let ids = Ids::of(["all", "east", "north", "south", "west"]);
        let [all, east, north, south, west] = [0, 1, 2, 3, 4];
        let groups = Groups::new(ids, &[(north, all), (south, all), (east, north)]).unwrap();
        for (group, top, within) in [
            (east, all, true),
            (east, north, true),
            (east, south, false),
            (all, east, false),
            (west, west, true),
            (west, all, false),
        ] {
            assert_eq!(groups.is_within(group, top), within, "{group} in {top}");
        }
    }

    #[test]
    fn a_cycle_is_told() {
        assert_eq!(Groups::new(Ids::of(["a", "b", "c"]), &[(1, 2), (2, 1)]).err(), Some(vec![1, 2]));
        assert_eq!(
            Groups::new(Ids::of(["a", "b", "c"]), &[(0, 1), (1, 2), (2, 1)]).err(),
            Some(vec![1, 2]),
            "not what hangs below"
        );
        assert_eq!(Groups::new(Ids::of(["a"]), &[(0, 0)]).err(), Some(vec![0]));
    }
}
