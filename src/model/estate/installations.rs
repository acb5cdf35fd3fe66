//! Which application is installed where: for each application its devices, ascending. Four bytes an installation.
//!
//! Source: reconcile-files reference, section 4: an installation is a pair (application, device).

use rayon::prelude::*;

use super::Number;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub struct Installations {
    /// Where the devices of each application begin; one more entry than applications.
    starts: Vec<usize>,
    devices: Vec<Number>,
}

/// An installation as it is read: application, device.
pub type Pair = (Number, Number);

impl Installations {
    /// Installations of `applications` applications from pieces in any order, with repetitions. Pieces are let go one by
    /// one as they are sorted in, so both are never held whole.
    pub fn of(applications: usize, mut pieces: Vec<Vec<Pair>>) -> Installations {
        let mut starts = vec![0; applications + 1];
        for (application, _) in pieces.iter().flatten() {
            starts[*application as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut devices = vec![0; starts[applications]];
        let mut next = starts.clone();
        // In their order, because what was sorted in its file stays sorted here.
        pieces.reverse();
        while let Some(piece) = pieces.pop() {
            for (application, device) in piece {
                let place = &mut next[application as usize];
                devices[*place] = device;
                *place += 1;
            }
        }
        sorted(starts, devices)
    }

    /// The same with other devices: `device` gives the new number of a device that has an application, in the same order;
    /// `None`: it has it no more.
    pub fn mapped(&self, device: impl Fn(Number, Number) -> Option<Number>) -> Installations {
        let (mut starts, mut devices) = (vec![0; self.starts.len()], Vec::new());
        for application in 0..self.applications() {
            let number = application as Number;
            devices.extend(self.of_application(number).iter().filter_map(|&old| device(number, old)));
            starts[application + 1] = devices.len();
        }
        Installations { starts, devices }
    }

    /// How many applications there may be.
    pub fn applications(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The devices with `application`, ascending.
    pub fn of_application(&self, application: Number) -> &[Number] {
        &self.devices[self.span(application)]
    }

    /// Where the installations of `application` stand among all, which are ordered by application, then device.
    pub fn span(&self, application: Number) -> std::ops::Range<usize> {
        self.starts[application as usize]..self.starts[application as usize + 1]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// Whether `application` is installed on `device`.
    pub fn has(&self, application: Number, device: Number) -> bool {
        self.of_application(application).binary_search(&device).is_ok()
    }
}

/// Sorts the devices of each application and takes repetitions away.
fn sorted(mut starts: Vec<usize>, mut devices: Vec<Number>) -> Installations {
    let mut lists: Vec<&mut [Number]> = Vec::with_capacity(starts.len());
    let mut rest = devices.as_mut_slice();
    for pair in starts.windows(2) {
        let (list, others) = rest.split_at_mut(pair[1] - pair[0]);
        lists.push(list);
        rest = others;
    }
    let is_distinct = |list: &[Number]| list.is_sorted_by(|a, b| a < b);
    let repeated: Vec<bool> = lists
        .par_iter_mut()
        .map(|list| {
            if is_distinct(list) {
                return false;
            }
            list.sort_unstable();
            !is_distinct(list)
        })
        .collect();
    if repeated.contains(&true) {
        let (mut to, mut start) = (0, 0);
        for application in 0..repeated.len() {
            let end = starts[application + 1];
            let first = to;
            for from in start..end {
                if to == first || devices[to - 1] != devices[from] {
                    devices[to] = devices[from];
                    to += 1;
                }
            }
            (start, starts[application + 1]) = (end, to);
        }
        devices.truncate(to);
        devices.shrink_to_fit();
    }
    Installations { starts, devices }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_pair_is_there_once_whatever_the_order(pieces in prop::collection::vec(prop::collection::vec((0..5_u32, 0..9_u32), 0..9), 0..5)) {
            let mut wanted: Vec<Pair> = pieces.iter().flatten().copied().collect();
            wanted.sort_unstable();
            wanted.dedup();
            let found = Installations::of(5, pieces);
            let pairs = (0..5).flat_map(|application| found.of_application(application).iter().map(move |&device| (application, device)));
            prop_assert_eq!(pairs.collect::<Vec<_>>(), wanted.clone());
            prop_assert_eq!(found.count(), wanted.len());
            prop_assert!(wanted.iter().all(|&(application, device)| found.has(application, device)));
        }
    }
}
