//! Chains in which each thing points to at most one other: groups to their parents, machines to their hosts.

use super::Number;

/// Things that come back to themselves: of the first chain that does, all in it, ascending. Cost: linear.
pub fn in_cycle(count: usize, next: impl Fn(Number) -> Option<Number>) -> Option<Vec<Number>> {
    // By which walk each was reached; 0: by none yet.
    let mut walks = vec![0_u32; count];
    for (walk, start) in (1..).zip(0..count as Number) {
        let mut at = Some(start);
        while let Some(here) = at.filter(|&here| walks[here as usize] == 0) {
            walks[here as usize] = walk;
            at = next(here);
        }
        let Some(first) = at.filter(|&here| walks[here as usize] == walk) else { continue };
        let mut cycle: Vec<Number> =
            std::iter::successors(next(first), |&here| next(here).filter(|_| here != first)).collect();
        cycle.sort_unstable();
        return Some(cycle);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_comes_back_is_found_without_what_leads_to_it() {
        let check = |next: &[Option<Number>]| in_cycle(next.len(), |at| next[at as usize]);
        assert_eq!(check(&[Some(1), Some(2), Some(3), Some(2)]), Some(vec![2, 3]));
        assert_eq!(check(&[None, Some(1)]), Some(vec![1]));
        assert_eq!(check(&[Some(2), Some(2), None]), None);
        assert_eq!(check(&[]), None);
        let long: Vec<Option<Number>> = (1..=200_000).map(|next| Some(next % 200_000)).collect();
        assert_eq!(check(&long).map(|cycle| cycle.len()), Some(200_000));
    }
}
