//! What other nodes read of an incarnation, and what they miss.

use super::{
    Fate, Mutation, R, READER, SENDER, Safeguard, StoreHold, X, connect_both,
    goes_on_past_the_check, is_closed_by, is_opened_by, overflow, reads_roster_at, small_rings,
    stops_past_the_check, two_nodes,
};
use crate::simulation::plan::SimOptions;
use crate::simulation::queue::SECOND;
use crate::simulation::world::World;

/// A node starts, and a message is dropped from its queue under a gap, before R reads its first
/// heartbeat. R would take the gap's count for the initial one, and never learn of the gap.
fn a_gap_before_the_first_sight(world: &mut World) {
    world.connects(READER, R);
    world.pass(3.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass(2.0);
    let x = world.joins();
    world.connects(SENDER, x);
    assert!(world.pass_until(3.0, |world| world.lease_left(x) > 0.0));
    world.pass(0.1);
    overflow(world, x);
    world.pass(2.5);
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(15.0);
}

#[test]
fn hole_11_the_first_baseline_is_zero() {
    is_closed_by(Safeguard::ZeroBaseline, &small_rings(), a_gap_before_the_first_sight);
}

/// How long a row is kept here, in seconds, instead of an hour.
fn rows_kept_for(seconds: u64) -> SimOptions {
    let mut plan = two_nodes();
    plan.bounds.row_ttl = seconds * SECOND;
    plan
}

/// R's read of the cluster table takes over a minute. Meanwhile a node starts, acknowledges
/// messages that are not published, and dies; its row expires. R never knew of it.
///
/// If all of R were stopped, its own row would expire too, and a row that vanishes is a delivery
/// gap by itself. So only its reads are stopped here.
fn a_row_that_came_and_went(world: &mut World) {
    world.connects(READER, R);
    world.pass(3.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass(2.0);
    assert_eq!(world.held(StoreHold::RosterReads(R)), 1);
    let begun = world.seconds();
    let x = world.joins();
    world.cannot_publish(x, 0);
    world.connects(SENDER, x);
    assert!(world.pass_until(3.0, |world| world.lease_left(x) > 0.0));
    world.pass(0.1);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    assert!(world.is_acked(message));
    world.dies(x);
    world.pass_to(begun + 66.5);
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(10.0);
}

#[test]
fn hole_13_a_minute_without_a_roster_read_is_a_break() {
    is_closed_by(Safeguard::ReadGap, &rows_kept_for(62), a_row_that_came_and_went);
}

/// R knows X. A message passes the check there, and X is stopped; its row expires before R reads
/// the next time. If X were forgotten with its row, no watermark would wait for the message, and X
/// would not be found dead.
fn a_row_that_vanishes(world: &mut World) {
    connect_both(world);
    stops_past_the_check(world, X);
    world.stops_all(X);
    world.pass(3.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass(32.0);
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(5.0);
    world.goes_on_all(X);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_13_a_row_that_vanished_is_a_break() {
    is_closed_by(Safeguard::VanishedRow, &rows_kept_for(30), a_row_that_vanishes);
}

/// X is fenced. The last heartbeat of its old incarnation states `left`, with a high counter; the
/// first of the new one has counter 1. If both were the same row of the store, the old one would
/// win. Then no node would know the incarnation whose message passes the check.
fn a_fresh_incarnation(world: &mut World) {
    connect_both(world);
    world.rows_are(X, Some(Fate::Lost));
    assert!(world.pass_until(10.0, |world| world.lease_left(X) <= 0.0), "it is fenced");
    world.rows_are(X, None);
    assert!(
        world.pass_until(3.0, |world| world.lease_left(X) > 0.0),
        "a new incarnation has its \
        lease"
    );
    world.rows_are(X, Some(Fate::Lost));
    stops_past_the_check(world, X);
    world.pass(14.0);
    world.rows_are(X, None);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_14_rows_are_keyed_by_the_incarnation() {
    is_opened_by(Mutation::RowsByName, &two_nodes(), a_fresh_incarnation);
}

/// The wall clock of X falls by 10 s. Its heartbeats are acknowledged and extend its lease. If they
/// were stamped by that clock, an old row would win until the clock is back where it was. Then X
/// would be dead for R while its lease holds.
fn a_clock_that_falls(world: &mut World) {
    connect_both(world);
    world.sets_clock(X, 5);
    world.pass(3.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass(4.0);
    assert!(world.pass_until(5.0, |world| world.lease_left(X) > 7.99));
    let begun = world.seconds();
    world.pass(0.05);
    world.let_go_of(StoreHold::RosterReads(R));
    world.sets_clock(X, -5);
    world.rows_are(X, Some(Fate::Lost));
    world.pass_to(begun + 5.0);
    world.rows_are(X, None);
    world.pass_to(begun + 9.0);
    world.rows_are(X, Some(Fate::Lost));
    reads_roster_at(world, R, begun + 15.1);
    world.pass_to(begun + 15.4);
    stops_past_the_check(world, X);
    world.pass(14.0);
    world.rows_are(X, None);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_14_rows_are_stamped_by_their_counters() {
    is_opened_by(Mutation::RowsByWall, &two_nodes(), a_clock_that_falls);
}
