//! Leases: which incarnation may still issue, and which is dead.

use super::{
    Fate, R, READER, SENDER, Safeguard, ScriptPart, StoreHold, X, connect_both,
    goes_on_past_the_check, is_closed_by, reads_roster_at, stops_past_the_check, two_nodes,
};
use crate::simulation::world::World;

/// The common part of holes 1 and 2. The heartbeat that a lease begins with was written at `begun`
/// and is read; none after it is seen. One more is begun 7.9 s into the lease, and its node is
/// stopped. R finds it dead after 15 s, and repairs. Then that heartbeat is acknowledged, and the
/// node handles this first. With a lease of 15.9 s a message would pass that no watermark waits
/// for.
fn wakes_with_an_acknowledgement(world: &mut World, node: u8, begun: f64) {
    world.pass_to(begun + 5.9);
    world.stops(node, ScriptPart::Loop);
    world.pass_to(begun + 7.9);
    world.rows_are(node, Some(Fate::After(7_200)));
    world.goes_on(node, ScriptPart::Loop);
    world.pass(0.05);
    world.stops(node, ScriptPart::Loop);
    world.rows_are(node, None);
    reads_roster_at(world, R, begun + 15.06);
    world.pass_to(begun + 15.2);
    world.goes_on(node, ScriptPart::Loop);
    world.pass(0.02);
    stops_past_the_check(world, node);
    world.pass(30.0);
    goes_on_past_the_check(world, node);
}

/// The first heartbeat of a new node is read and never acknowledged, and none after it is written:
/// R finds the node dead, repairs and leaves it out. A heartbeat that was begun in time is
/// acknowledged at 15.1, and x would begin.
///
/// The loop gives up an incarnation that no other node knows when the lease of its first heartbeat
/// ends. So the acknowledgement must wait for a loop that is stopped, as in hole 2.
fn a_birth_after_death(world: &mut World) {
    world.connects(READER, R);
    world.pass(3.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass(4.0);
    let x = world.nodes.len() as u8;
    world.rows_are(x, Some(Fate::Unheard));
    assert_eq!(world.joins(), x);
    assert!(world.pass_until(2.0, |world| world.last_row(x) > 0.0));
    let begun = world.last_row(x);
    world.rows_are(x, Some(Fate::Lost));
    world.connects(SENDER, x);
    world.pass(0.05);
    world.let_go_of(StoreHold::RosterReads(R));
    wakes_with_an_acknowledgement(world, x, begun);
}

#[test]
fn hole_1_a_birth_within_the_first_lease() {
    is_closed_by(Safeguard::Birth, &two_nodes(), a_birth_after_death);
}

/// A heartbeat is begun 7.9 s into the lease, and its node is stopped. Another finds it dead 15 s
/// after the last heartbeat that it read, repairs and leaves it out. The heartbeat is acknowledged,
/// and the node wakes and handles that first. If it extended the lease to 15.9 s, a message would
/// pass the check.
fn a_lease_that_ran_out(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::RosterReads(R));
    world.pass(4.0);
    assert!(world.pass_until(5.0, |world| world.lease_left(X) > 7.99));
    let begun = world.seconds();
    world.rows_are(X, Some(Fate::Lost));
    world.pass(0.05);
    world.let_go_of(StoreHold::RosterReads(R));
    wakes_with_an_acknowledgement(world, X, begun);
}

#[test]
fn hole_2_a_lease_that_ran_out_is_not_revived() {
    is_closed_by(Safeguard::StickyLease, &two_nodes(), a_lease_that_ran_out);
}

/// A heartbeat is lost, so two reads show the same counter. The second of them takes 15 s. X is
/// healthy all the time. If X counted as dead by the end of that read, it would be left out, and
/// its messages with it.
fn a_read_of_15_seconds(world: &mut World) {
    connect_both(world);
    world.rows_are(X, Some(Fate::Lost));
    world.pass(2.1);
    world.hold(StoreHold::RosterReads(R));
    world.pass(2.1);
    assert_eq!(world.held(StoreHold::RosterReads(R)), 1);
    world.rows_are(X, None);
    world.pass(15.5);
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(3.0);
    stops_past_the_check(world, X);
    world.pass(14.0);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_5_death_is_judged_up_to_the_begin_of_a_read() {
    is_closed_by(Safeguard::DeathByReads, &two_nodes(), a_read_of_15_seconds);
}
