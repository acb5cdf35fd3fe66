//! `GET /devices/{id}/explain`: for each pair of records the Matcher that joined them, and why those before did not. With
//! `with`, the number of another device: why the records of the two are not one device.
//!
//! Judged by the Matchers of today and the records as they are staged now. A pair costs one pass over the Matchers and
//! a device with many records has many pairs, so this is a list like others: `limit` pairs a page.

use muster::id::DeviceId;
use muster::matching::explain::{Compared, Explanation, Failed, FailedBy, Joined, Tie, Tried, explain_pair};
use muster::matching::{Record, sentences};
use serde_json::{Value, json};

use super::device::{id, missing, record};
use super::listing::{Asked, Form, Page, take_parameter};
use super::problem::Problem;
use super::{Answer, Api, Question};
use crate::server::fleet::{DeviceRecord, Fleet};
use crate::server::rules::in_force;

const FORM: Form = Form { fields: &[], parameters: &[] };

pub(super) fn list(api: &Api, question: &Question) -> Result<Answer, Problem> {
    let device = id(question)?;
    let (other, query) = with(&question.query)?;
    let asked = Asked::of(&query, &FORM)?;
    let fleet = Fleet::of(&api.books);
    let whole = |id| fleet.device(id)?.ok_or_else(missing);
    let (one, other) = (whole(device)?, other.map(whole).transpose()?);
    // An alias is the device it was merged into.
    let other = other.filter(|other| other.device.id != one.device.id);
    let firsts = &one.records[..];
    let seconds = other.as_ref().map_or(firsts, |other| &other.records[..]);
    let start = match asked.after() {
        Some(id) => number_of(id).ok_or_else(|| Problem::wrong("cursor", "`after` is no cursor of this list"))? + 1,
        None => 0,
    };
    let (total, pairs): (u64, Vec<(u64, usize, usize)>) = match &other {
        None => {
            let count = firsts.len() as u64;
            (count * count.saturating_sub(1) / 2, pairs(firsts.len(), start).take(asked.limit() + 1).collect())
        }
        Some(_) => {
            let (count, width) = (firsts.len() as u64 * seconds.len() as u64, seconds.len().max(1) as u64);
            let across = (start..count).map(|number| (number, (number / width) as usize, (number % width) as usize));
            (count, across.take(asked.limit() + 1).collect())
        }
    };
    let rules = in_force(&api.books.facts, &api.books.tenant, &api.rules);
    let normalised = |records: &[DeviceRecord]| -> Vec<Record> {
        records.iter().map(|record| Record::new(record.staged.computer(&record.key), &rules.placeholders)).collect()
    };
    let (of_firsts, of_seconds) = (normalised(firsts), normalised(seconds));
    let page = Page::plain(&asked, pairs, total, |(number, ..)| number.to_be_bytes().to_vec());
    let truncated = page.next.is_some();
    let mut answer = page.json(|(_, first, second)| {
        let (first_record, second_record) = (&firsts[first], &seconds[second]);
        let tie = match &other {
            None => Tie::One([first_record.matcher, second_record.matcher]),
            Some(_) if rules.forbidden.holds(&first_record.key, &second_record.key) => Tie::TakenApart,
            Some(_) => Tie::Apart,
        };
        let explanation = explain_pair(&rules.matchers, tie, &of_firsts[first].values, &of_seconds[second].values);
        pair(first_record, second_record, &explanation)
    });
    answer["device"] = one.device.id.to_string().into();
    answer["with"] = other.map(|other| other.device.id.to_string()).into();
    answer["truncated"] = truncated.into();
    Ok(Answer::Json(answer))
}

/// The other device, and the rest of the question.
fn with(query: &str) -> Result<(Option<DeviceId>, String), Problem> {
    let (text, query) = take_parameter(query, "with")?;
    let wrong = |_| Problem::wrong("with", "`with` is the number of another device");
    Ok((text.map(|text| text.parse().map(DeviceId).map_err(wrong)).transpose()?, query))
}

fn number_of(id: &[u8]) -> Option<u64> {
    // Far more pairs than devices can have; what is more has been made up.
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
        "direct": joined.direct,
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
