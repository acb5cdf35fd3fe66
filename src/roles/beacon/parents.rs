//! Which parent a beacon sends to: the list in force, the one it stays with, and whether each may be asked at all.
//!
//! Source: delivery contract, section 5, failover; `agent-beacon-batch` reference, section 9.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::sending::PARALLEL_MAX;
use super::vocabulary::{Asked, Parent};
use crate::config::address::{address_parts, base_address};
use crate::rng::RngStream;
use crate::time::{MINUTE_MS, SECOND_MS, Timestamp};
use crate::upload::answer::Verdict;
use crate::upload::backoff::Backoff;
use crate::upload::selector::{Circuit, Health, Sticky};

/// So many packages in a row that a parent has seen already, or that have come too far, tell that it is the parent: anybody
/// can send one such package.
const LOOPS_MAX: u32 = 3;

/// Why a policy's list of parents is not followed: the configured ones count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParentsError {
    /// One of its addresses is none, or not allowed here. A list is followed whole or not at all.
    #[error("{0}")]
    Address(String),
    /// It names this beacon only.
    #[error("it names nobody but this beacon itself")]
    OnlyItself,
}

/// The parents in force, in order: those that policy names for this beacon, then the configured ones as the last resort, so
/// that a wrong list cuts nobody off. None of `own`, the addresses of this beacon. Never empty, because `configured` is
/// not. What is wrong with `wanted` is told beside.
pub fn parents_in_force(
    configured: &[String],
    wanted: &[String],
    own: &[String],
    allow_plain: bool,
) -> (Arc<[Parent]>, Option<ParentsError>) {
    let is_own = |address: &str| own.iter().any(|own| address_parts(own) == address_parts(address));
    let checked: Result<Vec<String>, String> = wanted.iter().map(|parent| base_address(parent, allow_plain)).collect();
    let (mut list, error) = match checked {
        Err(problem) => (Vec::new(), Some(ParentsError::Address(problem))),
        Ok(mut list) => {
            list.retain(|parent| !is_own(parent));
            let error = (list.is_empty() && !wanted.is_empty()).then_some(ParentsError::OnlyItself);
            (list, error)
        }
    };
    list.extend(configured.iter().map(|parent| parent.trim_end_matches('/').to_owned()));
    let mut seen = BTreeSet::new();
    list.retain(|parent| seen.insert(parent.clone()));
    (list.iter().map(|parent| Parent(parent.as_str().into())).collect(), error)
}

/// What is known of one parent.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// By what became of packages.
    packages: Health,
    /// By what became of questions, which a link may carry although it carries no package.
    questions: Health,
    /// It asked to be left alone until then, or is full, or would send packages in a circle.
    busy_until: Timestamp,
    /// How often in a row it was full or a circle: the exponent of the next wait.
    turned_away: u32,
    /// Packages in a row that would go in a circle by its word. One alone is the package's fault.
    loops: u32,
    /// It asked for time, was full or a circle, or did not accept this beacon, and has taken nothing since: only what is
    /// sent from then on can tell that it takes again.
    is_away: bool,
    /// Forwards that may be under way to it: one while it is away or down, one more with each that it takes.
    room: usize,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            packages: Health::default(),
            questions: Health::default(),
            busy_until: Timestamp(i64::MIN),
            turned_away: 0,
            loops: 0,
            is_away: false,
            room: PARALLEL_MAX,
        }
    }
}

impl Known {
    fn lets_pass(&self, now: Timestamp) -> bool {
        now >= self.busy_until && self.packages.lets_pass(now) && self.questions.lets_pass(now)
    }

    fn is_closed(&self) -> bool {
        [self.packages, self.questions].iter().all(|health| health.circuit() == Circuit::Closed)
    }

    fn is_sound(&self) -> bool {
        !self.is_away && self.packages.is_sound() && self.questions.is_sound()
    }

