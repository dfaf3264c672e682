//! From an id to its check.

use super::{
    Fate, FaultKind, Mutation, R, READER, SENDER, ScriptPart, StoreHold, ThreadStep, X,
    connect_both, goes_on_past_the_check, is_opened_by, two_nodes,
};
use crate::simulation::world::World;

/// The store takes 17 s for a message. The worker begins another job 4 s after the id, and is
/// stopped in it. Meanwhile a session resumes at 16.5, does not find the message, and has a cursor
/// of 1.5. The worker goes on, and the acknowledgement is there. By the time at which its job began
/// the message is 4 s old.
fn an_old_time(world: &mut World) {
    connect_both(world);
    world.messages_are(X, Some(Fate::After(17_000)));
    world.sends(SENDER, 1).expect("the lease holds");
    let issued = world.seconds();
    world.messages_are(X, None);
    world.pass_to(issued + 3.5);
    world.stops_before(X, ScriptPart::Worker(0), ThreadStep::Flush);
    world.pass_to(issued + 16.5);
    world.connects(READER, R);
    world.pass_to(issued + 17.1);
    world.goes_on(X, ScriptPart::Worker(0));
    world.pass(1.0);
    world.sends(SENDER, 1);
}

#[test]
fn hole_15_the_check_reads_the_clocks_itself() {
    is_opened_by(Mutation::CachedTime, &two_nodes(), an_old_time);
}

/// A heartbeat's snapshot is taken between the issue of an id and its entry: nothing seems to be
/// pending. The message passes the check, and the worker is stopped, so all later heartbeats repeat
/// that snapshot.
fn a_snapshot_before_the_entry(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::Entries(X));
    world.stops_before(X, ScriptPart::Worker(0), ThreadStep::Append(0));
    let before = world.last_row(X);
    world.sends(SENDER, 1).expect("the lease holds");
    assert!(world.pass_until(4.0, |world| world.last_row(X) > before));
    world.let_go_of(StoreHold::Entries(X));
    world.pass(15.0);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_16_an_id_is_entered_as_it_is_issued() {
    is_opened_by(Mutation::LateEntry, &two_nodes(), a_snapshot_before_the_entry);
}

/// A node's wall clock steps back by 20 s, four times what the margins allow for. Its ids go on
/// just above the last, so after 18 s they are older than the cursor of a session that resumes on
/// another node. With the check, the node takes no sends until its clock is right again.
fn a_clock_that_is_20_seconds_behind(world: &mut World) {
    connect_both(world);
    world.sets_clock(X, -20);
    // For a third of this time.
    world.strikes(FaultKind::RefuseClock, X, 0, 90.0);
    world.pass(18.0);
    world.connects(READER, R);
    world.pass(2.0);
    world.sends(SENDER, 1);
    world.pass(5.0);
    world.sets_clock(X, 0);
    world.pass(10.0);
    world.connects(SENDER, X);
    world.pass(2.0);
    world.sends(SENDER, 1);
}

#[test]
fn a_node_whose_clock_is_wrong_takes_no_sends() {
    is_opened_by(Mutation::ClockIgnored, &two_nodes(), a_clock_that_is_20_seconds_behind);
}
