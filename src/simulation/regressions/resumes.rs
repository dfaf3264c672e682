//! A session that is read for.

use super::{
    Fate, Mutation, R, READER, SENDER, Safeguard, Safeguards, StoreHold, X, connect_both, holds,
    is_closed_by, is_opened_by, leaves_a_hole, two_nodes, world,
};
use crate::simulation::fault::FaultKind;
use crate::simulation::plan::SimOptions;
use crate::simulation::world::World;

/// The reader resumes, and the reads of the reader's session are held back.
fn is_read_for(world: &mut World) {
    world.hold(StoreHold::SessionReads(R));
    world.connects(READER, R);
    world.pass(1.0);
    assert_eq!(world.held(StoreHold::SessionReads(R)), 1, "the session is read for");
}

/// A message is delivered while a resuming session is read for; the reads began before it.
fn delivered_during_the_reads(world: &mut World) {
    connect_both(world);
    is_read_for(world);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(1.0);
    assert!(world.is_acked(message));
    world.let_go_of(StoreHold::SessionReads(R));
    world.pass(20.0);
}

#[test]
fn hole_6_a_session_is_live_before_it_is_read_for() {
    is_opened_by(Mutation::LiveAfterReads, &two_nodes(), delivered_during_the_reads);
}

/// A message is pushed over R's subscriber connection, and lost with it.
fn loses_a_message(world: &mut World) {
    world.hold(StoreHold::Pushes(R));
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    assert!(world.is_acked(message));
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    // It reconnects within two seconds.
    world.pass(2.1);
    world.let_go_of(StoreHold::Pushes(R));
}

/// The reads of a resume begin. A message is lost with the subscriber connection, which reconnects.
/// The resume ends when all is repaired, and its reads did not find the message.
///
/// A repair reads for resuming sessions as well. Only where that read fails must the resume itself
/// know that it must not take the watermark.
fn broken_and_repaired_meanwhile(world: &mut World) {
    connect_both(world);
    is_read_for(world);
    world.plan.slow.reads_fail_in = 1000;
    loses_a_message(world);
    assert!(world.pass_until(10.0, |world| !world.is_frozen(R)), "R repairs");
    world.plan.slow.reads_fail_in = 0;
    world.let_go_of(StoreHold::SessionReads(R));
    world.pass(15.0);
}

#[test]
fn hole_7_a_resume_knows_of_a_break_since_it_began() {
    is_closed_by(Safeguard::ResumeUnbroken, &two_nodes(), broken_and_repaired_meanwhile);
}

/// The same for a repair: its reads have begun when a message is lost in another delivery gap.
fn broken_during_a_repair(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::RoundReads(R));
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    assert!(world.pass_until(5.0, |world| world.held(StoreHold::RoundReads(R)) > 0));
    loses_a_message(world);
    assert!(world.is_frozen(R), "the repair is under way");
    world.let_go_of(StoreHold::RoundReads(R));
    world.pass(20.0);
}

#[test]
fn hole_7_a_repair_knows_of_a_break_since_it_began() {
    is_closed_by(Safeguard::NoBreakSince, &two_nodes(), broken_during_a_repair);
}

/// A message comes for a user who is offline, and the watermark passes it. The user resumes. Before
/// the catch-up is delivered, a repair makes the session share the watermark.
fn a_watermark_before_the_catch_up(world: &mut World) {
    connect_both(world);
    world.leave(READER);
    world.pass(1.0);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(15.0);
    assert!(world.is_acked(message));
    is_read_for(world);
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    world.pass(5.0);
    assert!(!world.is_frozen(R), "it is repaired");
    world.let_go_of(StoreHold::SessionReads(R));
    world.pass(5.0);
}

#[test]
fn hole_8_cursors_stand_behind_the_catch_up() {
    is_closed_by(Safeguard::CursorInQueue, &two_nodes(), a_watermark_before_the_catch_up);
}

/// The second device of the reader's user.
const OTHER: u8 = 6;

