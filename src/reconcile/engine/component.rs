//! Offers installations to licences: for each one who takes it.
//!
//! Applications that share a licence, or are in one suite, are settled together; such *components* do not know each other
//! and are settled on as many threads as there are.
//!
//! Source: reconcile-files reference, sections 5.1 and 5.3.

use hashbrown::HashMap;

use super::account::{Account, Persons};
use super::closed::Closed;
use super::context::Context;
use crate::model::estate::Number;
use crate::model::licensing::{Exemption, Role};
use crate::model::reconciliation::{How, Outcome, Reason, Taken, VerdictTable};

/// What became of the installations of an application.
#[derive(Debug, Default)]
pub struct Fates {
    /// For each of its devices, ascending, the code of its verdict. Empty: no licence covers it and it is in no suite.
    pub codes: Vec<u32>,
    /// The verdicts.
    pub table: VerdictTable,
}

/// Applications and licences that have to do with each other.
#[derive(Debug, Default)]
pub struct Component {
    /// In the order in which they are offered.
    pub applications: Vec<Number>,
    /// Ascending.
    pub licences: Vec<Number>,
}

/// What a component came to.
#[derive(Debug)]
pub struct Settled {
    /// By application, in the component's order.
    pub fates: Vec<(Number, Fates)>,
    /// By licence, ascending.
    pub closed: Vec<(Number, Closed)>,
}

/// Not offered yet.
const PENDING: u32 = u32::MAX;

struct Desk<'d, 'c> {
    context: &'d Context<'c>,
    accounts: Vec<Account<'c>>,
    /// Place of each licence's account.
    place: HashMap<Number, usize>,
    fates: HashMap<Number, Fates>,
    persons: Persons,
    scratch: Persons,
    rejected: Vec<(Number, Reason)>,
    /// Code of the last verdict: neighbours mostly share theirs.
    last: u32,
}

impl Component {
    /// Settles all of its installations.
    pub fn settle(&self, context: &Context<'_>) -> Settled {
        let mut desk = Desk {
            accounts: self.licences.iter().map(|&licence| Account::open(context, licence)).collect(),
            place: self.licences.iter().enumerate().map(|(place, &licence)| (licence, place)).collect(),
            fates: HashMap::new(),
            persons: Persons::default(),
            scratch: Persons::default(),
            rejected: Vec::new(),
            last: PENDING,
            context,
        };
        for allocated in [true, false] {
            for &application in &self.applications {
                desk.offer_all(application, allocated);
            }
        }
        desk.apply_second_use(self);
        let Desk { accounts, mut fates, .. } = desk;
        Settled {
            fates: self.applications.iter().filter_map(|application| fates.remove_entry(application)).collect(),
            closed: self
                .licences
                .iter()
                .copied()
                .zip(accounts.into_iter().map(|account| account.close(context)))
                .collect(),
        }
    }
}

