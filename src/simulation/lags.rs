//! How far the watermarks are behind when clocks are right, and the rules that keep it so.
//!
//! `cargo test --lib simulation::lags -- --nocapture` prints the table.

use std::fmt;

use super::controls::Off;
use super::exact::OUTAGE;
use super::profile::Profile;
use super::queue::{SECOND, Time};
use super::runner::in_parallel;
use super::world::World;
use crate::cluster::{Safeguard, Safeguards};

/// Seeds of each profile.
const SEEDS: u64 = 6;

/// How far a watermark stays behind the begin of the read that it comes from.
const CAP: Time = 10 * SECOND;

/// From one heartbeat, or one read of the cluster table, to the next.
const EVERY: Time = 2 * SECOND;

/// Until a node counts as dead, from read to read.
const DEATH: Time = 15 * SECOND;

/// From one pull round to the next.
const PULL: Time = 10 * SECOND;

/// The longest time of one operation of a slow store.
const OPERATION: Time = 2 * SECOND;

/// Canaries, reads and queues of a store and a Redis that answer in milliseconds, and the second
/// between two turns of a node's loop.
const REST: Time = 3 * SECOND / 2;

/// Nothing is wrong: the read was begun at most two seconds ago, and the next is under way.
const STEADY: Time = CAP + EVERY + REST;

/// Reads of the cluster table and heartbeat writes that are slow, one after the other. A heartbeat
/// waits for its write, for the next read, and for the answer to that read.
const SLOW: Time = STEADY + 2 * OPERATION + EVERY;

/// Until a canary is late.
const CANARY: Time = 3 * SECOND;

/// Frozen, and going on by pull rounds. A canary was waited for, and when a round begins its read
/// may be as old as the time between two reads. Another round is ten seconds off.
const FROZEN: Time = CAP + CANARY + EVERY + PULL + REST;

/// A node is dead, counted from its last heartbeat on: that is seen at the next read, and the death
/// at a later read.
const DYING: Time = EVERY + EVERY + DEATH + EVERY + REST;

/// The same for a node whose last heartbeat shows in two reads of three: a few may miss it.
const FLICKERING: Time = DYING + 5 * EVERY;

/// A node that cannot publish. It gives up after 10 s, but not within 20 s of the last time. The
/// heartbeat that reports this is written and read, and its delivery gap repaired.
const GIVING_UP: Time = 10 * SECOND + 20 * SECOND + EVERY + EVERY + REST;

/// A fenced incarnation is seen to have left: its last heartbeat is asked for, written and read.
const LEAVING: Time = CAP + EVERY + EVERY + REST;

/// How far watermarks were behind, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    half: u64,
    nearly_all: u64,
    most: u64,
}

impl Lag {
    /// Computes it from the samples, if there are any.
    pub fn of(mut lags: Vec<u64>) -> Option<Self> {
        lags.sort_unstable();
        let most = *lags.last()?;
        let at = |part: usize| lags[(lags.len() - 1) * part / 1000];
        Some(Self { half: at(500), nearly_all: at(999), most })
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, nearly_all, most] =
            [self.half, self.nearly_all, self.most].map(|lag| lag as f64 / 1e6);
        write!(f, "median {half:.1} s, 99.9 % {nearly_all:.1} s, most {most:.1} s")
    }
}

/// Measures the lag over some seeds of a profile with something off. None if a promise was broken.
fn measure(off: Off, profile: Profile) -> Option<Lag> {
    let lags = in_parallel(SEEDS as usize, |world, seed| {
        off.apply(world);
        world.report.lags = Some(Vec::new());
        let objection = world.run(profile, seed as u64);
        world.report.lags.take().filter(|_| objection.is_none())
    });
    let lags: Option<Vec<Vec<u64>>> = lags.into_iter().collect();
    Lag::of(lags?.concat())
}

