//! A move: cells of the licence side that are written otherwise.

use hashbrown::HashSet;

use super::{Priority, Step};
use crate::model::estate::Number;
use crate::model::licensing::{Allocated, Allocation, AllocationKind, Licensing};
use crate::reconcile::engine::{Context, Reconciled};

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Move {
    /// A licence is asked first for an application.
    Order {
        /// The application.
        application: Number,
        /// The licence.
        licence: Number,
    },
    /// Devices are allocated to a licence, and no longer to the one that has their installations.
    Allocate {
        /// To this licence.
        licence: Number,
        /// The one that has their installations; `None`: no licence has.
        from: Option<Number>,
        /// These.
        devices: Vec<Number>,
    },
}

/// How often a move of devices is tried with half as many.
const HALVES: u32 = 3;

impl Move {
    /// The move, and after it the same with fewer devices.
    pub fn shrinking(&self) -> Vec<Move> {
        match self {
            Move::Order { .. } => vec![self.clone()],
            Move::Allocate { licence, from, devices } => {
                let mut counts: Vec<usize> = (0..=HALVES).map(|halves| devices.len() >> halves).collect();
                counts.retain(|&count| count > 0);
                counts.dedup();
                let of = |count: usize| devices[..count].to_vec();
                counts
                    .into_iter()
                    .map(|count| Move::Allocate { licence: *licence, from: *from, devices: of(count) })
                    .collect()
            }
        }
    }

    /// Makes it.
    pub fn make(&self, context: &Context<'_>, licensing: &mut Licensing) {
        match self {
            Move::Order { application, licence } => {
                for candidate in context.links.candidates(*application) {
                    let links = &mut licensing.licences[candidate.licence as usize].links;
                    let Some(link) = links.iter_mut().find(|link| link.application == *application) else { continue };
                    link.priority = if candidate.licence == *licence {
                        Some(1)
                    } else {
                        // Behind it, in the order in which they stood.
                        link.priority.map(|priority| priority.saturating_add(1).max(2))
                    };
                }
            }
            Move::Allocate { licence, from, devices } => {
                let moved: HashSet<Number> = devices.iter().copied().collect();
                let is_moved =
                    |one: &Allocation| matches!(one.to, Allocated::Device(device) if moved.contains(&device));
                if let Some(from) = from {
                    licensing.licences[*from as usize].allocations.retain(|one| !is_moved(one));
                }
                let allocations = &mut licensing.licences[*licence as usize].allocations;
                allocations.retain(|one| !is_moved(one));
                allocations.extend(devices.iter().map(|&device| Allocation {
                    to: Allocated::Device(device),
                    kind: AllocationKind::Allocated,
                    exemption: None,
                }));
            }
        }
    }

    /// The move by ids; `licensing` is that after it.
    pub fn told(&self, found: &Reconciled<'_>, licensing: &Licensing) -> Step {
        let (context, name) = (found.context(), |licence: Number| licensing.ids.name(licence).to_owned());
        match self {
            Move::Order { application, licence } => {
                let cell =
                    |licensing: &Licensing, licence: usize| licensing.licences[licence].link(*application).copied();
                let priorities = (0..licensing.licences.len()).filter_map(|at| {
                    let (before, after) = (cell(context.licensing, at)?.priority, cell(licensing, at)?.priority);
                    (before != after).then(|| Priority { license: name(at as Number), before, after })
                });
                Step::Order {
                    application: context.estate.application_ids.name(*application).to_owned(),
                    license: name(*licence),
                    priorities: priorities.collect(),
                }
            }
            Move::Allocate { licence, from, devices } => {
                let device = |device: &Number| context.estate.device_ids.name(*device).to_owned();
                let mut devices: Vec<String> = devices.iter().map(device).collect();
                devices.sort_unstable();
                Step::Allocate { license: name(*licence), from: from.map(name), devices }
            }
        }
    }
}
