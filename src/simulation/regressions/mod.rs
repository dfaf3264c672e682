//! The interleavings that earlier wordings of the rules missed, as scripts. Each passes under the
//! rules. Each leaves a hole below a cursor where the rule that closes it is off, or where the
//! loops make the mistake that the rule forbids.
//!
//! | file | holds |
//! | --- | --- |
//! | `leases` | which incarnation may still issue, and which is dead: 1, 2, 5 |
//! | `rows` | what others read of an incarnation: 11, 13, 14 |
//! | `shards` | other primaries, and messages that are given up on: 3, 4, 12 |
//! | `sends` | from an id to its check: 15, 16, a clock that is wrong |
//! | `resumes` | a session that is read for: 6, 7, 8, 9, 10, 18 |
//! | `workers` | several workers of a node: 17 |
//! | `memberships` | users who join rooms while they have sessions |

use super::fault::FaultKind;
use super::mutations::Mutation;
use super::oracle::Broken;
use super::plan::SimOptions;
use super::script::{Fate, ScriptPart, StoreHold};
use super::thread::ThreadStep;
use super::world::World;
use crate::cluster::{Safeguard, Safeguards};

mod leases;
mod links;
mod memberships;
mod resumes;
mod rows;
mod sends;
mod workers;

/// Node 0 sends, as device 0 of user 0; node 1 is read from, by device 1 of user 1.
const X: u8 = 0;
const R: u8 = 1;
const SENDER: u8 = 0;
const READER: u8 = 1;

/// The steps of an interleaving.
type Script = fn(&mut World);

/// A node that sends and one that is read from, with one worker each, on one shard.
fn two_nodes() -> SimOptions {
    SimOptions::calm(2, 1, 1)
}

/// The same, where so few publishes wait for a shard that those of one message fill its queue.
fn small_rings() -> SimOptions {
    let mut plan = two_nodes();
    plan.bounds.queue_max = 2;
    plan
}

/// While an answer is waited for, messages fill the queue of `x`, and the last is dropped.
fn overflow(world: &mut World, x: u8) {
    world.hold(StoreHold::Answers(x));
    for _ in 0..3 {
        world.sends(SENDER, 1).expect("the lease holds");
        world.pass(0.02);
    }
    // The gap is raised within a second.
    world.pass(1.1);
    world.let_go_of(StoreHold::Answers(x));
}

fn world(plan: &SimOptions, rules: Safeguards, mutation: Option<Mutation>) -> World {
    let mut world = World::scripted_with(plan.clone(), rules);
    world.controls.mutation = mutation;
    world
}

/// Nothing is wrong, and in the end the reader has what was sent, and a cursor above it.
fn holds(mut world: World, script: Script) {
    script(&mut world);
    let has_everything = world.pass_until(60.0, |world| world.has_everything(READER));
    assert_eq!(world.report.objection, None);
    assert!(has_everything, "the reader's cursor stays at {:?}", world.cursor(READER));
}

fn leaves_a_hole(mut world: World, script: Script) {
    script(&mut world);
    assert_eq!(world.report.objection.map(|objection| objection.broken), Some(Broken::Hole));
}

fn is_closed_by(rule: Safeguard, plan: &SimOptions, script: Script) {
    holds(world(plan, Safeguards::default(), None), script);
    leaves_a_hole(world(plan, Safeguards::without(rule), None), script);
}

fn is_opened_by(mutation: Mutation, plan: &SimOptions, script: Script) {
    holds(world(plan, Safeguards::default(), None), script);
    leaves_a_hole(world(plan, Safeguards::default(), Some(mutation)), script);
}

/// Both are connected, and hold cursors: a client without a cursor is owed nothing.
fn connect_both(world: &mut World) {
    world.connects(SENDER, X);
    world.connects(READER, R);
    assert!(world.pass_until(5.0, |world| world.cursor(READER).is_some()));
    world.pass(1.0);
}

/// A node's next read of the cluster table begins at this second of true time: the one before is
/// slow.
fn reads_roster_at(world: &mut World, node: u8, second: f64) {
    world.pass_to(second - 4.0);
    world.hold(StoreHold::RosterReads(node));
    world.pass_to(second);
    world.let_go_of(StoreHold::RosterReads(node));
}

/// A message of the sender passes the check, and its worker is stopped before the next step.
fn stops_past_the_check(world: &mut World, node: u8) {
    let message = world.history.messages.len() as u8;
    world.stops_before(node, ScriptPart::Worker(0), ThreadStep::Append(message));
    assert_eq!(world.sends(SENDER, 1), Some(message), "the lease holds");
    world.pass(0.1);
    assert!(world.has_passed(message));
}

/// The worker goes on: the message is acknowledged, and published only now.
fn goes_on_past_the_check(world: &mut World, node: u8) {
    world.goes_on(node, ScriptPart::Worker(0));
    world.pass(5.0);
    assert!(world.is_acked(world.history.messages.len() as u8 - 1));
}
