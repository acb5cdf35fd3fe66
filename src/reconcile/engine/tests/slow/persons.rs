//! Persons, allocation and exemption (section 5.2), and the figure of types 4 and 13 (section 6.1).

use std::collections::BTreeSet;

use super::figure::{Figure, Taken, Unit};
use super::licences::Licence;
use super::number::Number;
use super::world::World;

/// "type 4: the users in its usage rows; if none, the assigned user; if none, the calculated user; if none, the device
/// itself. Type 13: all of usage users, assigned and calculated user." None for other types.
pub fn everyone(world: &World, licence: &Licence, application: &str, device: &str) -> BTreeSet<Unit> {
    let usage = world.estate.usage.keys().filter(|(a, d, _)| a == application && d == device);
    let users: BTreeSet<Unit> = usage.map(|(_, _, user)| Unit::user(user)).collect();
    let row = world.device(device);
    let named = |user: &str| (!user.is_empty()).then(|| Unit::user(user));
    let (assigned, calculated) = (named(&row.assigned_user), named(&row.calculated_user));
    match licence.kind {
        4 if !users.is_empty() => users,
        4 => BTreeSet::from([assigned.or(calculated).unwrap_or_else(|| Unit::device(device))]),
        13 => users.into_iter().chain(assigned).chain(calculated).collect(),
        _ => BTreeSet::new(),
    }
}

/// "Only persons in scope count (a person that is a device: the device's group)."
pub fn in_scope(world: &World, licence: &Licence, application: &str, device: &str) -> BTreeSet<Unit> {
    let mut persons = everyone(world, licence, application, device);
    persons.retain(|person| {
        let group = match person.kind {
            "device" => world.device(&person.id).group.as_str(),
            _ => world.estate.users.get(&person.id).map_or("", |user| user.group.as_str()),
        };
        world.estate.in_scope(group, &licence.scope)
    });
    persons
}

/// The persons that count: in scope, and "for type 13 only users allocated to the licence".
pub fn persons(world: &World, licence: &Licence, application: &str, device: &str) -> BTreeSet<Unit> {
    let mut persons = in_scope(world, licence, application, device);
    persons.retain(|person| licence.kind != 13 || licence.user_row(&person.id).is_some());
    persons
}

/// "A user row with an exemption (types 4, 13) takes the user out".
pub fn user_exemption(licence: &Licence, person: &Unit) -> Option<usize> {
    if person.kind == "user" { licence.user_row(&person.id)?.exemption } else { None }
}

/// "*Allocated*: the licence is linked to the application and has a row for the device, or, types 4 and 13, for one of the
/// persons."
pub fn allocated(world: &World, licence: &Licence, application: &str, device: &str) -> bool {
    licence.takes_installations()
        && licence.links.contains_key(application)
        && (licence.device_row(device).is_some()
            || persons(world, licence, application, device)
                .iter()
                .any(|person| person.kind == "user" && licence.user_row(&person.id).is_some()))
}

/// "*Exempt*: the device's allocation row has an exemption, else its role is in exempt_roles.csv of the licence."
pub fn device_exemption(world: &World, licence: &Licence, device: &str) -> Option<usize> {
    let row = licence.device_row(device).and_then(|row| row.exemption);
    row.or_else(|| {
        let role = &world.device(device).role;
        if role.is_empty() { None } else { licence.exempt_roles.get(role).copied() }
    })
}

/// The number of the exemption; also "an installation left without persons is exempt for the lowest such number".
pub fn exemption(world: &World, licence: &Licence, application: &str, device: &str) -> Option<usize> {
    device_exemption(world, licence, device).or_else(|| {
        let persons = persons(world, licence, application, device);
        let taken_out: Vec<usize> = persons.iter().filter_map(|person| user_exemption(licence, person)).collect();
        if taken_out.len() == persons.len() { taken_out.into_iter().min() } else { None }
    })
}

/// "4, 13: distinct persons".
pub fn figure(world: &World, licence: &Licence, left: &[Taken]) -> Figure {
    let mut figure = Figure::default();
    for taken in left {
        for person in persons(world, licence, &taken.application, &taken.device) {
            if user_exemption(licence, &person).is_none() {
                figure.consumed.insert(person, Number::whole(1));
            }
        }
    }
    figure.today = Number::whole(figure.consumed.len());
    figure
}
