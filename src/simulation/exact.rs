//! Profiles with right clocks in which one thing goes wrong, to measure how far the watermarks are
//! behind: four nodes, two shards, clients that reconnect.

use super::event::Act;
use super::fault::FaultKind;
use super::plan::{SimOptions, Trust};
use super::profile::Profile;
use super::queue::{MILLI, SECOND, Time};
use super::rng::Rng;
use super::store::{Delay, Writing};

/// Nodes.
const NODES: u8 = 4;

/// Shards.
const SHARDS: u8 = 2;

/// The node that is affected.
const X: u8 = 0;

/// Cuts off a node's subscribers too, not only its publishers.
const ALL_LINKS: u8 = 8;
const PUBLISHERS_ONLY: u8 = 0;

/// When it happens.
const AT: Time = 40 * SECOND;

/// How long a shard, Redis or a node is down.
pub const OUTAGE: Time = 180 * SECOND;

/// How long a node is stopped.
pub const STOP: Time = 40 * SECOND;

/// From the restart of one node to that of the next.
const NEXT_RESTART: Time = 25 * SECOND;

/// From one fence to the next.
const NEXT_FENCE: Time = 30 * SECOND;

/// Makes the plan of an exact profile.
pub fn shape(profile: Profile, plan: &mut SimOptions, rng: &mut Rng) {
    *plan = SimOptions { profile, ..SimOptions::calm(NODES, 1, SHARDS) };
    usual(plan);
    match profile {
        Profile::Steady => {}
        Profile::SlowOperations => slow_operations(plan),
        Profile::RollingRestart => rolling_restart(plan),
        Profile::OneKilled => hits(plan, FaultKind::Kill, (X, 0), 20 * SECOND),
        Profile::OneStopped => one_stopped(plan),
        Profile::ShardDown => shards_down(plan, 1),
        Profile::RedisDown => shards_down(plan, SHARDS),
        Profile::OldPrimary => fails_over(plan),
        Profile::CutOff => hits(plan, FaultKind::Unreachable, (X, ALL_LINKS), OUTAGE),
        Profile::PublisherAway => publisher_away(plan),
        Profile::Fencing => fencing(plan),
        _ => flickering_death(plan),
    }
    let seconds = plan.size.active / SECOND;
    let every = (seconds / 60).max(2) * SECOND;
    for at in (10 * SECOND..plan.size.active - 5 * SECOND).step_by(every as usize) {
        let device = rng.below(u64::from(plan.size.devices)) as u8;
        plan.act(at + rng.below(SECOND), device, Act::Send);
    }
}

fn usual(plan: &mut SimOptions) {
    plan.clocks = Trust::Exact;
    let writing = Writing { delay: Delay::steady(5 * MILLI), lost_in: 0, unheard_in: 0 };
    (plan.slow.messages, plan.slow.rows) = (writing, writing);
    (plan.slow.roster, plan.slow.reads) = (writing.delay, writing.delay);
    let size = &mut plan.size;
    (size.users, size.devices, size.acts) = (4, 6, 30);
    size.active = 120 * SECOND;
}

/// Adds one fault, with time until well after it.
fn hits(plan: &mut SimOptions, kind: FaultKind, whom: (u8, u8), span: Time) {
    plan.strike(AT, kind, whom, span);
    plan.size.active = plan.size.active.max(AT + span + 50 * SECOND);
}

/// Store operations take 0.5 to 2 s.
fn slow_operations(plan: &mut SimOptions) {
    let slow = Delay { usual: SECOND, slow_in: 300, slow: 500 * MILLI };
    (plan.slow.messages.delay, plan.slow.rows.delay) = (slow, slow);
    // A resume's read is two operations, and drawn as two.
    (plan.slow.roster, plan.slow.reads) = (slow, slow);
}

fn rolling_restart(plan: &mut SimOptions) {
    for node in 0..NODES {
        let at = AT + Time::from(node) * NEXT_RESTART;
        plan.strike(at, FaultKind::Leave, (node, 0), 0);
    }
    plan.size.active = AT + Time::from(NODES) * NEXT_RESTART + 40 * SECOND;
}

fn one_stopped(plan: &mut SimOptions) {
    hits(plan, FaultKind::StopNode, (X, 0), STOP);
    plan.watched = !(1 << X);
}

fn shards_down(plan: &mut SimOptions, shards: u8) {
    (0..shards).for_each(|shard| hits(plan, FaultKind::Crash, (X, shard), OUTAGE));
}

/// All nodes but one move to another primary; the old one lives on.
fn fails_over(plan: &mut SimOptions) {
    hits(plan, FaultKind::Failover, (X, 0), OUTAGE);
    for node in X + 1..NODES {
        plan.strike(AT + SECOND, FaultKind::CutSubscriber, (node, 0), 0);
        plan.strike(AT + SECOND, FaultKind::CutPublisher, (node, 0), 0);
    }
}

/// A node cannot publish to any shard, and meanwhile both come back as other servers.
fn publisher_away(plan: &mut SimOptions) {
    for shard in 0..SHARDS {
        hits(plan, FaultKind::Unreachable, (X, PUBLISHERS_ONLY | shard), OUTAGE);
        plan.strike(AT + 5 * SECOND, FaultKind::Crash, (X + 1, shard), SECOND);
    }
    plan.watched = !(1 << X);
}

/// A node does not know the time for a moment, again and again.
fn fencing(plan: &mut SimOptions) {
    plan.watched = !(1 << X);
    for round in 0..3 {
        hits(plan, FaultKind::RefuseClock, (X, 0), 9 * SECOND);
        plan.faults[round].0 += round as Time * NEXT_FENCE;
    }
    plan.size.active = AT + 3 * NEXT_FENCE + 20 * SECOND;
}

/// A node's last heartbeats reach one replica only.
fn flickering_death(plan: &mut SimOptions) {
    plan.strike(AT - 3 * SECOND, FaultKind::FlickerRows, (X, 0), 3 * SECOND);
    hits(plan, FaultKind::Kill, (X, 0), 4 * OUTAGE);
    plan.size.active = AT + OUTAGE;
}
