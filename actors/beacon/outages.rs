//! What an operator is told of parents: an outage once when it begins and once when it is over, whatever it was that was
//! asked, and never a line for each try.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use muster::roles::beacon::Parent;
use tracing::{error, info, warn};

/// Parents of which something was told; more than ever are in force.
const TOLD_MAX: usize = 1_000;
/// An operator listener knows none of the addresses that beacons ask.
const HINT: &str =
    "is it the operator port? `parents` names the upload listener (`listen` of the server, 7080 as shipped)";

/// What was asked or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// A package was sent.
    Package,
    /// Policy was asked for.
    Policy,
    /// The status was reported.
    Status,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// An answer with this status.
    Status(u16),
    /// Nothing whole, and why.
    Nothing(&'a str),
}

/// What is news for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Silent,
    Back,
    Circle,
    Unwanted(u16),
    TakenAgain,
}

/// What was told of one parent.
#[derive(Clone, Debug, Default)]
struct Told {
    is_silent: bool,
    /// What had no answer the last time. Where only some questions have none, silence is told once and not in turns with
    /// its end.
    unanswered: BTreeSet<Question>,
    /// Statuses that say that a question or package is not wanted.
    unwanted: BTreeSet<(Question, u16)>,
}

impl Told {
    fn note(&mut self, question: Question, heard: Heard<'_>) -> Vec<News> {
        let Heard::Status(status) = heard else {
            let is_new = self.unanswered.insert(question) && !self.is_silent;
            self.is_silent |= is_new;
            return if is_new { vec![News::Silent] } else { Vec::new() };
        };
        let mut news = Vec::new();
        self.unanswered.remove(&question);
        if std::mem::take(&mut self.is_silent) {
            news.push(News::Back);
        }
        match status {
            // It asks for time, which is no fault.
            429 | 503 => {}
            200..=399 => {
                let before = self.unwanted.len();
                self.unwanted.retain(|(of, _)| *of != question);
                if self.unwanted.len() < before {
                    news.push(News::TakenAgain);
                }
            }
            // What is wrong with one package is told with that package, and the next may be taken.
            400 | 404 | 405 | 409 | 411 | 413 | 414 | 415 | 422 | 431 if question == Question::Package => {}
            _ if !self.unwanted.insert((question, status)) => {}
            508 => news.push(News::Circle),
            _ => news.push(News::Unwanted(status)),
        }
        news
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Outages(Mutex<BTreeMap<Parent, Told>>);

impl Outages {
    /// Tells what is new about `parent`.
    pub(super) fn note(&self, parent: &Parent, question: Question, heard: Heard<'_>) {
        let news = {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() >= TOLD_MAX && !told.contains_key(parent) {
                told.clear();
            }
            told.entry(parent.clone()).or_default().note(question, heard)
        };
        for news in news {
            tell(news, parent, question, heard);
        }
    }
}

fn tell(news: News, parent: &Parent, question: Question, heard: Heard<'_>) {
    let what = match question {
        Question::Package => "packages",
        Question::Policy => "questions for policy",
        Question::Status => "status reports",
    };
    match (news, heard) {
        (News::Back, _) => info!(%parent, "the parent answers again"),
        (News::TakenAgain, _) => info!(%parent, "the parent takes {what} again"),
        (News::Circle, _) => {
            error!(%parent, "the parent would send packages in a circle: mend the parents of one of the two");
        }
        (News::Unwanted(404), _) => warn!(%parent, "the parent answers {what} with 404, packages are kept: {HINT}"),
        (News::Unwanted(status), _) => {
            warn!(%parent, "the parent answers {what} with {status}, packages are kept and tried again");
        }
        (News::Silent, Heard::Nothing(why)) => {
            warn!(%parent, why, "the parent does not answer, packages are kept and tried again");
        }
        (News::Silent, Heard::Status(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Question::*;

    const NONE: Heard<'_> = Heard::Nothing("connection refused");
    const GOOD: Heard<'_> = Heard::Status(200);

    fn news(told: &mut Told, heard: &[(Question, Heard<'_>)]) -> Vec<News> {
        heard.iter().flat_map(|(question, heard)| told.note(*question, *heard)).collect()
    }

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let mut told = Told::default();
        let outage = [(Policy, NONE), (Status, NONE), (Status, NONE), (Package, NONE), (Policy, NONE)];
        assert_eq!(news(&mut told, &outage), [News::Silent]);
        assert_eq!(news(&mut told, &[(Status, GOOD), (Package, GOOD), (Policy, GOOD)]), [News::Back]);
        assert_eq!(news(&mut told, &outage), [News::Silent]);
    }

    #[test]
    fn a_parent_that_answers_only_some_questions_is_not_told_in_turns() {
        let mut told = Told::default();
        let turn = [(Package, GOOD), (Status, NONE)];
        assert_eq!(news(&mut told, &turn), [News::Silent]);
        assert_eq!(news(&mut told, &turn), [News::Back]);
        assert_eq!((news(&mut told, &turn), news(&mut told, &turn)), (vec![], vec![]));
    }

    #[test]
    fn each_status_that_is_none_of_a_parent_is_told_once_until_the_question_is_answered() {
        let mut told = Told::default();
        let (lost, busy) = (Heard::Status(404), Heard::Status(503));
        let wanted = [News::Unwanted(404), News::Unwanted(404), News::Unwanted(403)];
        let first = [(Policy, lost), (Policy, lost), (Policy, busy), (Status, lost), (Status, Heard::Status(403))];
        assert_eq!(news(&mut told, &first), wanted);
        assert_eq!(
            news(&mut told, &[(Status, GOOD), (Policy, lost), (Status, lost)]),
            [News::TakenAgain, News::Unwanted(404)]
        );
        assert_eq!(
            news(&mut told, &[(Policy, Heard::Status(304)), (Package, lost), (Package, GOOD)]),
            [News::TakenAgain]
        );
        assert_eq!(news(&mut told, &[(Package, Heard::Status(508)), (Package, Heard::Status(508))]), [News::Circle]);
    }
}
