//! An oracle for matching, written from the reference alone: values as text in maps, every pair compared, no hashing,
//! no code of this crate beyond the ids. Slow on purpose.

use std::collections::{BTreeMap, BTreeSet};

pub type Fields = BTreeMap<&'static str, String>;

/// A test: property, method, value.
pub type Written = (&'static str, &'static str, Option<&'static str>);

#[derive(Clone, Debug)]
pub struct Rules {
    pub order: i64,
    pub conditions: Vec<Written>,
    pub rules: Vec<Written>,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub id: u64,
    pub source: &'static str,
    pub external: String,
    pub fields: Fields,
}

#[derive(Clone, Debug)]
pub struct Stored {
    pub id: u64,
    pub fields: Fields,
    /// source, external id, normalised fields of the record that was merged.
    pub bindings: Vec<(&'static str, String, Fields)>,
}

const LIST: &str = "to be filled by o.e.m.;to be filled by oem;default string;system serial number;system manufacturer;\
    system product name;chassis serial number;serial number;none;n/a;na;not specified;not applicable;not available;\
    unknown;invalid;null;0;123456789;0123456789;1234567890";

fn fold(text: &str) -> String {
    text.chars().map(|c: char| if c.is_ascii_uppercase() { (c as u8 + 32) as char } else { c }).collect()
}

fn trimmed(text: &str) -> String {
    let blank = |c: &char| [0u32, 9, 10, 11, 12, 13, 32].contains(&(*c as u32));
    let mut chars: Vec<char> = text.chars().collect();
    while chars.last().is_some_and(blank) {
        chars.pop();
    }
    while chars.first().is_some_and(blank) {
        chars.remove(0);
    }
    chars.into_iter().collect()
}

fn placeholder(text: &str) -> bool {
    let folded = fold(text);
    let mut bare = folded.clone();
    for gone in [" ", "-", ".", "_", ":", "{", "}"] {
        bare = bare.replace(gone, "");
    }
    let kinds: BTreeSet<char> = bare.chars().collect();
    LIST.split(';').any(|known| known == folded) || bare.is_empty() || (kinds.len() == 1 && bare.chars().count() >= 4)
}

/// Section 3.
pub fn normalise(fields: &Fields) -> Fields {
    let mut out: Fields = fields.iter().map(|(name, text)| (*name, trimmed(text))).collect();
    out.retain(|_, text| !text.is_empty());
    let hardware = "Manufacturer ModelNo HostType HostID MachineID FirmwareSerialNumber HostIdentifyingNumber PartitionID UUID ILMTAgentID";
    for name in hardware.split(' ') {
        if out.get(name).is_some_and(|text| placeholder(text)) {
            out.remove(name);
        }
    }
    let flag = out.get("UntrustedSerialNo").map(|text| fold(text)).unwrap_or_default();
    let untrusted =
        ["true", "1", "yes"].contains(&flag.as_str()) || out.get("SerialNo").is_some_and(|text| placeholder(text));
    out.insert("UntrustedSerialNo", untrusted.to_string());
    if out.contains_key("VMType") {
        out.remove("HostIdentifyingNumber");
    }
    if !out.contains_key("ObjectType") {
        let any = |names: &str| names.split(' ').any(|name| out.contains_key(name));
        let strong = any("FirmwareSerialNumber MachineID HostID HostIdentifyingNumber UUID ILMTAgentID PartitionID")
            || (any("SerialNo") && !untrusted);
        let kind = if strong {
            "Complete"
        } else if any("Manufacturer ModelNo HostType") {
            "Incomplete"
        } else {
            "Unmatched"
        };
        out.insert("ObjectType", kind.into());
    }
    out
}

/// Both spellings of a UUID that count as the same; only the text itself when it is none.
fn spellings(text: &str) -> BTreeSet<String> {
    let bare: String = fold(text).chars().filter(|c| !"- {}".contains(*c)).collect();
    if bare.len() != 32 || !bare.chars().all(|c| "0123456789abcdef".contains(c)) {
        return BTreeSet::from([format!("text {}", fold(text))]);
    }
    let byte = |n: usize| &bare[2 * n..2 * n + 2];
    let swapped: String = [3, 2, 1, 0, 5, 4, 7, 6].into_iter().map(byte).collect::<String>() + &bare[16..];
    BTreeSet::from([bare.clone(), swapped])
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some('%'), _) => like(text, &pattern[1..]) || (!text.is_empty() && like(&text[1..], pattern)),
        (Some('_'), Some(_)) => like(&text[1..], &pattern[1..]),
        (Some(c), Some(d)) => c == d && like(&text[1..], &pattern[1..]),
        (Some(_), None) => false,
    }
}

