//! Explanations as sentences for operators: the same for the command, the API and the pages.

use super::explain::{Compared, Explanation, Failed, FailedBy, Tie};
use super::explain_record::{Attempt, Obstacle, RecordExplanation};
use super::phase2::{Alignment, How};
use crate::formats::matcher_xml::Method;

/// Why a record is in its set, or alone: a sentence a line.
pub fn of_record(explanation: &RecordExplanation) -> Vec<String> {
    let record = format!("record {}", explanation.record_id);
    let mut lines = Vec::new();
    match &explanation.joined {
        Some((order, name, compared)) => {
            let others = numbers(&explanation.others, explanation.others_count);
            let values: Vec<String> = compared.iter().map(in_both).collect();
            let matcher = matcher(*order, name);
            lines.push(format!(
                "Record {} is one device with {others}: {matcher} found {}.",
                explanation.record_id,
                listed(&values)
            ));
        }
        None if explanation.others_count > 0 => lines.push(format!(
            "Record {} is one device with {}.",
            explanation.record_id,
            numbers(&explanation.others, explanation.others_count)
        )),
        None => lines
            .push(format!("Record {} stands alone: no Matcher joined it to another record.", explanation.record_id)),
    }
    lines.extend(explanation.tried.iter().map(|attempt| of_attempt(&record, attempt)));
    lines
}

fn of_attempt(record: &str, attempt: &Attempt) -> String {
    let why = match &attempt.obstacle {
        Obstacle::Record(failed) => alone(record, failed, failed.values.first.as_deref()),
        Obstacle::Unique(values) => {
            let values: Vec<String> = values.iter().map(|(property, text)| format!("{property} `{text}`")).collect();
            format!("no other record that takes part has {}", listed(&values))
        }
        Obstacle::Taken(others) => {
            let others: Vec<String> =
                others.iter().map(|(id, order)| format!("record {id} by Matcher {order}")).collect();
            format!("the records with the same values had been joined before ({})", others.join(", "))
        }
        Obstacle::Alike { property, other } => format!(
            "{property} has to differ, and no record with the same values differs from {record} in it: record {other} for one"
        ),
        Obstacle::BothSet { other, values } => format!(
            "{} has to be missing in one of the two, but is {} in {record} and {} in record {other}",
            values.property,
            quoted(values.first.as_deref()),
            quoted(values.second.as_deref())
        ),
        Obstacle::Contradiction { others: [one, another], values } => format!(
            "the records with the same values contradict each other in {}: {} in record {one}, {} in record {another}",
            values.property,
            quoted(values.first.as_deref()),
            quoted(values.second.as_deref())
        ),
        Obstacle::Forbidden(other) => format!("an operator took {record} and record {other} apart"),
    };
    format!("{} did not: {why}.", matcher(attempt.order, &attempt.name))
}

/// Why the two records of these numbers are, or are not, one device.
pub fn of_pair(records: [u64; 2], explanation: &Explanation) -> Vec<String> {
    let [first, second] = records.map(|number| format!("record {number}"));
    let names = [&*first, &*second];
    let [one, other] = records;
    let head = match (&explanation.joined, explanation.tie) {
        (Some(joined), _) => {
            let values: Vec<String> = joined.compared.iter().map(in_both).collect();
            let (matcher, values) = (matcher(joined.order, &joined.name), listed(&values));
            if joined.direct {
                format!("Records {one} and {other} are one device: {matcher} found {values}.")
            } else {
                format!(
                    "Records {one} and {other} are one device: {matcher} joined them through another record or at an earlier \
                     import; by themselves they have {values}."
                )
            }
        }
        (None, Tie::One(orders)) => {
            let gone = orders.iter().flatten().max();
            let by =
                gone.map_or(String::new(), |order| format!(" by a Matcher of Order {order}, which is there no more"));
            format!(
                "Records {one} and {other} are one device since an earlier import{by}; no Matcher of today joins these two."
            )
        }
        (None, Tie::Apart) => format!("Records {one} and {other} are not one device: no Matcher joined them."),
        (None, Tie::TakenApart) => {
            format!("Records {one} and {other} are not one device: an operator took them apart.")
        }
    };
    let mut lines = vec![head];
    for tried in &explanation.tried {
        let why = match (&tried.failed, explanation.tie) {
            (Some(failed), _) => between(names, failed),
            (None, Tie::TakenApart) => "its tests hold for these two, but an operator took them apart".to_owned(),
            (None, Tie::Apart) => {
                "its tests hold for these two, but a third record contradicted one of them, an earlier \
                                   Matcher had taken one of them, they came in different imports, or more devices hang \
                                   together by them than are merged"
                    .to_owned()
            }
            (None, Tie::One(_)) => {
                "its tests hold for these two, but a third record contradicted one of them, an earlier \
                                    Matcher had taken one of them, or they said something else then"
                    .to_owned()
            }
        };
        lines.push(format!("{} did not: {why}.", matcher(tried.order, &tried.name)));
    }
    lines
}