    /// It is full, or would send in a circle.
    fn turn_away(&mut self, now: Timestamp, rng: &mut RngStream) {
        // Those that were under way when the first was turned away say nothing new.
        if now >= self.busy_until {
            let wait = Backoff::BEACON.wait_ms(self.turned_away, rng);
            self.busy_until = now.plus_ms(wait.max(SECOND_MS));
            self.turned_away = self.turned_away.saturating_add(1);
        }
        self.is_away = true;
    }
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether a final refusal is the package's fault and not the link's.
    pub(super) is_fair: bool,
    /// Whether the parent is back after failures.
    pub(super) is_back: bool,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Parents {
    list: Arc<[Parent]>,
    known: Vec<Known>,
    sticky: Sticky,
}

impl Parents {
    /// Begins with the first of `list`, which is not empty.
    pub(super) fn new(list: Arc<[Parent]>, now: Timestamp) -> Parents {
        let sticky = in_order(&list, now);
        Parents { known: vec![Known::default(); list.len()], list, sticky }
    }

    /// Goes on with another list, from its first; what is known of a parent that is in both stays. Whether it is another.
    pub(super) fn follow(&mut self, list: Arc<[Parent]>, now: Timestamp) -> bool {
        if list == self.list || list.is_empty() {
            return false;
        }
        let known = |parent: &Parent| self.place(parent).map(|place| self.known[place]).unwrap_or_default();
        self.known = list.iter().map(known).collect();
        self.sticky = in_order(&list, now);
        self.list = list;
        true
    }

    fn place(&self, parent: &Parent) -> Option<usize> {
        self.list.iter().position(|known| known == parent)
    }

    fn at(&self, place: u16) -> Known {
        self.known.get(usize::from(place)).copied().unwrap_or_default()
    }

    /// The parent for the next package, and whether it gets one at a time because it failed before. `None` while none may
    /// be asked.
    pub(super) fn next(&self, now: Timestamp) -> Option<(Parent, bool)> {
        let place = self.sticky.pass(now).find(|place| self.at(*place).lets_pass(now))?;
        let known = self.at(place);
        let is_probe = known.is_away || !known.is_closed();
        Some((self.list[usize::from(place)].clone(), is_probe))
    }

    /// Forwards that may be under way while the next one is for `parent`.
    pub(super) fn room(&self, parent: &Parent) -> usize {
        self.place(parent).map_or(1, |place| self.known[place].room)
    }

    /// The parent for a question, which is asked also while no package may be sent.
    pub(super) fn for_question(&self, now: Timestamp) -> Parent {
        if let Some((parent, _)) = self.next(now) {
            return parent;
        }
        let hears = self.sticky.pass(now).find(|place| self.at(*place).questions.lets_pass(now));
        self.list[usize::from(hears.unwrap_or_else(|| self.sticky.first(now)))].clone()
    }

    /// The soonest moment at which some parent may be asked again; a second from `now` at the soonest.
    pub(super) fn free_at(&self, now: Timestamp) -> Timestamp {
        let passes_at = |health: &Health| match health.circuit() {
            Circuit::Closed => now,
            Circuit::Open => health.next_probe().unwrap_or(now),
            // Its probe is on its way, and may take a minute.
            Circuit::HalfOpen => now.plus_ms(MINUTE_MS),
        };
        let free = |known: &Known| known.busy_until.max(passes_at(&known.packages)).max(passes_at(&known.questions));
        self.known.iter().map(free).min().unwrap_or(now).max(now.plus_ms(SECOND_MS))
    }

    /// A package is on its way to `parent`.
    pub(super) fn sent(&mut self, now: Timestamp, parent: &Parent) {
        let Some(place) = self.place(parent) else { return };
        let Known { packages, questions, .. } = &mut self.known[place];
        // It asks whether there is anybody as well as a question does.
        for health in [packages, questions] {
            if health.lets_pass(now) {
                health.sent();
            }
        }
    }

    /// A question is on its way to `parent`.
    pub(super) fn asked(&mut self, now: Timestamp, parent: &Parent) {
        if let Some(place) = self.place(parent)
            && self.known[place].questions.lets_pass(now)
        {
            self.known[place].questions.sent();
        }
    }

    /// A package that was on its way was not sent after all.
    pub(super) fn abandoned(&mut self, parent: &Parent) {
        if let Some(place) = self.place(parent) {
            self.known[place].packages.abandoned();
            self.known[place].questions.abandoned();
        }
    }