impl<'c> Desk<'_, 'c> {
    /// Offers the installations of an application: those that are allocated, or all others.
    fn offer_all(&mut self, application: Number, allocated: bool) {
        let context = self.context;
        let candidates = context.links.candidates(application);
        let is_offered = context.estate.applications[application as usize].licensable;
        let has_suites = context.estate.suites.of(application).next().is_some();
        if !is_offered || (candidates.is_empty() && !has_suites) {
            return;
        }
        let may_be_allocated = candidates.iter().any(|one| self.accounts[self.place[&one.licence]].has_allocations());
        if allocated && !may_be_allocated {
            return;
        }
        let devices = context.estate.installations.of_application(application);
        let mut fates = self.fates.remove(&application).unwrap_or_default();
        fates.codes.resize(devices.len(), PENDING);
        self.last = PENDING;
        // Looked up once for all devices.
        let places: Vec<usize> = candidates.iter().map(|one| self.place[&one.licence]).collect();
        for (place, &device) in devices.iter().enumerate() {
            if fates.codes[place] != PENDING {
                continue;
            }
            let is_allocated = may_be_allocated && {
                let (accounts, persons) = (&self.accounts, &mut self.persons);
                places.iter().any(|&at| accounts[at].is_allocated(context, application, device, persons))
            };
            if is_allocated != allocated {
                continue;
            }
            let with_suite = if has_suites && !allocated { self.with_suite(application, device) } else { None };
            let outcome = match with_suite {
                Some(outcome) => outcome,
                None => self.offer(application, device, &places, allocated),
            };
            fates.codes[place] = fates.table.code(outcome, &self.rejected, self.last);
            self.last = fates.codes[place];
        }
        self.fates.insert(application, fates);
    }

    /// What became of an installation that was offered before; `None`: it is not there.
    fn outcome(&self, application: Number, device: Number) -> Option<Outcome> {
        let devices = self.context.estate.installations.of_application(application);
        let place = devices.binary_search(&device).ok()?;
        let settled = self.fates.get(&application).and_then(|fates| {
            let code = *fates.codes.get(place)?;
            (code != PENDING).then(|| fates.table.verdict(code).outcome)
        });
        let is_licensable = self.context.estate.applications[application as usize].licensable;
        Some(settled.unwrap_or(if is_licensable { Outcome::Unlicensed } else { Outcome::NotLicensable }))
    }

    /// A member goes with its suite on the same device: with the first that was taken, else with the first that is there.
    fn with_suite(&mut self, application: Number, device: Number) -> Option<Outcome> {
        let context = self.context;
        let mut first = None;
        let mut taken = None;
        for suite in context.estate.suites.of(application) {
            let outcome = self.outcome(suite, device);
            first = first.or(outcome);
            if let Some(Outcome::Taken(found)) = outcome {
                taken = Some(found);
                break;
            }
        }
        self.rejected.clear();
        let Some(with) = taken else { return first };
        let role = context.links.role(with.licence, application);
        let account = &mut self.accounts[self.place[&with.licence]];
        let _ = account.persons(context, application, device, &mut self.persons);
        account.take(context, role, (application, device), with.exemption, false, &self.persons);
        Some(Outcome::Taken(Taken { how: How::Suite, ..with }))
    }

    /// Offers one installation to its candidates, whose accounts are at `places`.
    fn offer(&mut self, application: Number, device: Number, places: &[usize], allocated: bool) -> Outcome {
        let context = self.context;
        let candidates = context.links.candidates(application);
        self.rejected.clear();
        let mut taker: Option<(usize, Option<Exemption>)> = None;
        for (candidate, (one, &place)) in candidates.iter().zip(places).enumerate() {
            let account = &self.accounts[place];
            let is_tied = allocated && account.is_allocated(context, application, device, &mut self.scratch);
            if allocated && !is_tied {
                self.rejected.push((one.licence, Reason::AllocatedElsewhere));
                continue;
            }
            if taker.is_some() {
                continue;
            }
            match account.ask(context, one.role, (application, device), allocated, &mut self.persons) {
                Ok(exemption) => taker = Some((candidate, exemption)),
                Err(reason) => {
                    if reason.is_missing_data() {
                        self.accounts[place].miss(device);
                    }
                    self.rejected.push((one.licence, reason));
                }
            }
            if taker.is_some() && !allocated {
                break;
            }
        }
        let mut how = if allocated { How::Allocated } else { How::Priority };
        if taker.is_none()
            && let Some(full) = self.rejected.iter().position(|&(_, reason)| reason == Reason::Full)
        {
            // Over-use belongs to the one that stood first.
            let (licence, _) = self.rejected.remove(full);
            let candidate = candidates.iter().position(|one| one.licence == licence).expect("it was asked");
            let account = &self.accounts[places[candidate]];
            // Who counts, again: others were asked since.
            let _ = account.persons(context, application, device, &mut self.persons);
            (taker, how) = (Some((candidate, None)), How::Overflow);
        }
        let Some((candidate, exemption)) = taker else { return Outcome::Unlicensed };
        let (licence, role) = (candidates[candidate].licence, candidates[candidate].role);
        if allocated {
            // Those behind it that are tied as well were asked for their ties only.
            let account = &self.accounts[places[candidate]];
            let _ = account.persons(context, application, device, &mut self.persons);
        } else if role.is_supplementary() {
            how = How::Supplementary;
        }
        self.take(application, device, places[candidate], licence, role, exemption, how);
        Outcome::Taken(Taken { licence, how, exemption, second_use: false })
    }

    #[allow(clippy::too_many_arguments, reason = "an installation, its taker and how it came to it")]
    fn take(
        &mut self,
        application: Number,
        device: Number,
        place: usize,
        licence: Number,
        role: Role,
        exemption: Option<Exemption>,
        how: How,
    ) {
        let context = self.context;
        // One that was not allocated would have gone with its suite.
        let is_free_member = how == How::Allocated && self.has_suite_in(application, device, licence);
        let is_counted = exemption.is_none() && !role.is_supplementary() && !is_free_member;
        if self.accounts[place].counts_members_first() {
            self.let_go_of_members(application, device, place, licence);
        }
        let account = &mut self.accounts[place];
        account.take(context, Some(role), (application, device), exemption, is_counted, &self.persons);
    }

    /// Whether a suite of `application` on the same device was taken by the same licence.
    fn has_suite_in(&self, application: Number, device: Number, licence: Number) -> bool {
        let mut suites = self.context.estate.suites.of(application);
        suites.any(|suite| {
            let taken = self.outcome(suite, device).and_then(Outcome::taken);
            taken.is_some_and(|taken| taken.licence == licence)
        })
    }

    /// Members of `suite` that this licence counted on the device, because they were allocated and the suite was not.
    fn let_go_of_members(&mut self, suite: Number, device: Number, place: usize, licence: Number) {
        let context = self.context;
        let members =
            context.estate.suites.pairs().iter().filter(|&&(_, known)| known == suite).map(|&(member, _)| member);
        for member in members {
            let Some(Outcome::Taken(taken)) = self.outcome(member, device) else { continue };
            let is_primary = context.links.role(licence, member) == Some(Role::Primary);
            let was_counted =
                taken.licence == licence && taken.exemption.is_none() && taken.how != How::Suite && is_primary;
            if was_counted && !self.has_suite_in(member, device, licence) {
                let _ = self.accounts[place].persons(context, member, device, &mut self.scratch);
                self.accounts[place].give_back(&self.scratch.counted);
            }
        }
    }

    /// Installations on a device that is free because another device of its user counts are exempt.
    fn apply_second_use(&mut self, component: &Component) {
        for (account, &licence) in self.accounts.iter_mut().zip(&component.licences) {
            let devices = account.second_use();
            if devices.is_empty() {
                continue;
            }
            for application in &component.applications {
                let Some(fates) = self.fates.get_mut(application) else { continue };
                let installed = self.context.estate.installations.of_application(*application);
                for device in &devices {
                    let Ok(place) = installed.binary_search(device) else { continue };
                    let verdict = fates.table.verdict(fates.codes[place]);
                    let (outcome, rejected) = (verdict.outcome, verdict.rejected.clone());
                    if let Outcome::Taken(taken) = outcome
                        && taken.licence == licence
                        && taken.exemption.is_none()
                    {
                        let exempt = Taken { exemption: Some(Exemption::SECOND_USE), second_use: true, ..taken };
                        fates.codes[place] = fates.table.code(Outcome::Taken(exempt), &rejected, PENDING);
                        account.add_exempt(1);
                    }
                }
            }
        }
    }
}

