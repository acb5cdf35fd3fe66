//! What agents are to send again, as it goes down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::formats::marks::{Mark, marks_text, read_marks};
use crate::id::{Digest, Guid};

/// Most bytes of a list on its way; agents that have no place in it wait until others are done.
pub const RESENDS_BYTES_MAX: usize = 16 << 20;
/// What an agent takes beside its marks: two quoted texts, colon, comma.
const ENTRY_BYTES: usize = 48;

/// Why a list is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ResendsError {
    /// Too long.
    #[error("a list of what is to be sent again has {0} bytes, at most {RESENDS_BYTES_MAX} are read")]
    Large(usize),
    /// Not what a parent answers.
    #[error("a list of what is to be sent again does not read")]
    Json(#[from] serde_json::Error),
}

/// By agent, what it is to send again, as the value of its header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resends {
    agents: BTreeMap<Guid, Box<str>>,
    #[serde(skip)]
    bytes: usize,
}

impl Resends {
    /// Adds what `agent` is to send again, to what it is asked for already; `false` when the list is full.
    pub fn add<'m>(&mut self, agent: Guid, marks: impl IntoIterator<Item = &'m Mark>) -> bool {
        let mut all = self.agents.get(&agent).map(|text| read_marks(text).0).unwrap_or_default();
        all.extend(marks.into_iter().cloned());
        let text = marks_text(&all);
        let known = self.agents.get(&agent).map_or(0, |text| ENTRY_BYTES + 2 * text.len());
        let bytes = self.bytes - known + ENTRY_BYTES + 2 * text.len();
        if text.is_empty() || bytes > RESENDS_BYTES_MAX {
            return text.is_empty();
        }
        self.bytes = bytes;
        self.agents.insert(agent, text.into());
        true
    }

    /// The header of this agent's answer.
    pub fn of(&self, agent: Guid) -> Option<&str> {
        self.agents.get(&agent).map(AsRef::as_ref)
    }

    /// How many agents are asked.
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    /// Whether nobody is asked.
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }

    /// The list as it travels.
    pub fn write(&self) -> Vec<u8> {
        // Texts by GUIDs: there is no case that JSON cannot hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a parent's list. Marks that do not read are left out.
    pub fn read(json: &[u8]) -> Result<Resends, ResendsError> {
        if json.len() > RESENDS_BYTES_MAX {
            return Err(ResendsError::Large(json.len()));
        }
        let told: Resends = serde_json::from_slice(json)?;
        let mut list = Resends::default();
        for (agent, text) in told.agents {
            list.add(agent, &read_marks(&text).0);
        }
        Ok(list)
    }

    /// The ETag of a list that travels as `json`: equal lists have equal ones.
    pub fn etag(json: &[u8]) -> String {
        format!("\"{}\"", &Digest::of(json).to_string()[..32])
    }
}
