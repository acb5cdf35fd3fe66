//! What the machines of a fleet are: operating systems and clocks, in exact numbers.
//!
//! ```toml
//! [[fleet.os]]
//! name = "Debian GNU/Linux 12"
//! share = 0.6
//!
//! [[fleet.zone]]
//! name = "Berlin"
//! utc_offset = "+01:00"
//! share = 0.7
//! ```
//!
//! Counts are the largest-remainder split of the number of agents, so six tenths of a thousand are six hundred. What the
//! shares leave over has the operating system `Other`, and goes by UTC.

use muster::config::agent::CLOCKS_AHEAD_MINUTES;
use muster::config::{ConfigError, Document};
use muster::id::shorten;
use muster::rng::mix;
use muster::roles::server::is_source_name;
use muster::time::MINUTE_MS;
use serde::Deserialize;
use toml::Spanned;

/// Most parts of one kind: each zone is kept for each leaf that it has a part of.
const PARTS_MAX: usize = 64;
/// Longest name of one.
const NAME_BYTES_MAX: usize = 100;
/// Sums of shares as people write them, thirds for instance, are off by less.
const ROUNDING: f64 = 1e-6;

/// A part of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called in reports.
    pub name: String,
    /// Agents of it.
    pub agents: u32,
    /// How far its clocks are ahead of UTC, in milliseconds; 0 for parts by operating system.
    pub ahead_ms: i64,
}

/// See the module's head. Every agent is in one part of each list; an empty one says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// By operating system. Who has which hangs on the seed.
    pub systems: Vec<Part>,
    /// By clocks. Neighbours share them, as the agents of one site do.
    pub zones: Vec<Part>,
    /// Other tools that report some of the machines too, in runs with true contents.
    pub sources: Vec<Source>,
}

/// Another tool that takes inventory.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The source of its records.
    pub name: String,
    /// Part of the machines that it reports, once a day each.
    pub share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OsFile {
    name: Spanned<String>,
    share: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZoneFile {
    name: Option<Spanned<String>>,
    utc_offset: Spanned<String>,
    share: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceFile {
    name: Spanned<String>,
    share: Spanned<f64>,
}

impl SourceFile {
    fn read(&self, file: &Document<'_>, before: &[Source]) -> Result<Source, ConfigError> {
        let (name, share) = (self.name.get_ref(), *self.share.get_ref());
        if !is_source_name(name) {
            let problem =
                format!("`{name}` cannot be the source of another tool's files, write letters and digits, not `agent`");
            return Err(file.error_at(&self.name, problem));
        }
        if before.iter().any(|known| known.name == *name) {
            return Err(file.error_at(&self.name, format!("is a second `{name}`, write each source once")));
        }
        if !(0.0..=1.0).contains(&share) {
            return Err(file.error_at(&self.share, format!("is {share}, write a part of 1 such as 0.25")));
        }
        Ok(Source { name: name.clone(), share })
    }
}

impl Template {
    pub(super) fn read(
        file: &Document<'_>,
        agents: u32,
        systems: &[Spanned<OsFile>],
        zones: &[Spanned<ZoneFile>],
        sources: &[Spanned<SourceFile>],
    ) -> Result<Template, ConfigError> {
        let systems: Vec<Written<'_>> = systems
            .iter()
            .map(|os| Written { name: os.get_ref().name.get_ref(), ahead_ms: 0, share: &os.get_ref().share })
            .collect();
        let zone = |zone: &'_ Spanned<ZoneFile>| {
            let ZoneFile { utc_offset, .. } = zone.get_ref();
            ahead_ms(utc_offset.get_ref()).ok_or_else(|| {
                file.error_at(
                    utc_offset,
                    "is no offset from UTC, write one from \"-12:00\" to \"+14:00\" such as \"+01:00\"",
                )
            })
        };
        let ahead = zones.iter().map(zone).collect::<Result<Vec<i64>, ConfigError>>()?;
        let zones: Vec<Written<'_>> = zones
            .iter()
            .zip(ahead)
            .map(|(zone, ahead_ms)| {
                let ZoneFile { name, utc_offset, share } = zone.get_ref();
                Written { name: name.as_ref().unwrap_or(utc_offset).get_ref(), ahead_ms, share }
            })
            .collect();
        let mut named: Vec<Source> = Vec::new();
        for source in sources {
            named.push(source.get_ref().read(file, &named)?);
        }
        let systems = parts(file, agents, &systems, "Other")?;
        Ok(Template { systems, zones: parts(file, agents, &zones, "UTC")?, sources: named })
    }

    /// The place among `systems` of an agent's; 0 when there are none.
    pub fn system_of(&self, seed: u64, agent: u32) -> usize {
        if self.systems.len() < 2 {
            return 0;
        }
        let all = self.systems.iter().map(|part| part.agents).sum();
        place(&self.systems, permuted(mix(seed, 51), agent, all))
    }
}

/// The part in which the `number`-th one stands, when they stand one part after another.
fn place(parts: &[Part], number: u32) -> usize {
    let mut end = 0;
    let is_behind = |part: &Part| {
        end += part.agents;
        number >= end
    };
    parts.iter().map(is_behind).take_while(|is_behind| *is_behind).count().min(parts.len().saturating_sub(1))
}

struct Written<'w> {
    name: &'w str,
    ahead_ms: i64,
    share: &'w Spanned<f64>,
}

