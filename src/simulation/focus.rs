//! Profiles that aim at one interleaving each: what chance alone meets once in a million schedules.
//!
//! Each one follows the scenario that its rule is for, with every time drawn from the seconds
//! around the one that matters. Node 0 (or the node that joins) is the one that errs, user 0 sends
//! over device 0, and user 1 listens over device 1 and often another.

use super::event::Act;
use super::fault::FaultKind;
use super::plan::{SimOptions, Trust};
use super::profile::Profile;
use super::queue::{MILLI, SECOND, Time};
use super::rng::Rng;
use super::store::Delay;

/// The node that errs.
pub const X: u8 = 0;

/// The node whose sessions and watermark are checked.
pub const R: u8 = 1;

/// Device and user of the sender and of the reader.
pub const SENDER: u8 = 0;
pub const READER: u8 = 1;

/// A node's parts: the loop, the shard, and whether its subscribers are cut off too.
const LOOP: u8 = 0;
pub const SHARD: u8 = 0;
pub const PUBLISHERS_ONLY: u8 = 0;

/// The delay of heartbeats that come when all is over, in tenths of a second.
const NEVER: u8 = 255;

/// Makes the plan of a focused profile.
pub fn shape(profile: Profile, plan: &mut SimOptions, rng: &mut Rng) {
    let nodes = 2 + rng.below(2) as u8;
    set_the_stage(plan, nodes, rng);
    match profile {
        Profile::Births => births(plan, nodes, rng),
        Profile::Leases => leases(plan, rng),
        Profile::Fences => fences(plan, rng),
        Profile::Returners => drop(returners(plan, rng)),
        Profile::Leavers => leavers(plan, rng),
        Profile::Departures => departures(plan, rng),
        Profile::Overflows => overflows(plan, rng),
        Profile::Strangers => strangers(plan, nodes, rng),
        Profile::Vanishings => vanishings(plan, rng),
        Profile::Margins => margins(plan, rng),
        Profile::Flappers => flappers(plan, rng),
        _ => steps_back(plan, rng),
    }
}

/// A time within a second or so after `from`.
pub fn around(rng: &mut Rng, from: u64, millis: u64) -> Time {
    from * SECOND + rng.below(millis) * MILLI
}

/// Two users on few nodes and one shard, with occasional slowness alone.
pub fn set_the_stage(plan: &mut SimOptions, nodes: u8, rng: &mut Rng) {
    if rng.chance(700) {
        plan.calm_down();
        plan.slow.roster = Delay { usual: 5 * MILLI, slow_in: 200, slow: 4 * SECOND };
    }
    let size = &mut plan.size;
    (size.nodes, size.shards, size.users) = (nodes, 1, 2);
    size.devices = 2 + rng.below(2) as u8;
    (size.sends, size.acts, size.active) = (4, 0, 60 * SECOND);
    plan.chances.to_all = 0;
    plan.chances.fresh = 0;
    plan.act(8 * SECOND, SENDER, Act::To(X));
    plan.act(8 * SECOND, READER, Act::To(R));
    plan.act(9 * SECOND, SENDER, Act::Send);
    plan.act(9 * SECOND + 500 * MILLI, READER, Act::Send);
}

fn sends(plan: &mut SimOptions, from: Time, to: Time, every: Time) {
    let mut at = from;
    while at < to {
        plan.act(at, SENDER, Act::Send);
        at += every;
    }
}

/// Heartbeats of a node are lost from `lost` on, at most a second after the begin of the last one
/// that is seen. One more is written as the lease ends, and takes as long as a lease; the loop is
/// stopped until it is there. R's reads are stopped so that they begin at the right times, and it
/// finds the node dead just before that. If the heartbeat extends the lease, messages pass the
/// check by it, and are not published.
fn wakes_too_late(plan: &mut SimOptions, node: u8, lost: Time, rng: &mut Rng) {
    let mut between = |from: Time, to: Time| rng.range(from, to) * MILLI;
    let (stop, write) = (lost + between(4000, 5000), lost + between(6800, 8000));
    let (again, wake) = (write + between(5, 30), write + between(7700, 7900));
    let (first_seen, found_dead) = (lost - between(0, 1000), write + between(6900, 7400));
    plan.strike(first_seen - SECOND, FaultKind::StopThread, (R, LOOP), SECOND);
    plan.strike(lost, FaultKind::DelayRows, (node, NEVER), write - lost);
    plan.strike(stop, FaultKind::StopThread, (node, LOOP), write + MILLI - stop);
    plan.strike(write, FaultKind::DelayRows, (node, 74), 8 * SECOND);
    plan.strike(again, FaultKind::StopThread, (node, LOOP), wake - again);
    plan.strike(found_dead - 2 * SECOND, FaultKind::StopThread, (R, LOOP), 2 * SECOND);
    plan.strike(lost + 12 * SECOND, FaultKind::Unreachable, (node, PUBLISHERS_ONLY), 30 * SECOND);
    sends(plan, wake, wake + SECOND, 20 * MILLI);
}

