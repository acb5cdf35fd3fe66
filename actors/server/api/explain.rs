//! `GET /devices/{id}/explain`: for each pair of records the Matcher that joined them, and why those before did not.
//!
//! Judged by the Matchers of today and the records as they are staged now. A pair costs one pass over the Matchers and
//! a device with many records has many pairs, so this is a list like others: `limit` pairs a page.

use muster::matching::explain::{Compared, Explanation, Failed, FailedBy, Joined, Tried, explain_pair};
use muster::matching::{Record, sentences};
use serde_json::{Value, json};

use super::device::{id, missing, record};
use super::listing::{Asked, Form, Page};
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::server::fleet::{DeviceRecord, Fleet};

const FORM: Form = Form { fields: &[], parameters: &[] };

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let device = id(question)?;
    let asked = Asked::of(&question.query, &FORM)?;
    let Some(whole) = Fleet::of(&api.books).device(device)? else { return Err(missing()) };
    let records = &whole.records[..];
    let count = records.len() as u64;
    let total = count * count.saturating_sub(1) / 2;
    let start = match asked.after() {
        Some(id) => number_of(id).ok_or_else(|| Problem::wrong("cursor", "`after` is no cursor of this list"))? + 1,
        None => 0,
    };
    let pairs: Vec<(u64, usize, usize)> = pairs(records.len(), start).take(asked.limit() + 1).collect();
    let normalised: Vec<Record> = records
        .iter()
        .map(|record| Record::new(record.staged.computer(&record.key), &api.rules.placeholders))
        .collect();
    let page = Page::plain(&asked, pairs, total, |(number, ..)| number.to_be_bytes().to_vec());
    let truncated = page.next.is_some();
    let mut answer = page.json(|(_, first, second)| {
        let joined_by = joined_by(&records[first], &records[second]);
        let (one, other) = (&normalised[first].values, &normalised[second].values);
        let explanation = explain_pair(&api.rules.matchers, joined_by, one, other);
        pair(&records[first], &records[second], &explanation)
    });
    answer["device"] = whole.device.id.to_string().into();
    answer["truncated"] = truncated.into();
    Ok(Answer::Json(answer))
}

fn number_of(id: &[u8]) -> Option<u64> {
    // Far more pairs than a device can have; what is more has been made up.
    id.try_into().ok().map(u64::from_be_bytes).filter(|number| *number < u64::from(u32::MAX))
}

/// The pairs of `count` records from the one numbered `start` on: (0, 1), (0, 2), ..., (1, 2), ... Skips whole rows, so
/// that a later page costs no more than the first.
fn pairs(count: usize, start: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut first, mut skipped) = (0usize, 0u64);
    while first < count && skipped + (count - first - 1) as u64 <= start {
        skipped += (count - first - 1) as u64;
        first += 1;
    }
    let from = first + 1 + (start - skipped.min(start)) as usize;
    let rows = (first..count).flat_map(move |one| {
        let other = if one == first { from } else { one + 1 };
        (other..count).map(move |other| (one, other))
    });
    (start..).zip(rows).map(|(number, (one, other))| (number, one, other))
}

/// The Order by which two records came into one device: the later of both joins. A record that was there alone has none.
fn joined_by(first: &DeviceRecord, second: &DeviceRecord) -> Option<i64> {
    first.matcher.max(second.matcher)
}

fn pair(first: &DeviceRecord, second: &DeviceRecord, explanation: &Explanation) -> Value {
    json!({
        "first": record(first),
        "second": record(second),
        "joined": explanation.joined.as_ref().map(joined),
        "tried": explanation.tried.iter().map(tried).collect::<Vec<Value>>(),
        "sentences": sentences::of_pair([first.staged.number, second.staged.number], explanation),
    })
}

fn joined(joined: &Joined) -> Value {
    json!({
        "order": joined.order,
        "name": joined.name,
        "compared": joined.compared.iter().map(compared).collect::<Vec<Value>>(),
    })
}

fn compared(compared: &Compared) -> Value {
    json!({ "property": compared.property.as_str(), "first": compared.first, "second": compared.second })
}

fn tried(tried: &Tried) -> Value {
    json!({ "order": tried.order, "name": tried.name, "failed": tried.failed.as_ref().map(failed) })
}

fn failed(failed: &Failed) -> Value {
    let by = match failed.by {
        FailedBy::First => "first",
        FailedBy::Second => "second",
        FailedBy::Both => "both",
        FailedBy::Pair => "pair",
    };
    json!({
        "place": failed.place.to_string(),
        "method": failed.method.as_str(),
        "value": failed.value,
        "by": by,
        "property": failed.values.property.as_str(),
        "first": failed.values.first,
        "second": failed.values.second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_begin_anywhere() {
        let all: Vec<_> = pairs(5, 0).collect();
        assert_eq!(all.len(), 10);
        assert_eq!((all[0], all[4], all[9]), ((0, 0, 1), (4, 1, 2), (9, 3, 4)));
        for start in 0..12 {
            assert_eq!(pairs(5, start).collect::<Vec<_>>(), all.get(start as usize..).unwrap_or_default(), "{start}");
        }
        assert_eq!((pairs(0, 0).count(), pairs(1, 0).count(), pairs(2, u64::from(u32::MAX)).count()), (0, 0, 0));
    }
}