/// `+01:00` and such.
fn ahead_ms(text: &str) -> Option<i64> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return (text == "Z").then_some(0),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok()).flatten().map(i32::from);
    let (hours, minutes) = (number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?);
    let ahead = sign * (hours * 60 + minutes);
    CLOCKS_AHEAD_MINUTES.contains(&ahead).then_some(i64::from(ahead) * MINUTE_MS)
}

fn parts(file: &Document<'_>, agents: u32, written: &[Written<'_>], rest: &str) -> Result<Vec<Part>, ConfigError> {
    let mut sum = 0.0;
    for (place, part) in written.iter().enumerate() {
        let share = *part.share.get_ref();
        if !(0.0..=1.0).contains(&share) {
            return Err(file.error_at(part.share, format!("is {share}, write a part of 1 such as 0.25")));
        }
        if part.name.is_empty() || part.name.len() > NAME_BYTES_MAX {
            let problem = format!("is of `{}`, write a name of 1 to {NAME_BYTES_MAX} bytes", shorten(part.name));
            return Err(file.error_at(part.share, problem));
        }
        if place == PARTS_MAX {
            return Err(
                file.error_at(part.share, format!("is of one part too many, at most {PARTS_MAX} are told apart"))
            );
        }
        sum += share;
        if sum > 1.0 + ROUNDING {
            let most = (1.0 - (sum - share)).max(0.0);
            let problem = format!("is {share} and makes the shares {sum:.4} together, write at most {most:.4}");
            return Err(file.error_at(part.share, problem));
        }
        if written[..place].iter().any(|before| before.name == part.name) {
            return Err(file.error_at(part.share, format!("is of a second `{}`, write both as one", part.name)));
        }
    }
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let mut shares: Vec<f64> = written.iter().map(|part| *part.share.get_ref()).collect();
    shares.push((1.0 - sum).max(0.0));
    if shares[written.len()] < ROUNDING {
        shares.pop();
    }
    let named = written.iter().map(|part| (part.name, part.ahead_ms)).chain(std::iter::once((rest, 0)));
    let parts = named.zip(split(agents, &shares));
    Ok(parts.map(|((name, ahead_ms), agents)| Part { name: name.to_owned(), agents, ahead_ms }).collect())
}

/// Shares of `total` as whole numbers that make `total` together: each at least its whole part, and one more for those with
/// the largest remainders.
pub fn split(total: u32, shares: &[f64]) -> Vec<u32> {
    let sum: f64 = shares.iter().sum();
    let quotas: Vec<f64> = shares.iter().map(|share| share / sum * f64::from(total)).collect();
    // A quota that is whole but for the last bits of a float is whole.
    let mut counts: Vec<u32> = quotas.iter().map(|quota| (quota + 1e-6).floor() as u32).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    let remainder = |place: usize| quotas[place] - f64::from(counts[place]);
    order.sort_by(|one, other| remainder(*other).total_cmp(&remainder(*one)).then(one.cmp(other)));
    let left = total.saturating_sub(counts.iter().sum()) as usize;
    order.into_iter().take(left).for_each(|place| counts[place] += 1);
    counts
}

