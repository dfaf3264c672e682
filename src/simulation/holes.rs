//! The interleavings that earlier wordings of the rules fell to, as scripts. Each passes under the
//! rules, and leaves a hole below a cursor with the rule off that closes it.

use super::referee::Broken;
use super::script::{Fate, Hold, Part};
use super::slip::Slip;
use super::thread::Step;
use super::world::World;
use crate::roster::{Rule, Rules};

/// Node 0 sends, as device 0 of user 0; node 1 is read from, by device 1 of user 1.
const X: u8 = 0;
const R: u8 = 1;
const SENDER: u8 = 0;
const READER: u8 = 1;

fn holds_under_the_rules(script: fn(&mut World)) {
    let mut world = World::scripted(2, Rules::default());
    script(&mut world);
    assert_eq!(world.objection, None);
}

fn leaves_a_hole(mut world: World, script: fn(&mut World)) {
    script(&mut world);
    assert_eq!(world.objection.map(|objection| objection.broken), Some(Broken::Hole));
}

/// A row is begun 7.9 s into the lease, and its node is stopped. Another finds it dead 15 s after
/// the last row that it saw, repairs and leaves it out. The row is acknowledged, the node wakes and
/// handles that first. Was its lease carried to 15.9 s by it, a message passes the check that
/// nobody waits for.
fn a_lease_that_ran_out(world: &mut World) {
    world.connects(SENDER, X);
    world.connects(READER, R);
    world.pass(3.0);
    world.hold(Hold::RosterReads(R));
    assert!(world.pass_until(5.0, |world| world.lease_left(X) > 7.99));
    let begun = world.seconds();
    world.rows_are(X, Some(Fate::Lost));
    world.pass(0.05);
    world.let_go_of(Hold::RosterReads(R));

    world.pass_to(begun + 5.9);
    world.stops(X, Part::Loop);
    world.pass_to(begun + 7.9);
    world.rows_are(X, Some(Fate::After(7_200)));
    world.goes_on(X, Part::Loop);
    world.pass(0.05);
    world.stops(X, Part::Loop);
    world.rows_are(X, None);

    // A slow read, so that the next begins as soon as the node may be found dead.
    world.pass_to(begun + 9.0);
    world.hold(Hold::RosterReads(R));
    world.pass_to(begun + 13.06);
    world.let_go_of(Hold::RosterReads(R));
    world.pass_to(begun + 15.2);
    world.goes_on(X, Part::Loop);
    world.pass(0.02);
    world.stops_before(X, Part::Worker(0), Step::Append(0));
    world.sends(SENDER, 1).expect("some incarnation holds a lease");
    world.pass(30.0);
    world.goes_on(X, Part::Worker(0));
    world.pass(5.0);
    assert!(world.is_acked(0));
}

#[test]
fn hole_2_a_lease_that_ran_out_is_not_revived() {
    holds_under_the_rules(a_lease_that_ran_out);
    let world = World::scripted(2, Rules::without(Rule::StickyLease));
    leaves_a_hole(world, a_lease_that_ran_out);
}

/// A message is delivered while a session that resumes is read for; the reads began before it.
fn delivered_during_the_reads(world: &mut World) {
    world.connects(SENDER, X);
    world.connects(READER, R);
    world.pass(3.0);
    assert!(world.cursor(READER).is_some(), "without one it would be owed nothing");
    world.hold(Hold::SessionReads(R));
    world.connects(READER, R);
    world.pass(1.0);
    assert_eq!(world.held(Hold::SessionReads(R)), 1, "the session is read for");
    let message = world.sends(SENDER, 1).expect("the lease holds");
    world.pass(1.0);
    assert!(world.is_acked(message));
    world.let_go_of(Hold::SessionReads(R));
    world.pass(20.0);
    let lag = world.cursor(READER).map(|cursor| world.seconds() - cursor);
    assert!(world.objection.is_some() || lag.is_some_and(|lag| lag < 15.0), "{lag:?}");
}

#[test]
fn hole_6_a_session_is_live_before_it_is_read_for() {
    holds_under_the_rules(delivered_during_the_reads);
    let mut world = World::scripted(2, Rules::default());
    world.slip = Some(Slip::LiveAfterReads);
    leaves_a_hole(world, delivered_during_the_reads);
}
