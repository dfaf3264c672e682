//! Other primaries, and messages that are given up on.

use super::{
    Fate, R, READER, SENDER, Safeguard, Safeguards, ScriptPart, StoreHold, ThreadStep, X,
    connect_both, goes_on_past_the_check, holds, is_closed_by, overflow, small_rings, two_nodes,
    world,
};
use crate::simulation::fault::FaultKind;
use crate::simulation::world::World;

/// X cannot publish for long, so its heartbeat names no run. R moves to primary B and repairs. X
/// comes back on A, where a message is confirmed that R does not receive, and moves to B. R sees
/// only the heartbeat after it: B, everything settled.
///
/// A heartbeat that still names A would keep R from repairing, so none must.
fn over_to_another_primary(world: &mut World) {
    connect_both(world);
    world.fails_over(0, &[X]);
    world.cannot_publish(X, 0);
    world.pass(9.0);
    world.strikes(FaultKind::CutPublisher, R, 0, 0.0);
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    world.pass(0.1);
    assert!(world.is_frozen(R));
    assert!(world.pass_until(10.0, |world| !world.is_frozen(R)), "R repairs");
    world.rows_are(X, Some(Fate::Lost));
    world.can_publish(X);
    world.pass(2.1);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    assert!(world.is_acked(message));
    world.finds_primaries(X);
    world.strikes(FaultKind::CutPublisher, X, 0, 0.0);
    world.pass(2.1);
    world.rows_are(X, None);
    world.pass(15.0);
}

#[test]
fn hole_3_an_epoch_tells_of_another_primary() {
    is_closed_by(Safeguard::Epoch, &two_nodes(), over_to_another_primary);
}

/// Redis does not answer, so a message is given up on under a gap while another is still being
/// written. R reads the heartbeat, and repairs before that one can be read. If the gap covered it,
/// the watermark would pass it.
fn a_gap_during_a_write(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::Answers(X));
    world.sends(SENDER, 1).expect("the lease holds");
    let begun = world.seconds();
    world.pass_to(begun + 8.0);
    world.hold(StoreHold::RosterReads(R));
    world.pass_to(begun + 9.0);
    world.stops(X, ScriptPart::Loop);
    world.pass_to(begun + 9.9);
    world.messages_are(X, Some(Fate::After(4_900)));
    world.stops_before(X, ScriptPart::Worker(0), ThreadStep::Append(1));
    world.sends(SENDER, 1).expect("the lease holds");
    // The gap is raised within a second.
    world.pass_to(begun + 11.2);
    world.let_go_of(StoreHold::Answers(X));
    world.goes_on(X, ScriptPart::Loop);
    world.pass(0.1);
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(20.0);
    goes_on_past_the_check(world, X);
}

#[test]
fn hole_4_a_gap_covers_only_what_is_gone() {
    is_closed_by(Safeguard::GapAfterDrop, &two_nodes(), a_gap_during_a_write);
}

/// A message is dropped from a queue under a gap, and R repairs. Later another is dropped. A
/// heartbeat that only states that there was a gap looks like the one before.
fn a_second_gap(world: &mut World) {
    connect_both(world);
    overflow(world, X);
    world.pass(22.0);
    assert!(world.has_everything(READER) && !world.is_frozen(R));
    overflow(world, X);
    world.pass(15.0);
}

#[test]
fn hole_4_a_gap_is_told_from_the_one_before() {
    is_closed_by(Safeguard::GapNumber, &small_rings(), a_second_gap);
}

/// X publishes to primary B, and R still subscribes at A. A message is published that R does not
/// receive, and X leaves. R sees only a heartbeat of X with `left`, and with another run than R's.
fn a_last_row_on_another_primary(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::RosterReads(R));
    world.pass(2.0);
    world.fails_over(0, &[]);
    world.strikes(FaultKind::CutPublisher, X, 0, 0.0);
    world.pass(2.1);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    assert!(world.is_acked(message));
    world.leaves(X);
    assert!(world.pass_until(4.0, |world| !world.is_alive(world.life(X))), "it has left");
    world.let_go_of(StoreHold::RosterReads(R));
    world.pass(15.0);
}

#[test]
fn hole_12_a_last_row_is_compared_like_any_other() {
    is_closed_by(Safeguard::LeftCompared, &two_nodes(), a_last_row_on_another_primary);
}

/// The row stays for an hour, and names the other run all the time: that is one delivery gap.
#[test]
fn hole_12_a_last_row_differs_once() {
    holds(world(&two_nodes(), Safeguards::default(), None), |world| {
        a_last_row_on_another_primary(world);
        for _ in 0..30 {
            world.pass(1.0);
            assert!(!world.is_frozen(R));
            assert!(world.seconds() - world.watermark(R) < 14.0);
        }
    });
}
