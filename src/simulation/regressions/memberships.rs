//! Users who join rooms while they have sessions.

use super::{
    Mutation, R, READER, SENDER, Safeguard, ScriptPart, StoreHold, ThreadStep, X, connect_both,
    is_closed_by, is_opened_by, two_nodes,
};
use crate::simulation::event::{SimKey, USERS_MAX};
use crate::simulation::fault::FaultKind;
use crate::simulation::plan::SimOptions;
use crate::simulation::world::World;

/// The room; the sender and another user are members.
const ROOM: SimKey = USERS_MAX;
const OTHER: u8 = 2;

/// The sender adds the reader to the room and writes to it at once. Both are acknowledged.
fn adds_the_reader_and_says_something(world: &mut World) {
    let join = world.changes(SENDER, READER, ROOM, true).expect("the lease holds");
    world.pass(0.1);
    let message = world.says(SENDER, ROOM).expect("the sender is a member");
    world.pass(0.1);
    assert!(world.is_acked(join) && world.is_acked(message));
}

fn with_a_room() -> SimOptions {
    let mut plan = two_nodes();
    plan.size.rooms = 1;
    plan.insiders[0] = 1 << SENDER | 1 << OTHER;
    plan
}

/// The same, where a session that is read for buffers one live message.
fn with_small_buffers() -> SimOptions {
    let mut plan = with_a_room();
    plan.bounds.buffer = 1;
    plan
}

/// The reader joins, and a message is sent before the reader's node subscribes to the room: it is
/// acknowledged.
fn joins_and_misses_something(world: &mut World) {
    world.hold(StoreHold::Pushes(R));
    adds_the_reader_and_says_something(world);
    world.let_go_of(StoreHold::Pushes(R));
}

/// The read for the room takes long, and the watermark passes what was missed.
fn a_slow_read_for_a_room(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::JoinReads(R));
    joins_and_misses_something(world);
    world.pass(15.0);
    assert_eq!(world.held(StoreHold::JoinReads(R)), 1);
    world.let_go_of(StoreHold::JoinReads(R));
    world.pass(5.0);
}

#[test]
fn no_cursor_goes_above_a_joining_that_is_not_read() {
    is_closed_by(Safeguard::JoinHold, &with_a_room(), a_slow_read_for_a_room);
}

/// Another member is at the same worker, which delivered the message there before the notice came.
/// The memory's entry of the room does not count for the reader.
fn delivered_to_another_member(world: &mut World) {
    world.connects(OTHER, R);
    connect_both(world);
    joins_and_misses_something_here(world);
    world.pass(15.0);
}

/// The same, where the room is subscribed: the message comes first, and then the notice.
fn joins_and_misses_something_here(world: &mut World) {
    world.stops_before(
        X,
        ScriptPart::Worker(0),
        ThreadStep::Append(world.history.messages.len() as u8),
    );
    let join = world.changes(SENDER, READER, ROOM, true).expect("the lease holds");
    world.pass(0.1);
    assert!(world.has_passed(join));
    let message = world.says(OTHER, ROOM).expect("the other user is a member");
    world.pass(0.1);
    assert!(world.is_acked(message));
    world.goes_on(X, ScriptPart::Worker(0));
    world.pass(0.1);
    assert!(world.is_acked(join));
}

#[test]
fn what_came_before_the_notice_counts_as_not_had() {
    is_closed_by(Safeguard::PlaceByRoom, &with_a_room(), delivered_to_another_member);
}

/// A change is issued. A message is sent to the room, and a heartbeat is written: nothing seems to
/// be pending. The change passes the check, and its notices are not published.
fn a_row_before_the_notice(world: &mut World) {
    world.connects(OTHER, R);
    connect_both(world);
    world.hold(StoreHold::StoreAcks(X));
    let before = world.last_row(X);
    let join = world.history.messages.len() as u8;
    world.stops_before(X, ScriptPart::Worker(0), ThreadStep::Append(join));
    assert_eq!(world.changes(SENDER, READER, ROOM, true), Some(join), "the lease holds");
    let message = world.says(OTHER, ROOM).expect("the other user is a member");
    world.pass(0.1);
    assert!(world.is_acked(message));
    // The next heartbeat may be under way already.
    for _ in 0..2 {
        let before = world.last_row(X).max(before);
        assert!(world.pass_until(3.0, |world| world.last_row(X) > before));
    }
    world.let_go_of(StoreHold::StoreAcks(X));
    world.pass(15.0);
    assert!(world.has_passed(join));
    world.goes_on(X, ScriptPart::Worker(0));
    world.pass(5.0);
}

