//! Life of one call to the endpoint, over all its tries.
#![doc = ""]
#![doc = include_str!("attempt.md")]

use std::fmt;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// Waiting before the next transmission.
    Resting,
    /// A token is being fetched.
    Renewing,
    /// Transmitted, no answer yet.
    InFlight,
    /// The answer was lost; waiting before asking whether the call arrived.
    Unsure,
    /// Asked whether it arrived.
    Asking,
    /// Done.
    Accepted,
    /// Not tried again.
    GivenUp,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptEvent {
    /// The wait is over.
    Due,
    /// A token is needed.
    Renew,
    /// The token is here.
    Authorise,
    /// Accepted.
    Accept,
    /// Refused for now.
    Refuse,
    /// The answer is lost. Calls that leave no trace are refused instead: there is nothing to ask for.
    Lose,
    /// It had arrived.
    Find,
    /// It had not arrived.
    Miss,
    /// No further try is allowed, or none can help.
    GiveUp,
}

impl Attempt {
    /// Every state.
    pub const ALL: [Attempt; 7] = [
        Attempt::Resting,
        Attempt::Renewing,
        Attempt::InFlight,
        Attempt::Unsure,
        Attempt::Asking,
        Attempt::Accepted,
        Attempt::GivenUp,
    ];

    /// The state after `event`, or `None` when the event is illegal here.
    pub fn next(self, event: AttemptEvent) -> Option<Attempt> {
        use {Attempt::*, AttemptEvent::*};
        match (self, event) {
            (Resting, Due) => Some(InFlight),
            (Renewing, Authorise) => Some(InFlight),
            // Asked first, so that a segment that did arrive is not sent again.
            (Asking, Miss) => Some(InFlight),
            (Resting | InFlight | Asking, Renew) => Some(Renewing),
            (InFlight, Accept) | (Asking, Find) => Some(Accepted),
            (InFlight | Renewing | Asking, Refuse) | (Renewing | Asking, Lose) => Some(Resting),
            (InFlight, Lose) => Some(Unsure),
            (Unsure, Due) => Some(Asking),
            (Resting | Renewing | InFlight | Unsure | Asking, GiveUp) => Some(GivenUp),
            // Spelt out, so that a new state does not slip through.
            (Resting | Renewing | InFlight | Unsure | Asking | Accepted | GivenUp, _) => None,
        }
    }
}

impl AttemptEvent {
    /// Every event, in the order of the table.
    pub const ALL: [AttemptEvent; 9] = [
        AttemptEvent::Due,
        AttemptEvent::Renew,
        AttemptEvent::Authorise,
        AttemptEvent::Accept,
        AttemptEvent::Refuse,
        AttemptEvent::Lose,
        AttemptEvent::Find,
        AttemptEvent::Miss,
        AttemptEvent::GiveUp,
    ];
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::status::tests::assert_table;

    #[test]
    fn the_table_is_what_the_code_does() {
        let events = AttemptEvent::ALL.map(|event| format!("{event:?}"));
        assert_table(
            include_str!("attempt.md"),
            &events,
            &Attempt::ALL.map(|state| state.to_string()),
            |state, event| Attempt::ALL[state].next(AttemptEvent::ALL[event]).map(|next| next.to_string()),
        );
    }
}