fn is_pair_test((_, method, value): &Written, rule: bool) -> bool {
    match *method {
        "NullInEither" | "BigOrLittleEndianEqual" => true,
        "Equal" | "NotEqual" => rule && value.is_none(),
        _ => false,
    }
}

fn one_record((property, method, value): &Written, fields: &Fields) -> bool {
    let own = fields.get(property).map(|text| fold(text));
    let wanted = fold(value.unwrap_or_default());
    match (*method, own) {
        ("NotSet", own) => own.is_none(),
        (_, None) => false,
        ("Set", _) => true,
        ("Equal", Some(own)) => own == trimmed(&wanted),
        ("NotEqual", Some(own)) => own != trimmed(&wanted),
        ("Contains", Some(own)) => own.contains(&wanted),
        ("InRange", Some(own)) => wanted.split(',').any(|item| trimmed(item) == own),
        ("Like", Some(own)) => {
            let [own, wanted] = [own, wanted].map(|text| text.chars().collect::<Vec<char>>());
            like(&own, &wanted)
        }
        (method, _) => panic!("{method}"),
    }
}

fn same((property, method, _): &Written, a: &Fields, b: &Fields) -> bool {
    match (a.get(property), b.get(property)) {
        (Some(a), Some(b)) if *method == "Equal" => fold(a) == fold(b),
        (Some(a), Some(b)) => spellings(a).intersection(&spellings(b)).next().is_some(),
        _ => false,
    }
}

/// Groups among `pool`, which names nodes; sections 5 and 6, pair by pair.
fn groups(matcher: &Rules, nodes: &[Fields], pool: &BTreeSet<usize>) -> Vec<BTreeSet<usize>> {
    let conditions = matcher.conditions.iter().map(|test| (test, false));
    let all: Vec<(&Written, bool)> = conditions.chain(matcher.rules.iter().map(|test| (test, true))).collect();
    let alone: Vec<&Written> =
        all.iter().filter(|(test, rule)| !is_pair_test(test, *rule)).map(|(test, _)| *test).collect();
    let pair: Vec<&Written> =
        all.iter().filter(|(test, rule)| is_pair_test(test, *rule)).map(|(test, _)| *test).collect();
    let keys: Vec<&&Written> =
        pair.iter().filter(|test| ["Equal", "BigOrLittleEndianEqual"].contains(&test.1)).collect();
    let nulls: Vec<&str> = pair.iter().filter(|test| test.1 == "NullInEither").map(|test| test.0).collect();
    let differ: Vec<&str> = pair.iter().filter(|test| test.1 == "NotEqual").map(|test| test.0).collect();

    let fits = |node: usize| {
        alone.iter().all(|test| one_record(test, &nodes[node]))
            && keys.iter().all(|key| nodes[node].contains_key(key.0))
    };
    let candidates: Vec<usize> = pool.iter().copied().filter(|&node| fits(node)).collect();
    let one_class = |a: usize, b: usize| keys.iter().all(|key| same(key, &nodes[a], &nodes[b]));
    let unlike = |name: &str, a: usize, b: usize| match (nodes[a].get(name), nodes[b].get(name)) {
        (Some(a), Some(b)) => fold(a) != fold(b),
        _ => false,
    };
    let conflicted = |name: &str, node: usize| {
        let class: Vec<usize> = candidates.iter().copied().filter(|&other| one_class(node, other)).collect();
        class.iter().any(|&a| class.iter().any(|&b| unlike(name, a, b)))
    };
    let stays = |node: &usize| nulls.iter().all(|name| !(nodes[*node].contains_key(name) && conflicted(name, *node)));
    let members: Vec<usize> = candidates.iter().copied().filter(stays).collect();
    let linked = |a: usize, b: usize| {
        one_class(a, b)
            && differ.iter().all(|name| unlike(name, a, b))
            && nulls.iter().all(|name| !(nodes[a].contains_key(name) && nodes[b].contains_key(name)))
    };
    let edges = members.iter().flat_map(|&a| members.iter().map(move |&b| (a, b)));
    components(edges.filter(|&(a, b)| a != b && linked(a, b)))
}

/// Connected components of the nodes that have an edge.
fn components<T: Ord + Copy>(edges: impl Iterator<Item = (T, T)>) -> Vec<BTreeSet<T>> {
    let mut found: Vec<BTreeSet<T>> = Vec::new();
    for (a, b) in edges {
        let (mut touched, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|set| set.contains(&a) || set.contains(&b));
        touched.push(BTreeSet::from([a, b]));
        found = rest;
        found.push(touched.into_iter().flatten().collect());
    }
    found
}