#[test]
fn a_change_is_pending_until_its_notices_are_answered() {
    is_opened_by(Mutation::ChangeUnentered, &with_a_room(), a_row_before_the_notice);
}

/// The reader resumes. While the subscribe of the reader's key is on its way to Redis, the reader
/// is added to the room.
fn joins_before_he_is_heard(world: &mut World) {
    world.connects(READER, X);
    world.connects(SENDER, X);
    world.pass(4.0);
    world.hold(StoreHold::Subscribes(R));
    world.connects(READER, R);
    world.pass(0.1);
    adds_the_reader_and_says_something(world);
    world.let_go_of(StoreHold::Subscribes(R));
    world.pass(20.0);
}

#[test]
fn memberships_are_read_when_their_notices_are_heard() {
    is_opened_by(Mutation::MembershipsFirst, &with_a_room(), joins_before_he_is_heard);
}

/// A repair makes a session that is read for share the watermark. Its user joins a room, and misses
/// a message of it, which the watermark passes. The session's buffer overflows, so it has a
/// position of its own at the watermark. Then the result of the read for the room comes.
fn missed_something_else(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::SessionReads(R));
    world.connects(READER, R);
    world.pass(0.5);
    assert_eq!(world.held(StoreHold::SessionReads(R)), 1);
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    world.pass(0.1);
    assert!(world.pass_until(10.0, |world| !world.is_frozen(R)), "R repairs");
    world.hold(StoreHold::JoinReads(R));
    joins_and_misses_something(world);
    let said = world.seconds();
    assert!(world.pass_until(20.0, |world| world.watermark(R) > said));
    for _ in 0..2 {
        world.sends(SENDER, READER).expect("the lease holds");
        world.pass(0.1);
    }
    world.let_go_of(StoreHold::JoinReads(R));
    world.pass(0.1);
    world.let_go_of(StoreHold::SessionReads(R));
    world.pass(20.0);
}

#[test]
fn what_is_read_for_a_room_is_kept_for_a_session_that_missed_something() {
    is_opened_by(Mutation::MissingForgotten, &with_small_buffers(), missed_something_else);
}

/// Notices are lost with the subscriber connection, and the room is not subscribed.
fn a_notice_that_is_lost(world: &mut World) {
    connect_both(world);
    world.hold(StoreHold::Pushes(R));
    adds_the_reader_and_says_something(world);
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    // It reconnects within two seconds.
    world.pass(2.1);
    world.let_go_of(StoreHold::Pushes(R));
    world.pass(20.0);
}

#[test]
fn rounds_read_memberships_again() {
    is_opened_by(Mutation::RoundsForgetMemberships, &with_a_room(), a_notice_that_is_lost);
}

/// Another device of the reader.
const SECOND: u8 = READER + 6;

/// With second devices of all, whose sessions share reads of memberships.
fn with_shared_reads() -> SimOptions {
    let mut plan = with_a_room();
    (plan.size.devices, plan.shared_reads) = (12, true);
    plan
}

/// The memberships of the reader are read for one session. Before that read ends, the node is cut from
/// Redis and the reader joins a room. Later another device of the reader comes, whose session shares
/// the read: it must claim no more than the first one.
fn joins_while_memberships_are_read(world: &mut World) {
    connect_both(world);
    world.leave(READER);
    world.pass(1.0);
    world.hold(StoreHold::Memberships(R));
    world.hold(StoreHold::RoundMemberships(R));
    world.connects(SECOND, R);
    world.pass(0.1);
    world.hold(StoreHold::Subscribes(R));
    world.strikes(FaultKind::CutSubscriber, R, 0, 0.0);
    world.pass(2.1);
    let join = world.changes(SENDER, READER, ROOM, true).expect("the lease holds");
    world.pass(0.1);
    let message = world.says(SENDER, ROOM).expect("the sender is a member");
    world.pass(20.0);
    assert!(world.is_acked(join) && world.is_acked(message) && world.is_frozen(R));
    world.connects(READER, R);
    world.pass(1.2);
    assert_eq!(world.held(StoreHold::Memberships(R)), 2);
    world.let_go_of(StoreHold::Memberships(R));
    world.pass(0.2);
    world.let_go_of(StoreHold::RoundMemberships(R));
    world.let_go_of(StoreHold::Subscribes(R));
    world.pass(20.0);
}

#[test]
fn a_shared_read_counts_from_its_begin() {
    is_opened_by(Mutation::SharedReadFresh, &with_shared_reads(), joins_while_memberships_are_read);
}