    /// A package was answered, or not. `is_probe`: it was sent alone, after what the parent did before.
    pub(super) fn answered(
        &mut self,
        now: Timestamp,
        parent: &Parent,
        verdict: Verdict,
        is_probe: bool,
        rng: &mut RngStream,
    ) -> Change {
        let Some(place) = self.place(parent) else {
            // A parent of an earlier list judges nobody any more.
            return Change { is_fair: false, is_back: false };
        };
        let known = &mut self.known[place];
        let was_sound = known.is_sound();
        let is_fair = known.packages.answered(now, verdict, Backoff::BEACON, rng);
        if known.questions.circuit() != Circuit::Closed {
            known.questions.answered(now, verdict, Backoff::BEACON, rng);
        }
        match verdict {
            Verdict::Delivered => {
                known.questions = Health::default();
                known.loops = 0;
                if is_probe {
                    (known.turned_away, known.is_away) = (0, false);
                }
                if !known.is_away {
                    known.room = (known.room + 1).min(PARALLEL_MAX);
                }
                let is_back = !was_sound && !known.is_away;
                self.sticky.succeeded(now, place as u16, rng);
                return Change { is_fair, is_back };
            }
            // Busy, not broken: everything waits as long as it asks.
            Verdict::Later { retry_after_ms, broken: false } => {
                let wait = retry_after_ms.unwrap_or_else(|| Backoff::BEACON.wait_ms(0, rng));
                known.busy_until = known.busy_until.max(now.plus_ms(wait.max(SECOND_MS)));
                known.is_away = true;
            }
            Verdict::Loop => {
                known.loops = known.loops.saturating_add(1);
                if known.loops >= LOOPS_MAX {
                    known.turn_away(now, rng);
                }
            }
            Verdict::Full => known.turn_away(now, rng),
            Verdict::Unidentified | Verdict::Revoked => known.is_away = true,
            Verdict::Later { .. } | Verdict::Refused => {}
        }
        if known.is_away || !known.is_closed() {
            known.room = 1;
        }
        if !known.is_closed() {
            self.sticky.failed(place as u16);
        }
        Change { is_fair, is_back: false }
    }

    /// A question was answered, or not. An answer tells that the parent is there, and nothing of whether it gets and takes
    /// packages: after a silence it lets a probe pass at once, and only what comes of that closes the circuit.
    pub(super) fn question_answered(&mut self, now: Timestamp, parent: &Parent, asked: Asked, rng: &mut RngStream) {
        let Some(place) = self.place(parent) else { return };
        let known = &mut self.known[place];
        match asked {
            Asked::Answered => {
                if !known.questions.is_sound() {
                    known.packages.hurry(now);
                }
                known.questions = Health::default();
                if known.is_sound() {
                    self.sticky.succeeded(now, place as u16, rng);
                }
            }
            // It has no answer yet, which says nothing of packages.
            Asked::Busy { .. } | Asked::Loop => {
                let busy = Verdict::Later { retry_after_ms: None, broken: false };
                known.questions.answered(now, busy, Backoff::BEACON, rng);
                if asked == Asked::Loop {
                    known.turn_away(now, rng);
                }
            }
            Asked::Failed => {
                let silent = Verdict::Later { retry_after_ms: None, broken: true };
                known.questions.answered(now, silent, Backoff::BEACON, rng);
                if known.questions.circuit() == Circuit::Open {
                    self.sticky.failed(place as u16);
                }
            }
        }
    }

