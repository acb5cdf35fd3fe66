//! Numbers: normalised ones, own ones, ones that run out, and lists that leave nobody.

use super::super::*;
use super::fixture::*;
use crate::formats::failover::{ENTRIES_MAX, Priority, Server};

/// A chain that compares what the default device does not know: it changes nothing.
const NOTHING: &str = "MgsSiteMatch";

fn numbered(raw: &[u32]) -> Vec<Server> {
    let names: Vec<String> = (0..raw.len()).map(|number| format!("b{number}")).collect();
    let mut servers = list(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for (server, raw) in servers.iter_mut().zip(raw) {
        server.priority = Some(Priority::Number(*raw));
    }
    servers
}

fn own(server: &mut Server, priority: Option<Priority>) {
    (server.auto_priority, server.priority) = (false, priority);
}

fn ordered(chain: &str, servers: &[Server]) -> Order {
    order(&settings(chain), servers, &Device::default(), &Measures::default(), &mut rng()).unwrap()
}

#[test]
fn raw_priorities_are_brought_into_the_range_by_their_order_alone() {
    let servers = numbered(&[34, 96, 12, 242]);
    let mut settings = settings(NOTHING);
    (settings.highest_priority, settings.lowest_priority) = (1, 5);
    let order = order(&settings, &servers, &Device::default(), &Measures::default(), &mut rng()).unwrap();
    assert_eq!(priorities(&order, &servers), [Some(2), Some(3), Some(1), Some(4)]);
    assert_eq!(tried(&order, &servers), ["b2", "b0", "b1", "b3"]);
}

#[test]
fn a_random_order_gives_the_automatic_ones_one_to_four_and_leaves_the_own_five_alone() {
    let mut servers = list(&["a", "b", "c", "d", "e"]);
    own(&mut servers[4], Some(Priority::Number(5)));
    let mut rng = rng();
    for _ in 0..100 {
        let settings = settings("MgsRandom");
        let order = order(&settings, &servers, &Device::default(), &Measures::default(), &mut rng).unwrap();
        let mut given = priorities(&order, &servers);
        assert_eq!(given.pop(), Some(Some(5)));
        given.sort_unstable();
        assert_eq!(given, [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(order.choices[4].reason, Reason::OwnPriority);
    }
}

#[test]
fn servers_without_a_priority_follow_those_with_one_and_equal_ones_stand_as_in_the_list() {
    let mut servers = numbered(&[7, 0, 7, 3, 0]);
    (servers[1].priority, servers[4].priority) = (None, Some(Priority::Invalid));
    let order = ordered(NOTHING, &servers);
    assert_eq!(tried(&order, &servers), ["b3", "b0", "b2", "b1", "b4"], "an automatic `invalid` is found anew");
    assert_eq!(order.choices[0].reason.to_string(), "its place in the list");
}

#[test]
fn an_own_priority_is_kept_wherever_it_puts_the_server() {
    let mut servers = list(&["a", "b", "c", "d", "e", "f"]);
    own(&mut servers[0], Some(Priority::Number(u32::MAX)));
    own(&mut servers[2], Some(Priority::Number(0)));
    own(&mut servers[4], None);
    own(&mut servers[5], Some(Priority::Invalid));
    let order = ordered(NOTHING, &servers);
    assert_eq!(priorities(&order, &servers), [Some(u32::MAX), Some(1), Some(0), Some(2), Some(100), None]);
    assert_eq!(tried(&order, &servers), ["c", "b", "d", "e", "a"]);
    assert_eq!(order.left_out, [LeftOut { id: servers[5].id, why: Exclusion::OwnPriority }]);
    assert_eq!(order.left_out[0].why.to_string(), "its own priority is `invalid`");
}

#[test]
fn where_an_own_number_meets_a_given_one_the_list_decides() {
    let mut servers = list(&["a", "b", "c", "d"]);
    own(&mut servers[1], Some(Priority::Number(1)));
    own(&mut servers[3], Some(Priority::Number(2)));
    // a gets 1 and c gets 2.
    assert_eq!(tried(&ordered(NOTHING, &servers), &servers), ["a", "b", "c", "d"]);
    servers.swap(0, 1);
    servers.swap(2, 3);
    assert_eq!(tried(&ordered(NOTHING, &servers), &servers), ["b", "a", "d", "c"]);
}

#[test]
fn when_the_numbers_run_out_the_rest_shares_the_lowest_and_keeps_its_order() {
    let mut servers = numbered(&[50, 40, 30, 20, 10, 0]);
    own(&mut servers[5], Some(Priority::Number(6)));
    let mut settings = settings(NOTHING);
    (settings.highest_priority, settings.lowest_priority) = (5, 6);
    let order = order(&settings, &servers, &Device::default(), &Measures::default(), &mut rng()).unwrap();
    assert_eq!(tried(&order, &servers), ["b4", "b3", "b2", "b1", "b0", "b5"]);
    assert_eq!(priorities(&order, &servers), [Some(6), Some(6), Some(6), Some(6), Some(5), Some(6)]);
}

#[test]
fn a_range_at_the_end_of_the_numbers_or_turned_round_breaks_nothing() {
    let servers = list(&["a", "b", "c"]);
    for (highest, lowest) in [(u32::MAX, u32::MAX), (u32::MAX, 0), (9, 3)] {
        let mut settings = settings(NOTHING);
        (settings.highest_priority, settings.lowest_priority) = (highest, lowest);
        let order = order(&settings, &servers, &Device::default(), &Measures::default(), &mut rng()).unwrap();
        assert_eq!(priorities(&order, &servers), [Some(highest); 3]);
        assert_eq!(tried(&order, &servers), ["a", "b", "c"]);
    }
}

#[test]
fn a_list_that_leaves_nobody_is_an_error_that_says_why() {
    let mut servers = list(&["a.test", "b.test"]);
    own(&mut servers[1], Some(Priority::Invalid));
    let device = Device { site: "lab-a".into(), ..Device::default() };
    let chain = "MgsMoon;MgsSiteMatch(,true);MgsRandom";
    let none = order(&settings(chain), &servers, &device, &Measures::default(), &mut rng()).unwrap_err();
    assert_eq!(none.to_string(), "none of the 2 servers of the failover list may be used");
    let OrderError::NoneUsable { left_out, findings } = none else { panic!("{none}") };
    let told: Vec<String> = left_out.iter().map(|out| out.why.to_string()).collect();
    assert_eq!(told, ["its own priority is `invalid`", "discarded by MgsSiteMatch: other site"]);
    assert_eq!(findings.len(), 1);
    let empty = order(&settings(chain), &[], &device, &Measures::default(), &mut rng());
    assert_eq!(empty, Err(OrderError::Empty));
}

#[test]
fn a_wrong_chain_leaves_every_server_in_its_place() {
    let servers = list(&["a", "b"]);
    let order = ordered("MgsMoon;MgsPing(x);MgsDHCP", &servers);
    assert_eq!(tried(&order, &servers), ["a", "b"]);
    assert_eq!(order.findings.iter().map(|finding| finding.call).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn servers_past_the_bound_of_a_list_are_told() {
    let servers: Vec<Server> = (0..ENTRIES_MAX + 2).map(|_| list(&["a"]).remove(0)).collect();
    let order = ordered(NOTHING, &servers);
    assert_eq!((order.choices.len(), order.left_out.len()), (ENTRIES_MAX, 2));
    assert_eq!(order.left_out[0].why, Exclusion::PastList);
}

#[test]
fn an_order_hands_its_places_to_the_one_that_stays() {
    let servers = numbered(&[3, 1, 2]);
    assert_eq!(ordered(NOTHING, &servers).servers()[..], [1, 2, 0]);
}
