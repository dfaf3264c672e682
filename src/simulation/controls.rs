//! Negative controls. For each rule and each mistake there is a schedule that breaks a promise with
//! the rule off, or with the mistake made. It leaves a hole below a cursor, or delivers to an
//! outsider. Under all rules the same schedule passes. A rule that no schedule needs would be
//! useless, and so would a simulation that does not notice.
//!
//! A seed means another schedule after any change to what is drawn. `scripts/simulate --controls 1`
//! looks for fresh seeds, and prints the lines of the table.

use std::fmt;

use super::mutations::Mutation;
use super::oracle::Objection;
use super::profile::Profile;
use super::profile::Profile::*;
use super::runner::{ask_number, in_parallel};
use super::world::World;
use crate::cluster::Safeguard::*;
use crate::cluster::{Safeguard, Safeguards};

/// What is switched off, or done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// Nothing.
    Nothing,
    /// A rule.
    Without(Safeguard),
    /// Two rules, each of which covers for the other.
    WithoutBoth(Safeguard, Safeguard),
    /// No rule, but the loops make a mistake.
    Making(Mutation),
}

use Off::{Making, Nothing, Without, WithoutBoth};

impl Off {
    /// Reads a name of the command line: a rule, two with a plus between them, or a slip.
    pub fn named(name: &str) -> Option<Self> {
        let rule = |name: &str| Safeguard::ALL.into_iter().find(|rule| format!("{rule:?}") == name);
        if let Some((one, other)) = name.split_once('+') {
            return Some(WithoutBoth(rule(one)?, rule(other)?));
        }
        let mutation = Mutation::ALL.into_iter().find(|mutation| format!("{mutation:?}") == name);
        rule(name).map(Without).or(mutation.map(Making))
    }

    /// Applies it to a world.
    pub fn apply(self, world: &mut World) {
        (world.controls.rules, world.controls.mutation) = match self {
            Nothing => (Safeguards::default(), None),
            Without(rule) => (Safeguards::without(rule), None),
            WithoutBoth(one, other) => (Safeguards::without_both(one, other), None),
            Making(mutation) => (Safeguards::default(), Some(mutation)),
        };
    }

    /// What must pass where this must fail.
    fn lesser(self) -> Vec<Self> {
        match self {
            WithoutBoth(one, other) => vec![Nothing, Without(one), Without(other)],
            _ => vec![Nothing],
        }
    }
}

/// A control: what is off, and the schedule that shows it.
type Control = (Off, Profile, u64);

/// The table.
const CONTROLS: &[Control] = &[
    (Without(Birth), Births, 36304),
    (Without(StickyLease), Leases, 1541),
    (Without(FreshIncarnation), LostPublishes, 82),
    (Without(AckLimit), Mix, 309),
    (Without(AwaitAnswers), Mix, 72),
    (Without(AwaitDetours), LostPublishes, 216),
    (Without(Epoch), Returners, 23),
    (Without(GapAnnounced), LostPublishes, 0),
    (Without(GapAfterDrop), LostPublishes, 416),
    (Without(GapNumber), LostPublishes, 68),
    (Without(ReadCap), Mix, 14),
    (Without(ReadCapExact), Heartbeats, 6077),
    (Without(ZeroBaseline), LostPublishes, 6785),
    (Without(DeathAge), Mix, 118),
    (Without(DeathRepaired), Expiry, 12),
    (Without(StaleAge), Heartbeats, 471),
    (Without(VanishedRow), Vanishings, 0),
    (Without(LeftCompared), Departures, 1028),
    (Without(RunCompared), Failovers, 505),
    (Without(CountsCompared), LostPublishes, 0),
    (Without(Canary), SlowStore, 2),
    (Without(CanaryAfterRead), Expiry, 8083),
    (Without(ReadGap), Strangers, 1),
    (Without(RepairAfterConfirmed), LostPublishes, 176),
    (Without(NoBreakSince), Expiry, 10602),
    (Without(OwnCursor), Resumes, 0),
    (Without(ReadMargin), Margins, 16),
    (Without(ResumeUnbroken), Overflows, 46),
    (Without(ResumeConfirmed), LostPublishes, 670),
    (Without(CursorInQueue), Resumes, 38),
    (Without(MemoryBySession), Heartbeats, 2682),
    (Without(LastSubscribe), Flappers, 5544),
    (Without(Merged), Removals, 3),
    (Without(OutRemembered), Removals, 5),
    (Without(JoinHold), Joiners, 71),
    (Without(JoinedBound), Rooms, 12),
    (Without(PlaceByRoom), Joiners, 4),
    (WithoutBoth(Fence, AckLimit), Fences, 17),
    (WithoutBoth(RepairAfterAgreement, Epoch), Leavers, 20),
    (Making(Mutation::LateEntry), SlowStore, 28),
    (Making(Mutation::RowsByName), Heartbeats, 145),
    (Making(Mutation::RowsByWall), StepsBack, 229),
    (Making(Mutation::LiveAfterReads), Resumes, 0),
    (Making(Mutation::RoundsForgetMemberships), Rooms, 34),
    (Making(Mutation::StaleList), Rooms, 352),
    (Making(Mutation::ChangeUnentered), Joiners, 4),
    (Making(Mutation::NewsTakenForFirst), Joiners, 4),
    (Making(Mutation::AnswerAtOnce), Adders, 2),
    (Making(Mutation::IdsFromLowerEnd), Adders, 49),
    (Making(Mutation::HeadUnread), Adders, 12),
    (Making(Mutation::LastJoining), Adders, 3640),
    (Making(Mutation::RemovalUnconfirmed), Adders, 53_812),
    (Making(Mutation::AddUnread), Adders, 341_441),
    (Making(Mutation::HeadsForgetBreaks), RoomsHeads, 52),
    (Making(Mutation::HeadsEarnReads), RoomsHeads, 19801),
];