    /// The clock was set back by so many milliseconds.
    pub(super) fn step_back(&mut self, ms: i64) {
        self.sticky.step_back(ms);
        for known in &mut self.known {
            known.packages.step_back(ms);
            known.questions.step_back(ms);
            known.busy_until = known.busy_until.plus_ms(ms.saturating_neg());
        }
    }
}

/// Places are the list's; nothing is measured and nothing ordered anew, so the number of the list is always the same.
fn in_order(list: &Arc<[Parent]>, now: Timestamp) -> Sticky {
    let places: Arc<[u16]> = (0..u16::try_from(list.len()).unwrap_or(u16::MAX)).collect();
    Sticky::new(places, 0, now).expect("a beacon has a parent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn in_force(wanted: &[&str], allow_plain: bool) -> (Vec<String>, Option<String>) {
        let own = strings(&["http://127.0.0.1:7081", "https://b1.lab:7081"]);
        let (list, error) =
            parents_in_force(&strings(&["http://127.0.0.1:7080/"]), &strings(wanted), &own, allow_plain);
        (list.iter().map(|parent| parent.0.to_string()).collect(), error.map(|error| error.to_string()))
    }

    #[test]
    fn a_list_of_policy_goes_before_the_configured_parents_which_stay_the_last_resort() {
        let (list, error) = in_force(&["https://p1.lab", "http://127.0.0.1:7080", "https://p1.lab/"], false);
        assert_eq!((list, error), (strings(&["https://p1.lab", "http://127.0.0.1:7080"]), None));
        assert_eq!(in_force(&[], false), (strings(&["http://127.0.0.1:7080"]), None));
    }

    #[test]
    fn a_list_with_an_address_that_may_not_be_used_is_not_followed_at_all() {
        let (list, error) = in_force(&["https://p1.lab", "http://p2.lab"], false);
        assert_eq!(list, strings(&["http://127.0.0.1:7080"]));
        assert!(error.unwrap().contains("allow_plain"));
        assert_eq!(in_force(&["http://p2.lab"], true).0.len(), 2);
        assert!(in_force(&["p2.lab"], true).1.is_some());
    }

    #[test]
    fn a_beacon_is_never_its_own_parent() {
        let (list, error) = in_force(&["https://b1.lab:7081/", "https://p1.lab"], false);
        assert_eq!((list.len(), error), (2, None));
        let (list, error) = in_force(&["http://127.0.0.1:7081"], false);
        assert_eq!(list, strings(&["http://127.0.0.1:7080"]));
        assert!(error.unwrap().contains("itself"));
    }

    fn two() -> (Parents, [Parent; 2], RngStream) {
        let names = ["http://a", "http://b"].map(|name| Parent(name.into()));
        (Parents::new(names.clone().into(), Timestamp(0)), names, RngStream::new(4, 4, 0))
    }

    #[test]
    fn a_parent_that_would_send_in_a_circle_or_is_full_is_left_and_gets_one_package_later() {
        for verdict in [Verdict::Full, Verdict::Loop] {
            let (mut parents, [a, b], mut rng) = two();
            for _ in 0..LOOPS_MAX {
                assert_eq!(parents.next(Timestamp(0)), Some((a.clone(), false)), "one circle is the package's fault");
                parents.answered(Timestamp(0), &a, verdict, false, &mut rng);
                if verdict == Verdict::Full {
                    break;
                }
            }
            assert_eq!(parents.next(Timestamp(0)), Some((b.clone(), false)), "{verdict:?}");
            assert_eq!(parents.for_question(Timestamp(0)), b);
            // Nobody took anything at the other one, so the first is asked again after its wait.
            assert_eq!(parents.next(Timestamp(MINUTE_MS)), Some((a.clone(), true)));
            let change = parents.answered(Timestamp(MINUTE_MS), &a, Verdict::Delivered, true, &mut rng);
            assert!(change.is_back);
            assert_eq!(parents.next(Timestamp(MINUTE_MS)), Some((a, false)));
        }
    }

    #[test]
    fn questions_alone_find_a_parent_that_answers_and_stay_with_it() {
        let (mut parents, [a, b], mut rng) = two();
        for minute in 0..3 {
            let now = Timestamp(minute * MINUTE_MS);
            assert_eq!(parents.for_question(now), a);
            parents.asked(now, &a);
            parents.question_answered(now, &a, Asked::Failed, &mut rng);
        }
        let now = Timestamp(2 * MINUTE_MS + 1);
        assert_eq!(parents.for_question(now), b);
        parents.question_answered(now, &b, Asked::Answered, &mut rng);
        assert_eq!(parents.for_question(now.plus_ms(9 * MINUTE_MS)), b);
        let later = now.plus_ms(25 * MINUTE_MS);
        assert_eq!(parents.for_question(later), a);
        parents.asked(later, &a);
        parents.question_answered(later, &a, Asked::Answered, &mut rng);
        assert_eq!(parents.next(later), Some((a, false)));
    }

    #[test]
    fn answers_that_are_of_no_use_stop_no_package() {
        let (mut parents, [a, _], mut rng) = two();
        for minute in 0..20 {
            let now = Timestamp(minute * MINUTE_MS);
            parents.asked(now, &a);
            parents.question_answered(now, &a, Asked::Busy { retry_after_ms: None }, &mut rng);
            assert_eq!(parents.next(now), Some((a.clone(), false)));
        }
    }

    #[test]
    fn a_busy_parent_gets_one_package_after_its_wait_and_is_back_with_what_was_sent_then_only() {
        for verdict in [Verdict::Later { retry_after_ms: Some(9_000), broken: false }, Verdict::Unidentified] {
            let (mut parents, [a, _], mut rng) = two();
            parents.follow([a.clone()].into(), Timestamp(0));
            assert_eq!(parents.room(&a), PARALLEL_MAX);
            parents.answered(Timestamp(0), &a, verdict, false, &mut rng);
            // This one was under way before.
            let change = parents.answered(Timestamp(1), &a, Verdict::Delivered, false, &mut rng);
            assert!(!change.is_back, "{verdict:?}");
            let now = Timestamp(9_000);
            assert_eq!((parents.next(now), parents.room(&a)), (Some((a.clone(), true)), 1));
            assert!(parents.answered(now, &a, Verdict::Delivered, true, &mut rng).is_back);
            assert_eq!((parents.next(now), parents.room(&a)), (Some((a.clone(), false)), 2));
        }
    }

    #[test]
    fn a_link_that_carries_questions_but_no_packages_gets_probes_and_no_more() {
        let (mut parents, [a, _], mut rng) = two();
        parents.follow([a.clone()].into(), Timestamp(0));
        let broken = Verdict::Later { retry_after_ms: None, broken: true };
        let mut sent = 0;
        for second in 0..3_600 {
            let now = Timestamp(second * SECOND_MS);
            parents.asked(now, &a);
            parents.question_answered(now, &a, Asked::Answered, &mut rng);
            while let Some((to, _)) = parents.next(now) {
                parents.sent(now, &to);
                assert_eq!(
                    parents.answered(now, &to, broken, false, &mut rng),
                    Change { is_fair: true, is_back: false }
                );
                sent += 1;
            }
        }
        assert!((4..40).contains(&sent), "three, and a probe for each wait of up to 15 minutes: {sent}");
    }

    #[test]
    fn a_parent_that_answers_questions_again_after_a_silence_gets_a_probe_at_once() {
        let (mut parents, [a, _], mut rng) = two();
        parents.follow([a.clone()].into(), Timestamp(0));
        let broken = Verdict::Later { retry_after_ms: None, broken: true };
        for _ in 0..3 {
            parents.answered(Timestamp(0), &a, broken, false, &mut rng);
            parents.question_answered(Timestamp(0), &a, Asked::Failed, &mut rng);
        }
        let now = Timestamp(1);
        assert_eq!(parents.next(now), None);
        parents.question_answered(now, &a, Asked::Answered, &mut rng);
        assert_eq!(parents.next(now), Some((a.clone(), true)));
        parents.sent(now, &a);
        assert_eq!(parents.next(now), None, "one");
        assert!(parents.answered(now, &a, Verdict::Delivered, true, &mut rng).is_back);
        assert_eq!(parents.next(now), Some((a, false)));
    }

    #[test]
    fn a_new_list_is_followed_from_its_first_and_keeps_what_is_known() {
        let (mut parents, [a, b], mut rng) = two();
        let c = Parent("http://c".into());
        for _ in 0..3 {
            parents.answered(Timestamp(0), &a, Verdict::Later { retry_after_ms: None, broken: true }, false, &mut rng);
        }
        assert!(parents.follow([c.clone(), a.clone()].into(), Timestamp(0)));
        assert!(
            !parents.follow([c.clone(), a.clone()].into(), Timestamp(0)) && !parents.follow([].into(), Timestamp(0))
        );
        assert_eq!(parents.next(Timestamp(0)), Some((c.clone(), false)));
        parents.answered(Timestamp(0), &c, Verdict::Full, false, &mut rng);
        assert_eq!(parents.next(Timestamp(0)), None, "the other is still down");
        let change = parents.answered(Timestamp(0), &b, Verdict::Refused, false, &mut rng);
        assert!(!change.is_fair, "one that is no parent any more");
    }
}