fn between([first, second]: [&str; 2], failed: &Failed) -> String {
    match failed.by {
        FailedBy::First => alone(first, failed, failed.values.first.as_deref()),
        FailedBy::Second => alone(second, failed, failed.values.second.as_deref()),
        FailedBy::Both => format!("{}, and so in {second}", alone(first, failed, failed.values.first.as_deref())),
        FailedBy::Pair => {
            let (one, other) = (quoted(failed.values.first.as_deref()), quoted(failed.values.second.as_deref()));
            let property = failed.values.property;
            let wish = match failed.method {
                Method::NullInEither => "has to be missing in one of the two",
                Method::NotEqual => "has to differ",
                _ => "has to be the same",
            };
            format!("{property} {wish}, but is {one} in {first} and {other} in {second}")
        }
    }
}

/// What one record lacks for a test of it alone.
fn alone(record: &str, failed: &Failed, own: Option<&str>) -> String {
    let property = failed.values.property;
    let value = quoted(failed.value.as_deref());
    let is = match own {
        Some(own) => format!("it is `{own}`"),
        None => "it is missing".to_owned(),
    };
    let wish = match (failed.method, &failed.value) {
        (Method::NotSet, _) => "has to be missing".to_owned(),
        (Method::Equal, Some(_)) => format!("has to be {value}"),
        (Method::NotEqual, Some(_)) => format!("has to be there and not {value}"),
        (Method::Like, _) => format!("has to be like {value}"),
        (Method::Contains, _) => format!("has to contain {value}"),
        (Method::InRange, _) => format!("has to be one of {value}"),
        _ => return format!("{property} is missing in {record}"),
    };
    format!("{property} {wish}, and in {record} {is}")
}

fn matcher(order: i64, name: &str) -> String {
    if name.is_empty() { format!("Matcher {order}") } else { format!("Matcher {order} ({name})") }
}

fn in_both(compared: &Compared) -> String {
    let property = compared.property;
    match (&compared.first, &compared.second) {
        (Some(one), Some(other)) if one == other => format!("{property} `{one}` in both"),
        (Some(one), Some(other)) => format!("{property} `{one}` and `{other}`"),
        (Some(only), None) | (None, Some(only)) => format!("{property} `{only}` in one of the two"),
        (None, None) => format!("no {property} in either"),
    }
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "missing".to_owned(), |text| format!("`{text}`"))
}

fn numbers(ids: &[u64], count: usize) -> String {
    let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
    let more = count - ids.len();
    let noun = if count == 1 { "record" } else { "records" };
    match more {
        0 => format!("{noun} {}", listed(&ids)),
        more => format!("{noun} {} and {more} more", ids.join(", ")),
    }
}

fn listed(items: &[String]) -> String {
    match items {
        [] => "nothing to compare".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What phase 2 made of the set of a record.
pub fn of_alignment(record_id: u64, alignment: &Alignment) -> String {
    let set =
        if alignment.group == record_id { "Its set".to_owned() } else { format!("Its set ({})", alignment.group) };
    match (alignment.how, alignment.device) {
        (How::Matcher(order), Some(device)) => format!("{set} belongs to device {device}: Matcher {order} found it."),
        (How::Binding, Some(device)) => format!(
            "{set} belongs to device {device}: no Matcher found one, but a record of it was merged into that device before \
             and no strong key of it has changed."
        ),
        (How::New, Some(device)) => format!("{set} is the new device {device}."),
        (_, None) => {
            format!("{set} needs a new device: no stored one matches, and none of its records is bound to one.")
        }
    }
}