/// A message has reached one replica. A read for session 1 finds it, one for session 2 does not. It
/// is acknowledged and published: session 2 does not have it.
fn found_by_one_read(world: &mut World) {
    assert_eq!(world.add_device(1), OTHER);
    world.connects(OTHER, R);
    connect_both(world);
    world.messages_are(X, Some(Fate::Spreads(3_000)));
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.1);
    world.reads_leave_out(Some(2));
    world.connects(READER, R);
    world.pass(0.5);
    world.reads_leave_out(Some(0));
    world.connects(OTHER, R);
    world.pass(0.5);
    world.reads_leave_out(None);
    assert!(!world.is_acked(message));
    world.pass(15.0);
    assert!(world.is_acked(message));
}

/// Two properties of the memory prevent this. It holds only messages that were delivered live,
/// which every later read finds. And it knows since when a session is registered. Each is enough.
#[test]
fn hole_9_the_memory_is_of_each_session() {
    let by_node = Safeguards::without(Safeguard::MemoryBySession);
    for (rules, mutation) in [
        (Safeguards::default(), None),
        (by_node, None),
        (Safeguards::default(), Some(Mutation::ReadsNoted)),
    ] {
        holds(world(&two_nodes(), rules, mutation), found_by_one_read);
    }
    leaves_a_hole(world(&two_nodes(), by_node, Some(Mutation::ReadsNoted)), found_by_one_read);
}

/// Redis is slow to answer subscribes. So a session resumes unconfirmed, and a message is not
/// received for it. The watermark passes the message. The connection breaks, and the repair makes
/// the session share the watermark: it must read from the session's own position.
fn a_repair_for_the_unconfirmed(world: &mut World) {
    world.connects(READER, X);
    world.connects(SENDER, X);
    world.pass(4.0);
    world.hold(StoreHold::Confirms(R));
    let begun = world.seconds();
    for device in [2, 3, 4, 5, READER] {
        world.connects(device, R);
        world.pass(0.02);
    }
    world.pass(1.1);
    let message = world.sends(SENDER, 1).expect("the lease holds");
    let issued = world.seconds();
    // A command is waited for for 5 s, and the reader's subscribe is in the third.
    for answered in [4.8, 9.6] {
        world.pass_to(begun + answered);
        world.let_one_go_of(StoreHold::Confirms(R));
    }
    assert!(world.pass_until(4.9, |world| world.watermark(R) > issued), "it passes");
    assert!(world.is_acked(message) && !world.is_frozen(R));
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    world.pass(0.001);
    world.let_go_of(StoreHold::Confirms(R));
    world.pass(10.0);
}

#[test]
fn hole_10_the_unconfirmed_are_read_for_from_their_own_cursors() {
    is_closed_by(Safeguard::OwnCursor, &two_nodes(), a_repair_for_the_unconfirmed);
}

/// Several commands of a subscriber connection may be under way, and nothing lingers.
fn commands_in_flight() -> SimOptions {
    let mut plan = two_nodes();
    plan.bounds.commands = 3;
    plan.bounds.linger = 0;
    plan
}

/// A session subscribes and leaves, and another subscribes again; only the first command has
/// reached Redis. Its answer comes, and the unsubscribe takes effect before the second subscribe
/// does. A message published in between is not received.
fn subscribed_twice(world: &mut World) {
    world.connects(READER, X);
    world.connects(SENDER, X);
    world.pass(4.0);
    world.hold(StoreHold::Confirms(R));
    world.connects(READER, R);
    world.pass(0.1);
    assert_eq!(world.held(StoreHold::Confirms(R)), 1);
    world.hold(StoreHold::Subscribes(R));
    world.leave(READER);
    world.pass(0.1);
    world.connects(READER, R);
    world.pass(0.1);
    assert_eq!(world.held(StoreHold::Subscribes(R)), 2);
    world.let_go_of(StoreHold::Confirms(R));
    world.pass(1.5);
    world.let_one_go_of(StoreHold::Subscribes(R));
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(0.5);
    assert!(world.is_acked(message));
    world.let_go_of(StoreHold::Subscribes(R));
    world.pass(15.0);
}

#[test]
fn hole_18_a_subscribe_is_confirmed_by_its_own_answer() {
    is_closed_by(Safeguard::LastSubscribe, &commands_in_flight(), subscribed_twice);
}