fn ordered(matchers: &[Rules]) -> Vec<&Rules> {
    let mut list: Vec<&Rules> = matchers.iter().collect();
    list.sort_by_key(|matcher| matcher.order);
    list
}

/// Phase 1: record ids of each set with the Order (0 for a set of one), ascending.
pub fn phase1(matchers: &[Rules], rows: &[Row]) -> Vec<(BTreeSet<u64>, i64)> {
    let nodes: Vec<Fields> = rows.iter().map(|row| normalise(&row.fields)).collect();
    let mut pool: BTreeSet<usize> = (0..rows.len()).collect();
    let mut sets = Vec::new();
    for matcher in ordered(matchers) {
        for group in groups(matcher, &nodes, &pool) {
            pool.retain(|node| !group.contains(node));
            sets.push((group.into_iter().map(|node| rows[node].id).collect(), matcher.order));
        }
    }
    sets.extend(pool.into_iter().map(|node| (BTreeSet::from([rows[node].id]), 0)));
    sets.sort();
    sets
}

fn strong(fields: &Fields) -> Vec<Option<BTreeSet<String>>> {
    let plain = |name: &str| fields.get(name).map(|text| BTreeSet::from([fold(text)]));
    let trusted = fields.get("UntrustedSerialNo").is_none_or(|flag| flag == "false");
    vec![
        plain("FirmwareSerialNumber"),
        plain("SerialNo").filter(|_| trusted),
        fields.get("UUID").map(|text| spellings(text)),
        plain("MachineID"),
        plain("ILMTAgentID"),
    ]
}

/// What phase 2 says of each set (by smallest record id): device (0 for a new one) and `matcher N`, `binding`, `new`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Aligned {
    pub sets: BTreeMap<u64, (u64, String)>,
    pub merges: BTreeMap<u64, u64>,
    pub reports: BTreeSet<(i64, Vec<u64>, Vec<u64>)>,
}

/// Phase 2 without forbidden pairs.
pub fn phase2(matchers: &[Rules], rows: &[Row], sets: &[BTreeSet<u64>], devices: &[Stored]) -> Aligned {
    let mut nodes: Vec<Fields> = rows.iter().map(|row| normalise(&row.fields)).collect();
    for device in devices {
        let mut fields = device.fields.clone();
        fields.remove("ObjectType");
        nodes.push(normalise(&fields));
    }
    let set_of =
        |node: usize| sets.iter().find(|set| set.contains(&rows[node].id)).and_then(BTreeSet::first).copied().unwrap();
    let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
    fn winner(merged: &BTreeMap<u64, u64>, id: u64) -> u64 {
        merged.get(&id).map_or(id, |&into| winner(merged, into))
    }
    let mut out = Aligned::default();
    for matcher in ordered(matchers) {
        let unresolved = (0..rows.len()).filter(|&node| !out.sets.contains_key(&set_of(node)));
        let pool: BTreeSet<usize> = unresolved.chain(rows.len()..nodes.len()).collect();
        let mut hits: BTreeSet<(u64, u64)> = BTreeSet::new();
        for group in groups(matcher, &nodes, &pool) {
            for &member in group.iter().filter(|&&node| node < rows.len()) {
                for &device in group.iter().filter(|&&node| node >= rows.len()) {
                    hits.insert((set_of(member), winner(&merged, devices[device - rows.len()].id)));
                }
            }
        }
        // Sets and devices in one graph: sets on the left, devices on the right.
        let edges = hits.iter().map(|&(set, device)| ((true, set), (false, device)));
        for chain in components(edges) {
            let of = |left: bool| chain.iter().filter(|(is_set, _)| *is_set == left).map(|&(_, id)| id).collect();
            let (in_chain, ids): (Vec<u64>, Vec<u64>) = (of(true), of(false));
            for &set in &in_chain {
                let first = hits.iter().filter(|hit| hit.0 == set).map(|hit| hit.1).min().unwrap();
                let device = if ids.len() <= 5 { ids[0] } else { first };
                out.sets.insert(set, (device, format!("matcher {}", matcher.order)));
            }
            if ids.len() <= 5 {
                merged.extend(ids[1..].iter().map(|&loser| (loser, ids[0])));
            } else {
                out.reports.insert((matcher.order, ids, in_chain));
            }
        }
    }
    for set in sets {
        let group = *set.first().unwrap();
        if out.sets.contains_key(&group) {
            continue;
        }
        let mut bound = BTreeSet::new();
        for row in rows.iter().filter(|row| set.contains(&row.id)) {
            for device in devices {
                for (source, external, fields) in &device.bindings {
                    let now = strong(&normalise(&row.fields));
                    let clash = now.iter().zip(strong(fields)).any(|pair| match pair {
                        (Some(a), Some(b)) => *a != b,
                        _ => false,
                    });
                    if *source == row.source && *external == row.external && !clash {
                        bound.insert(winner(&merged, device.id));
                    }
                }
            }
        }
        let found = bound.first().map_or((0, "new".into()), |&device| (device, "binding".into()));
        out.sets.insert(group, found);
    }
    for (device, _) in out.sets.values_mut() {
        *device = winner(&merged, *device);
    }
    out.merges = merged.keys().map(|&loser| (loser, winner(&merged, loser))).collect();
    out
}