/// The first heartbeat is read and not acknowledged in time, so the new incarnation is dead before
/// it begins.
fn births(plan: &mut SimOptions, newborn: u8, rng: &mut Rng) {
    let join = around(rng, 12, 3000);
    plan.slow.rows.unheard_in = 500;
    plan.strike(join, FaultKind::Join, (0, 0), 0);
    plan.act(join + 3 * SECOND, SENDER, Act::To(newborn));
    wakes_too_late(plan, newborn, join + SECOND, rng);
}

/// A heartbeat is acknowledged when the lease that it extends is over.
fn leases(plan: &mut SimOptions, rng: &mut Rng) {
    wakes_too_late(plan, X, 15 * SECOND, rng);
}

/// Messages issued while the lease holds are acknowledged long after it ended.
fn fences(plan: &mut SimOptions, rng: &mut Rng) {
    let last = around(rng, 14, 2000);
    plan.slow.messages.delay = Delay { usual: 2 * SECOND, slow_in: 700, slow: 18 * SECOND };
    plan.slow.messages.lost_in = 0;
    plan.slow.write_timeout = 30 * SECOND;
    plan.strike(last, FaultKind::LoseRows, (X, 0), 30 * SECOND);
    plan.strike(last + 13 * SECOND, FaultKind::Unreachable, (X, PUBLISHERS_ONLY), 30 * SECOND);
    let device = plan.size.devices;
    (plan.size.devices, plan.size.users) = (device.max(3), 2);
    plan.act(last + SECOND, 2, Act::To(X));
    for (device, from) in [(SENDER, 4), (2, 6)] {
        plan.act(last + around(rng, from, 2000), device, Act::Send);
    }
}

/// The primary changes, the old one lives for a while, and R follows.
fn fails_over(plan: &mut SimOptions, rng: &mut Rng, span: Time) -> Time {
    let at = around(rng, 14, 2000);
    plan.strike(at, FaultKind::Failover, (X, SHARD), span);
    for node in R..plan.size.nodes {
        plan.strike(at + rng.below(800) * MILLI, FaultKind::CutSubscriber, (node, SHARD), 0);
        plan.strike(at + rng.below(800) * MILLI, FaultKind::CutPublisher, (node, SHARD), 0);
    }
    at
}

/// A publisher that reports no run is at the old primary for a moment, and moves on.
fn returners(plan: &mut SimOptions, rng: &mut Rng) -> Time {
    let span = around(rng, 8, 5000);
    let at = fails_over(plan, rng, span);
    let away = around(rng, 5, 3000);
    plan.strike(at + rng.below(MILLI), FaultKind::Unreachable, (X, PUBLISHERS_ONLY), away);
    sends(plan, at + away, at + span + SECOND, 200 * MILLI);
    at + away
}

/// The same, but its incarnation ends there.
fn departures(plan: &mut SimOptions, rng: &mut Rng) {
    let back = returners(plan, rng);
    plan.strike(back + around(rng, 0, 4000), FaultKind::RefuseClock, (X, 0), 3 * SECOND);
}

/// More is delivered to a session than its buffer holds while its reads take very long.
fn overflows(plan: &mut SimOptions, rng: &mut Rng) {
    plan.bounds.buffer = 1;
    plan.slow.reads = Delay { usual: 2 * SECOND, slow_in: 500, slow: 16 * SECOND };
    plan.slow.reads_fail_in = 0;
    let at = around(rng, 14, 2000);
    plan.act(at, READER, Act::To(R));
    sends(plan, at, at + 6 * SECOND, 500 * MILLI);
}

/// A publisher stays with the old primary while others repair, and moves on.
fn leavers(plan: &mut SimOptions, rng: &mut Rng) {
    let span = around(rng, 4, 6000);
    let at = fails_over(plan, rng, span);
    sends(plan, at + span - 3 * SECOND, at + span + SECOND, 200 * MILLI);
}

