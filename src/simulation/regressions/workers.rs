//! Several workers of a node.

use super::{
    Mutation, R, READER, SENDER, ScriptPart, StoreHold, X, connect_both, is_opened_by,
    stops_past_the_check,
};
use crate::simulation::plan::SimOptions;
use crate::simulation::world::World;

/// Two workers per node: the reader's is the second of R.
fn two_workers() -> SimOptions {
    SimOptions::calm(2, 2, 1)
}

/// A message that X held back for long is in the queue of R's second worker. X reports that
/// everything is settled, R's canary comes back, and the watermark passes the message. The first
/// worker has the watermark at once; the second must get it after the items in its queue.
fn a_watermark_for_two_workers(world: &mut World) {
    connect_both(world);
    // X sends no canaries, which would wait at its worker and cost it its connections.
    world.hold(StoreHold::RosterReads(X));
    world.pass(2.1);
    stops_past_the_check(world, X);
    world.pass(12.0);
    // X's next heartbeat is written when the message is confirmed.
    let before = world.last_row(X);
    assert!(world.pass_until(5.0, |world| world.last_row(X) > before));
    world.stops(X, ScriptPart::Loop);
    // A canary would wait in the queue that is to stand still, so the other worker must send them.
    assert!(world.pass_until(5.0, |world| world.canaries_by(R) == 0));
    assert!(world.pass_until(5.0, |world| world.canaries_by(R) == 1));
    world.pass(0.1);
    world.hold(StoreHold::Queue(R, 1));
    world.goes_on(X, ScriptPart::Worker(0));
    world.pass(0.1);
    assert_eq!(world.held(StoreHold::Queue(R, 1)), 1, "the message is in the queue");
    world.goes_on(X, ScriptPart::Loop);
    world.pass(2.0);
    world.let_go_of(StoreHold::Queue(R, 1));
    world.let_go_of(StoreHold::RosterReads(X));
    world.pass(5.0);
}

#[test]
fn hole_17_the_watermark_stands_in_each_queue() {
    is_opened_by(Mutation::SharedWatermark, &two_workers(), a_watermark_for_two_workers);
}

/// A message is in the queue of a worker when the session that it is for moves to another.
fn moved_with_something_queued(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::Queue(R, 1));
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    assert!(world.is_acked(message));
    assert_eq!(world.held(StoreHold::Queue(R, 1)), 1, "the message is in the queue");
    world.moves(READER, 0);
    world.pass(0.1);
    world.let_go_of(StoreHold::Queue(R, 1));
    world.pass(15.0);
}

#[test]
fn hole_17_a_session_that_moves_resumes() {
    is_opened_by(Mutation::MovedUndrained, &two_workers(), moved_with_something_queued);
}