/// Section 9, typed from the table.
pub fn standard() -> Vec<Rules> {
    let set = |name: &'static str| (name, "Set", None);
    let same = |name: &'static str| (name, "Equal", None);
    let either = |name: &'static str| (name, "NullInEither", None);
    let physical = ("VMType", "NotSet", None);
    let types = |list: &'static str| ("VMType", "InRange", Some(list));
    let is = |name: &'static str, text: &'static str| (name, "Equal", Some(text));
    let (vpar, npar) = ("vPar,LPAR,Zone", "vPar,nPar,LPAR,Zone");
    let lpar = is("VMType", "LPAR");
    let (incomplete, unmatched) = (is("ObjectType", "Incomplete"), is("ObjectType", "Unmatched"));
    let (host, kind, maker) = ("HostIdentifyingNumber", "HostType", "Manufacturer");
    let (name, domain) = ("ComputerName", "ComplianceDomainID");
    let mut order = 0;
    let mut row = |conditions: &[Written], rules: &[&'static str]| {
        order += 10;
        Rules { order, conditions: conditions.to_vec(), rules: rules.iter().map(|name| same(name)).collect() }
    };
    let mut rows = vec![
        row(&[physical], &["Manufacturer", "ModelNo", "FirmwareSerialNumber"]),
        row(&[physical], &["Manufacturer", "HostType", "FirmwareSerialNumber"]),
        row(&[physical], &["MachineID"]),
        row(&[physical], &["Manufacturer", "HostID", "FirmwareSerialNumber"]),
        row(&[types(vpar)], &["VMType", "PartitionID"]),
        row(&[lpar], &["FirmwareSerialNumber", "PartitionNumber"]),
        row(&[lpar], &["MachineID", "PartitionNumber"]),
        row(&[types(vpar)], &["MachineID", "VMType", "VMName"]),
        row(&[types(npar)], &["FirmwareSerialNumber", "VMType", "VMName"]),
        row(&[is("VMType", "Zone")], &["HostID", "VMName"]),
        row(&[], &[host, kind, maker]),
        row(&[either(maker)], &[host, kind]),
        row(&[either(kind)], &[host, maker]),
        row(&[either(kind), either(maker)], &[host]),
        row(&[("OperatingSystem", "Contains", Some("vmware")), set("UUID")], &[]),
        row(&[is("UntrustedSerialNo", "false")], &["SerialNo", name]),
        row(&[], &["ILMTAgentID"]),
        row(&[incomplete], &[name, domain]),
        row(&[incomplete, either(domain)], &[name]),
        row(&[unmatched], &[name, domain]),
        row(&[unmatched, either(domain)], &[name]),
    ];
    rows[14].rules.push(("UUID", "BigOrLittleEndianEqual", None));
    rows
}

/// A normalised record that gives values: source, date, record id, fields.
pub type Giver = (&'static str, i64, u64, Fields);

/// Section 8, property by property: the first value of the best record that has one.
pub fn merged(givers: &[Giver], primary: Option<&str>) -> Fields {
    let mut best: Vec<&Giver> = givers.iter().collect();
    // From the last rule to the first; each sort keeps what the ones before it did.
    best.sort_by_key(|giver| giver.2);
    best.sort_by_key(|giver| giver.0);
    best.sort_by_key(|giver| -giver.1);
    best.sort_by_key(|giver| primary != Some(giver.0));
    let mut out = Fields::new();
    for (.., fields) in &best {
        for (name, text) in fields.iter().filter(|(name, _)| **name != "UntrustedSerialNo") {
            out.entry(name).or_insert_with(|| text.clone());
        }
    }
    if let Some((.., fields)) = best.iter().find(|giver| giver.3.contains_key("SerialNo")) {
        out.insert("UntrustedSerialNo", fields["UntrustedSerialNo"].clone());
    }
    out
}