/// A node starts, sends messages that are not published, and ends with its row, all while R is
/// stopped.
fn strangers(plan: &mut SimOptions, stranger: u8, rng: &mut Rng) {
    let stop = around(rng, 14, 2000);
    plan.size.active = 140 * SECOND;
    plan.bounds.row_ttl = 62 * SECOND;
    let span = around(rng, 70, 20_000);
    for thread in 0..3 {
        plan.strike(stop, FaultKind::StopThread, (R, thread), span);
    }
    let join = stop + rng.below(3000) * MILLI;
    plan.strike(join, FaultKind::Join, (0, 0), 0);
    plan.act(join + 2 * SECOND, SENDER, Act::To(stranger));
    dies_with_messages(plan, stranger, join + around(rng, 4, 3000), rng);
}

/// A node sends messages that are not published and is killed, until the end.
fn dies_with_messages(plan: &mut SimOptions, node: u8, death: Time, rng: &mut Rng) {
    let cut = death - 500 * MILLI - rng.below(2000) * MILLI;
    plan.strike(cut, FaultKind::Unreachable, (node, PUBLISHERS_ONLY), 30 * SECOND);
    sends(plan, cut, death, 100 * MILLI);
    plan.strike(death, FaultKind::Kill, (node, 0), 200 * SECOND);
}

/// A node dies with messages; R reads its row once more, and then not until it has expired.
fn vanishings(plan: &mut SimOptions, rng: &mut Rng) {
    let death = around(rng, 15, 2000);
    plan.size.active = 110 * SECOND;
    plan.bounds.row_ttl = 62 * SECOND;
    dies_with_messages(plan, X, death, rng);
    let stop = death + around(rng, 2, 11_000);
    let span = around(rng, 48, 12_000);
    for thread in 0..3 {
        plan.strike(stop, FaultKind::StopThread, (R, thread), span);
    }
}

/// Clocks as far apart as allowed, writes that take the longest allowed time, and resumes
/// meanwhile.
fn margins(plan: &mut SimOptions, rng: &mut Rng) {
    plan.calm_down();
    plan.clocks = Trust::Extreme;
    plan.slow.messages.delay = Delay { usual: 300 * MILLI, slow_in: 500, slow: 6 * SECOND };
    let mut at = around(rng, 14, 2000);
    while at < 40 * SECOND {
        plan.act(at, SENDER, Act::Send);
        plan.act(at + around(rng, 4, 1000), READER, Act::To(R));
        at += around(rng, 5, 1500);
    }
}

/// A session leaves and comes back while a subscribe is on its way to the server.
fn flappers(plan: &mut SimOptions, rng: &mut Rng) {
    plan.calm_down();
    plan.bounds.linger = 0;
    plan.bounds.commands = 4;
    plan.slow.bus = Delay { usual: 600 * MILLI, slow_in: 200, slow: SECOND };
    plan.slow.confirms = Delay { usual: 100 * MILLI, slow_in: 200, slow: SECOND };
    plan.size.devices = 2;
    let mut at = around(rng, 14, 2000);
    while at < 40 * SECOND {
        plan.act(at, READER, Act::To(R));
        plan.act(at + rng.below(400) * MILLI, READER, Act::To(X));
        plan.act(at + 400 * MILLI + rng.below(600) * MILLI, READER, Act::To(R));
        sends(plan, at, at + 3 * SECOND, 200 * MILLI);
        at += around(rng, 12, 3000);
    }
}

/// A wall clock steps back while its node's heartbeats are late: for 10 s it shows times before
/// those that it showed.
fn steps_back(plan: &mut SimOptions, rng: &mut Rng) {
    plan.clocks = Trust::Extreme;
    let step = around(rng, 14, 2000);
    let late = 55 + rng.below(25) as u8;
    plan.strike(step, FaultKind::StepClock, (X, 0), 0);
    plan.strike(step + around(rng, 7, 3000), FaultKind::DelayRows, (X, late), 8 * SECOND);
    let cut = step + around(rng, 12, 3000);
    plan.strike(cut, FaultKind::Unreachable, (X, PUBLISHERS_ONLY), 30 * SECOND);
    sends(plan, step + 13 * SECOND, step + 19 * SECOND, 150 * MILLI);
}
