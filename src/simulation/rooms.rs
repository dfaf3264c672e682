//! Profiles with rooms.

use super::event::{Act, ROOMS_MAX, SimKey, USERS_MAX};
use super::fault::FaultKind;
use super::focus::{PUBLISHERS_ONLY, R, READER, SENDER, SHARD, X, around, set_the_stage};
use super::plan::{SimOptions, Trust};
use super::profile::Profile;
use super::queue::{MILLI, SECOND, Time};
use super::rng::Rng;
use super::store::Delay;

/// The room of the focused ones; the sender and a third user are members from the beginning.
const ROOM: SimKey = USERS_MAX;
const OTHER: u8 = 2;

/// Makes the plan of a profile with rooms.
pub fn shape(profile: Profile, plan: &mut SimOptions, rng: &mut Rng) {
    plan.clocks = if rng.chance(300) { Trust::WideInterval } else { Trust::Interval };
    if profile.is_focused() {
        return focus(profile, plan, rng);
    }
    let size = &mut plan.size;
    size.users = 2 + rng.below(4) as u8;
    size.devices = size.users + rng.below(u64::from(size.users) + 1) as u8;
    size.workers = 1 + rng.below(5) as u8 / 3;
    size.rooms = 1 + rng.below(3) as u8;
    size.changes = 2 + rng.below(8) as u8;
    size.sends = 8 + rng.below(24) as u8;
    draw_insiders(plan, 500, rng);
    if plan.bounds.page == 1000 {
        plan.bounds.range = [1000, 1, 2][rng.below(3) as usize];
    }
    match profile {
        Profile::RoomsChurn => churns(plan, rng),
        Profile::RoomsClocks => has_bad_clocks(plan, rng),
        Profile::RoomsHeads => knows_heads(plan, rng),
        Profile::RoomsShared => shares_reads(plan, rng),
        _ => {}
    }
}

/// In `of_thousand` of a thousand cases a user is in a room from the beginning.
fn draw_insiders(plan: &mut SimOptions, of_thousand: u32, rng: &mut Rng) {
    for room in 0..usize::from(plan.size.rooms.min(ROOMS_MAX)) {
        for user in 0..plan.size.users {
            plan.insiders[room] |= u8::from(rng.chance(of_thousand)) << user;
        }
    }
}

fn churns(plan: &mut SimOptions, rng: &mut Rng) {
    plan.size.rooms = 1 + rng.below(2) as u8;
    plan.insiders = [0; ROOMS_MAX as usize];
    draw_insiders(plan, 200, rng);
    plan.size.changes = 16 + rng.below(16) as u8;
    plan.bounds.linger = [0, 200, 3000][rng.below(3) as usize];
}

fn knows_heads(plan: &mut SimOptions, rng: &mut Rng) {
    plan.known_heads = true;
    plan.size.acts = 20 + rng.below(40) as u8;
    plan.size.changes = rng.below(6) as u8;
    draw_insiders(plan, 800, rng);
}

fn shares_reads(plan: &mut SimOptions, rng: &mut Rng) {
    plan.shared_reads = true;
    let size = &mut plan.size;
    (size.nodes, size.workers, size.users) = (2, 1, 2);
    size.devices = 4 + rng.below(5) as u8;
    size.acts = 30 + rng.below(40) as u8;
    size.changes = 8 + rng.below(16) as u8;
    plan.slow.reads = Delay { usual: SECOND, slow_in: 300, slow: 12 * SECOND };
    plan.slow.confirms = Delay { usual: 100 * MILLI, slow_in: 300, slow: 3 * SECOND };
    plan.bounds.linger = [0, 200, 3000][rng.below(3) as usize];
}

fn has_bad_clocks(plan: &mut SimOptions, rng: &mut Rng) {
    // Half of them have clocks as wrong as the watermark allows, which no product's are.
    plan.clocks = [Trust::Extreme, Trust::WideInterval][rng.below(2) as usize];
    plan.size.changes = 8 + rng.below(12) as u8;
    plan.size.acts = 10 + rng.below(20) as u8;
    plan.slow.messages.delay = Delay { usual: 200 * MILLI, slow_in: 300, slow: 6 * SECOND };
    plan.slow.confirms = Delay { usual: 100 * MILLI, slow_in: 200, slow: 3 * SECOND };
}

fn focus(profile: Profile, plan: &mut SimOptions, rng: &mut Rng) {
    set_the_stage(plan, 2 + rng.below(2) as u8, rng);
    let size = &mut plan.size;
    (size.users, size.rooms) = (3, 1);
    size.devices = 3 + rng.below(3) as u8;
    plan.insiders[0] = 1 << SENDER | 1 << OTHER;
    plan.act(8 * SECOND, OTHER, Act::To([X, R][rng.below(2) as usize]));
    match profile {
        Profile::Joiners => joiners(plan, rng),
        Profile::Removals => removals(plan, rng),
        Profile::Adders => adders(plan, rng),
        _ => join_overflows(plan, rng),
    }
}