/// Profile, the median and the maximum of the first simulation in seconds, and the bound here.
const TABLE: &[(Profile, f64, f64, Time)] = &[
    (Profile::Steady, 10.8, 11.8, STEADY),
    (Profile::SlowOperations, 12.4, 14.0, SLOW),
    (Profile::RollingRestart, 10.8, 11.8, STEADY),
    (Profile::OneKilled, 11.1, 22.6, DYING),
    (Profile::OneStopped, 11.3, 17.1, DYING),
    (Profile::ShardDown, 12.3, 21.8, FROZEN),
    (Profile::RedisDown, 12.3, 21.8, FROZEN),
    (Profile::OldPrimary, 12.8, 21.8, FROZEN),
    (Profile::CutOff, 11.3, 21.8, GIVING_UP),
];

#[test]
fn watermarks_lie_behind_no_further_than_their_bounds() {
    let mut over = Vec::new();
    for (profile, half, most, bound) in TABLE {
        let lag = measure(Off::Nothing, *profile).expect("no promise is broken");
        println!("{:16} {lag} (first: {half} / {most})", profile.name());
        if lag.most > *bound {
            over.push((profile, lag, bound));
        }
    }
    assert_eq!(over, []);
}

/// Checks that the maximum is within the bound under the rules, and beyond it with something off.
fn bounds(off: Off, profile: Profile, bound: Time) -> (Lag, Lag) {
    let on = measure(Off::Nothing, profile).expect("no promise is broken");
    let without = measure(off, profile).expect("cursors stand still, and hold");
    println!("{off:?} {}: {on}; without: {without}", profile.name());
    assert!(on.most <= bound, "{on}, and {bound} us is the bound");
    assert!(without.most > bound, "{without} without {off:?}, within {bound} us");
    (on, without)
}

#[test]
fn without_pull_rounds_a_node_that_is_cut_off_stands_still() {
    let (_, without) = bounds(Off::Without(Safeguard::PullRounds), Profile::CutOff, GIVING_UP);
    assert!(without.most > OUTAGE, "as long as the outage");
}

/// Alone it is covered by pull rounds, which go on while runs differ.
#[test]
fn without_the_run_that_matches_any_nobody_repairs_while_a_publisher_is_away() {
    let profile = Profile::PublisherAway;
    let pulls =
        measure(Off::Without(Safeguard::PullRounds), profile).expect("no promise is broken");
    let none = measure(Off::Without(Safeguard::RunNone), profile).expect("no promise is broken");
    assert!(pulls.most <= GIVING_UP && none.most <= GIVING_UP, "{pulls}; {none}");
    bounds(Off::WithoutBoth(Safeguard::RunNone, Safeguard::PullRounds), profile, GIVING_UP);
}

#[test]
fn without_gaps_by_age_a_publisher_that_is_away_holds_everybody_back() {
    bounds(Off::Without(Safeguard::GapByAge), Profile::PublisherAway, GIVING_UP);
}

#[test]
fn without_a_last_row_each_fence_costs_a_death() {
    bounds(Off::Without(Safeguard::LeftAfterFence), Profile::Fencing, LEAVING);
}

#[test]
fn without_the_highest_counter_a_row_that_flickers_does_not_die() {
    bounds(Off::Without(Safeguard::HighestCounter), Profile::FlickeringDeath, FLICKERING);
}

/// How far a node's watermark is behind 8 s after it started, 30 s after another one died.
fn newborn_lag(off: Off) -> f64 {
    let mut world = World::scripted(3, Safeguards::default());
    off.apply(&mut world);
    world.dies(0);
    world.pass(30.0);
    let born = world.joins();
    world.pass(8.0);
    world.seconds() - world.watermark(born)
}

#[test]
fn without_leaving_out_the_long_dead_a_node_that_starts_waits_for_them() {
    let bound = STEADY as f64 / SECOND as f64;
    assert!(newborn_lag(Off::Nothing) <= bound);
    assert!(newborn_lag(Off::Without(Safeguard::StaleLeftOut)) > 30.0);
}