/// Where `place` of `count` places comes to lie when all are shuffled by `key`: each place once, and nothing is kept.
///
/// Four rounds of a Feistel network over the next power of four; what falls beyond `count` goes round again.
pub fn permuted(key: u64, place: u32, count: u32) -> u32 {
    if count < 2 {
        return place;
    }
    let half = (u32::BITS - (count - 1).leading_zeros()).div_ceil(2);
    let mask = (1u64 << half) - 1;
    let mut at = u64::from(place);
    loop {
        for round in 0..4 {
            let (left, right) = (at >> half, at & mask);
            at = right << half | (left ^ mix(mix(key, round), right) & mask);
        }
        if at < u64::from(count) {
            return at as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn read(text: &str) -> Result<Template, String> {
        let text = format!("[fleet]\nagents = 1001\n{text}");
        let scenario = Scenario::read(&Document { text: &text, file: "s.toml" }, Default::default());
        scenario.map(|scenario| scenario.template).map_err(|error| error.to_string())
    }

    fn counts(parts: &[Part]) -> Vec<(&str, u32)> {
        parts.iter().map(|part| (part.name.as_str(), part.agents)).collect()
    }

    #[test]
    fn parts_are_exact_and_make_the_whole() {
        let template = read(
            "[[fleet.os]]\nname = 'A'\nshare = 0.6\n[[fleet.os]]\nname = 'B'\nshare = 0.3\n\
             [[fleet.zone]]\nutc_offset = '+05:30'\nshare = 0.5\n[[fleet.zone]]\nname = 'New York'\nutc_offset = '-05:00'\nshare = 0.5\n",
        )
        .unwrap();
        assert_eq!(counts(&template.systems), [("A", 601), ("B", 300), ("Other", 100)]);
        assert_eq!(counts(&template.zones), [("+05:30", 501), ("New York", 500)]);
        assert_eq!(template.zones[0].ahead_ms, 330 * MINUTE_MS);
        for seed in 0..3 {
            let mut has = [0; 3];
            (0..1_001).for_each(|agent| has[template.system_of(seed, agent)] += 1);
            assert_eq!(has, [601, 300, 100]);
        }
        let of = |seed| (0..1_001).map(|agent| template.system_of(seed, agent)).collect::<Vec<_>>();
        assert_ne!(of(1), of(2));

        let thirds = [1.0 / 3.0; 3];
        assert_eq!(
            (split(10, &thirds), split(0, &thirds), split(100, &[0.29, 0.71])),
            (vec![4, 3, 3], vec![0; 3], vec![29, 71])
        );
    }

    #[test]
    fn a_permutation_has_each_place_once() {
        for count in [1, 2, 3, 5, 64, 65, 1_000, 4_097] {
            let mut places: Vec<u32> = (0..count).map(|place| permuted(9, place, count)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<u32>>());
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_write() {
        for (text, part) in [
            (
                "[[fleet.os]]\nname = 'A'\nshare = 0.6\n[[fleet.os]]\nname = 'B'\nshare = 0.5",
                "s.toml:8: `fleet.os[2].share`: is 0.5 and makes the shares 1.1000 together, write at most 0.4000",
            ),
            ("[[fleet.os]]\nname = 'A'\nshare = -1", "s.toml:5: `fleet.os[1].share`: is -1, write a part of 1"),
            (
                "[[fleet.os]]\nname = 'A'\nshare = 0\n[[fleet.os]]\nname = 'A'\nshare = 0",
                "a second `A`, write both as one",
            ),
            (
                "[[fleet.zone]]\nutc_offset = '+25:00'\nshare = 0.5",
                "s.toml:4: `fleet.zone[1].utc_offset`: is no offset from UTC, write one from \"-12:00\" to \"+14:00\"",
            ),
            (
                "[[fleet.source]]\nname = 'Agent'\nshare = 0.5",
                "s.toml:4: `fleet.source[1].name`: `Agent` cannot be the source",
            ),
            ("[[fleet.zone]]\nutc_ofset = '+02:00'\nshare = 0.5", "did you mean `utc_offset`?"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