/// Rules without which cursors stand still, and no hole is left: see `lags`.
const LIVENESS: &[Safeguard] =
    &[StaleLeftOut, PullRounds, RunNone, GapByAge, LeftAfterFence, HighestCounter];

/// How often a fresh seed must show the same. The interest's maps have no fixed order. So where a
/// node subscribes to more than two buckets of a shard its commands, and what follows, differ a
/// little from run to run.
const AGAIN: usize = 10;

/// Rules that no random schedule is likely to need: each has a script, see `holes`.
const SCRIPTED_RULES: &[Safeguard] = &[DeathByReads];

/// Mistakes that no random schedule is likely to show: each has a script, see `holes`.
const SCRIPTED: &[Mutation] = &[
    Mutation::ReadsNoted,
    Mutation::SharedWatermark,
    Mutation::MovedUndrained,
    Mutation::CachedTime,
    Mutation::MembershipsFirst,
    Mutation::MissingForgotten,
    Mutation::SharedReadFresh,
    Mutation::ClockIgnored,
];

/// Runs a schedule with something off.
fn outcome(world: &mut World, off: Off, profile: Profile, seed: u64) -> Option<Objection> {
    off.apply(world);
    world.run(profile, seed)
}

/// Whether a schedule fails as it must, and passes as it must.
fn shows(world: &mut World, (off, profile, seed): Control) -> Result<(), Flaw> {
    match outcome(world, off, profile, seed) {
        Some(Objection { broken, .. }) if broken.is_of_safety() => {}
        other => return Err(Flaw { off, profile, seed, of: off, instead: other }),
    }
    for lesser in off.lesser() {
        if let Some(objection) = outcome(world, lesser, profile, seed) {
            return Err(Flaw { off, profile, seed, of: lesser, instead: Some(objection) });
        }
    }
    Ok(())
}

/// A control that does not show what it must.
struct Flaw {
    off: Off,
    profile: Profile,
    seed: u64,
    of: Off,
    instead: Option<Objection>,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { off, profile, seed, of, instead } = self;
        write!(f, "{off:?} {}:{seed}: with {of:?} it gives {instead:?}", profile.name())
    }
}

#[test]
fn every_control_fails_as_it_must() {
    let flaws = in_parallel(CONTROLS.len(), |world, index| shows(world, CONTROLS[index]).err());
    let flaws: Vec<Flaw> = flaws.into_iter().flatten().collect();
    flaws.iter().for_each(|flaw| println!("{flaw}"));
    assert!(flaws.is_empty(), "{} of {} controls are flawed", flaws.len(), CONTROLS.len());
}

#[test]
fn every_rule_and_every_mistake_has_a_control() {
    let names = |off: Off, rule: Safeguard| match off {
        Without(one) => one == rule,
        WithoutBoth(one, other) => one == rule || other == rule,
        Nothing | Making(_) => false,
    };
    let elsewhere = |rule: &Safeguard| LIVENESS.contains(rule) || SCRIPTED_RULES.contains(rule);
    for rule in Safeguard::ALL.into_iter().filter(|rule| !elsewhere(rule)) {
        assert!(CONTROLS.iter().any(|(off, ..)| names(*off, rule)), "{rule:?}");
    }
    for mutation in Mutation::ALL.into_iter().filter(|mutation| !SCRIPTED.contains(mutation)) {
        assert!(CONTROLS.iter().any(|(off, ..)| *off == Making(mutation)), "{mutation:?}");
    }
}

#[test]
#[ignore = "on demand: scripts/simulate --controls 1"]
fn search() {
    let seeds = ask_number("SEEDS", 10_000);
    let from = ask_number("FROM", 0);
    let flawed = |control: &&Control| shows(&mut World::new(), **control).is_err();
    for (off, profile, _) in CONTROLS.iter().filter(flawed) {
        let wrong = |other: &Profile| other != profile && !other.is_exact();
        let others = Profile::ALL.iter().copied().filter(wrong);
        let mut profiles = std::iter::once(*profile).chain(others);
        let line = profiles.find_map(|profile| first_of(*off, profile, from, seeds));
        println!("{}", line.unwrap_or_else(|| format!("nothing shows {off:?}")));
    }
}

/// The line of the first seed of a profile that shows something.
fn first_of(off: Off, profile: Profile, from: u64, seeds: u64) -> Option<String> {
    const AT_ONCE: u64 = 256;
    (from..from + seeds).step_by(AT_ONCE as usize).find_map(|first| {
        let found = in_parallel(AT_ONCE as usize, |world, index| {
            let seed = first + index as u64;
            let control = (off, profile, seed);
            (0..AGAIN).all(|_| shows(world, control).is_ok()).then_some(seed)
        });
        let seed = found.into_iter().flatten().next()?;
        Some(format!("    ({off:?}, {profile:?}, {seed}),"))
    })
}