/// Adds the reader to the room, or removes the reader.
fn puts(plan: &mut SimOptions, at: Time, by: u8, inside: bool) {
    plan.act(at, by, Act::Change(READER, ROOM, inside));
}

/// Two users send to the room, again and again.
fn they_say(plan: &mut SimOptions, from: Time, to: Time, every: Time) {
    let mut at = from;
    while at < to {
        plan.act(at, SENDER, Act::Say(ROOM));
        plan.act(at + every / 2, OTHER, Act::Say(ROOM));
        at += every;
    }
}

fn joiners(plan: &mut SimOptions, rng: &mut Rng) {
    plan.slow.reads = Delay { usual: SECOND, slow_in: 400, slow: 16 * SECOND };
    plan.slow.bus = Delay { usual: 100 * MILLI, slow_in: 200, slow: SECOND };
    plan.slow.confirms = Delay { usual: 100 * MILLI, slow_in: 200, slow: 3 * SECOND };
    plan.bounds.linger = 0;
    let at = around(rng, 14, 3000);
    puts(plan, at, SENDER, true);
    they_say(plan, at + 100 * MILLI, at + 2 * SECOND, 300 * MILLI);
    they_say(plan, at + 2 * SECOND, at + 16 * SECOND, 2 * SECOND);
    if rng.chance(300) {
        plan.strike(
            at + around(rng, 0, 1500),
            FaultKind::Unreachable,
            (X, PUBLISHERS_ONLY),
            20 * SECOND,
        );
    }
    if rng.chance(400) {
        plan.act(at + rng.below(4000) * MILLI, READER, Act::To(R));
    }
    if rng.chance(300) {
        plan.strike(at + around(rng, 0, 12_000), FaultKind::CutSubscriber, (R, SHARD), 0);
    }
}

fn removals(plan: &mut SimOptions, rng: &mut Rng) {
    plan.clocks = [Trust::Extreme, Trust::WideInterval][rng.below(2) as usize];
    plan.size.shards = 1 + rng.below(2) as u8;
    plan.slow.reads = Delay { usual: SECOND, slow_in: 200, slow: 6 * SECOND };
    plan.slow.bus = Delay { usual: 200 * MILLI, slow_in: 300, slow: 2 * SECOND };
    let mut at = around(rng, 14, 3000);
    for _ in 0..5 {
        puts(plan, at, SENDER, true);
        puts(plan, at + around(rng, 0, 2000), OTHER, rng.chance(500));
        puts(plan, at + around(rng, 1, 2000), SENDER, false);
        they_say(plan, at, at + 4 * SECOND, 1500 * MILLI);
        if rng.chance(500) {
            plan.act(at + around(rng, 0, 4000), READER, Act::To(R));
        }
        at += around(rng, 5, 3000);
    }
}

/// Several callers add the same user at once through several nodes, and others remove the user.
/// After each answer a service sends through a node that has not learned of it.
fn adders(plan: &mut SimOptions, rng: &mut Rng) {
    plan.slow.messages.delay = Delay { usual: 50 * MILLI, slow_in: 300, slow: 2 * SECOND };
    plan.slow.reads = Delay { usual: 20 * MILLI, slow_in: 200, slow: SECOND };
    plan.slow.bus = Delay { usual: 50 * MILLI, slow_in: 200, slow: SECOND };
    let mut at = around(rng, 14, 1000);
    for _ in 0..4 {
        for by in [SENDER, OTHER, READER] {
            let inside = rng.chance(700);
            puts(plan, at + rng.below(400) * MILLI, by, inside);
        }
        they_say(plan, at, at + 3 * SECOND, SECOND);
        if rng.chance(500) {
            plan.act(at + rng.below(4000) * MILLI, READER, Act::To([X, R][rng.below(2) as usize]));
        }
        at += 3 * SECOND + rng.below(3000) * MILLI;
    }
}

fn join_overflows(plan: &mut SimOptions, rng: &mut Rng) {
    plan.bounds.buffer = 1;
    plan.slow.reads = Delay { usual: 3 * SECOND, slow_in: 400, slow: 24 * SECOND };
    plan.slow.reads_fail_in = 0;
    let at = around(rng, 14, 2000);
    plan.act(at, READER, Act::To(R));
    plan.strike(at + around(rng, 2, 6000), FaultKind::CutSubscriber, (R, SHARD), 0);
    let join = at + around(rng, 4, 10_000);
    puts(plan, join, SENDER, true);
    they_say(plan, join + 100 * MILLI, join + SECOND, 200 * MILLI);
    let more = join + around(rng, 10, 8000);
    for index in 0..4 {
        plan.act(more + index * 300 * MILLI, OTHER, Act::Send);
    }
}