/// All applications and licences by what has to do with each other, the ones with most installations first.
pub fn components(context: &Context<'_>) -> Vec<Component> {
    let applications = context.estate.applications.len();
    let mut joined = Joined((0..applications).collect());
    for licence in 0..context.licensing.licences.len() {
        let links = context.links.covered(licence as Number);
        for pair in links.windows(2) {
            joined.join(pair[0].application as usize, pair[1].application as usize);
        }
    }
    for &(member, suite) in context.estate.suites.pairs() {
        joined.join(member as usize, suite as usize);
    }
    let mut by_root: HashMap<usize, usize> = HashMap::new();
    let mut components: Vec<Component> = Vec::new();
    for &application in context.links.order() {
        let place = *by_root.entry(joined.root(application as usize)).or_insert_with(|| {
            components.push(Component::default());
            components.len() - 1
        });
        components[place].applications.push(application);
    }
    let mut alone = Component::default();
    for licence in 0..context.licensing.licences.len() as Number {
        match context.links.covered(licence).first() {
            Some(link) => components[by_root[&joined.root(link.application as usize)]].licences.push(licence),
            None => alone.licences.push(licence),
        }
    }
    components.push(alone);
    // Those without a licence have nothing to settle, unless members share the fate of a suite that needs none.
    let has_member = |&application: &Number| context.estate.suites.of(application).next().is_some();
    components.retain(|component| !component.licences.is_empty() || component.applications.iter().any(has_member));
    let size = |component: &Component| {
        let count = |&application: &Number| context.estate.installations.span(application).len();
        component.applications.iter().map(count).sum::<usize>()
    };
    components.sort_by_cached_key(|component| std::cmp::Reverse(size(component)));
    components
}

/// Which of the things below a bound belong together.
struct Joined(Vec<usize>);

impl Joined {
    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}
