//! Runs seeds: a few in the suite, any number on demand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::controls::Off;
use super::oracle::Objection;
use super::profile::Profile;
use super::world::World;

/// Violations that are printed; the rest is counted.
const SHOWN: usize = 20;

/// Seeds of each profile in the suite. `cargo test` runs the first ones, `scripts/test` all.
const SUITE_SEEDS: u64 = 200;

/// Seeds of each profile that `cargo test` runs.
const FIRST_SEEDS: u64 = 40;

/// Seeds of each profile in the suite that aims at one interleaving.
const SUITE_SEEDS_FOCUSED: u64 = 40;

/// Seeds of each exact profile in the suite: they differ little, and `lags` runs them too.
const SUITE_SEEDS_EXACT: u64 = 5;

/// Schedules that ever broke a promise under all rules.
const BROKE: &[(Profile, u64)] = &[
    // At the end a slow client reconnected that read its cursors more slowly than they came.
    (Profile::Returners, 61_008_144),
    // An add found another one after the removal that it had not seen, and did not write its own.
    (Profile::Adders, 7_661),
];

/// The profiles with faults, those that aim at one interleaving, and the exact ones.
fn profiles() -> [Vec<Profile>; 3] {
    let (exact, wrong): (Vec<_>, Vec<_>) =
        Profile::ALL.iter().copied().partition(|profile| profile.is_exact());
    let (focused, wide) = wrong.into_iter().partition(|profile| profile.is_focused());
    [wide, focused, exact]
}

#[test]
fn no_first_schedule_of_the_suite_breaks_a_promise() {
    let [wide, focused, exact] = profiles();
    let found = run_many(&wide, 0, FIRST_SEEDS, Duration::MAX)
        + run_many(&focused, 0, SUITE_SEEDS_FOCUSED, Duration::MAX)
        + run_many(&exact, 0, SUITE_SEEDS_EXACT, Duration::MAX);
    assert!(found == 0, "{found} schedules broke a promise: see the output");
}

#[test]
#[ignore = "takes long: scripts/test"]
fn no_other_schedule_of_the_suite_breaks_a_promise() {
    let [wide, ..] = profiles();
    let found = run_many(&wide, FIRST_SEEDS, SUITE_SEEDS - FIRST_SEEDS, Duration::MAX);
    assert!(found == 0, "{found} schedules broke a promise: see the output");
}

#[test]
fn what_broke_a_promise_once_does_not_any_more() {
    let again = in_parallel(BROKE.len(), |world, index| {
        let (profile, seed) = BROKE[index];
        world.run(profile, seed).map(|objection| (profile, seed, objection))
    });
    assert_eq!(again.into_iter().flatten().collect::<Vec<_>>(), []);
}

#[test]
#[ignore = "on demand: scripts/simulate"]
fn on_demand() {
    if let Some(replay) = ask("REPLAY") {
        return replay_one(&replay);
    }
    let profiles = match ask("PROFILE") {
        Some(name) => vec![Profile::named(&name).expect("a profile")],
        None => Profile::ALL.to_vec(),
    };
    let minutes = Duration::from_secs(60 * ask_number("MINUTES", 600));
    let seeds = ask_number("SEEDS", SUITE_SEEDS);
    let found = run_many(&profiles, ask_number("FROM", SUITE_SEEDS), seeds, minutes);
    assert!(found == 0, "{found} schedules broke a promise");
}

/// An option of the command line.
pub fn ask(name: &str) -> Option<String> {
    std::env::var(format!("SIMULATE_{name}")).ok()
}

/// The same as a number.
pub fn ask_number(name: &str, default: u64) -> u64 {
    ask(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What is switched off, if that is asked for.
fn control() -> Off {
    ask("WITHOUT").map_or(Off::Nothing, |name| Off::named(&name).expect("rules, or a slip"))
}

/// Runs `act` for each number below `count` on all cores, in worlds that are used again.
pub fn in_parallel<T: Send>(count: usize, act: impl Fn(&mut World, usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut world = World::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed) as usize;
            if index >= count {
                break;
            }
            let result = act(&mut world, index);
            done.lock().push((index, result));
        }
    };
    std::thread::scope(|scope| (0..cores()).for_each(|_| drop(scope.spawn(work))));
    let mut done = done.into_inner();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The sum of many schedules.
#[derive(Default)]
struct Tally {
    done: AtomicU64,
    events: AtomicU64,
    found: Mutex<Vec<(Profile, u64, Objection)>>,
    lags: Mutex<Vec<u64>>,
}

fn run_many(profiles: &[Profile], from: u64, seeds: u64, limit: Duration) -> usize {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let tally = Tally::default();
    let count = profiles.len() as u64;
    let off = control();
    let work = || {
        let mut world = World::new();
        off.apply(&mut world);
        world.report.lags = ask("LAGS").map(|_| Vec::new());
        while begun.elapsed() < limit {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds * count {
                break;
            }
            let profile = profiles[(index % count) as usize];
            tally.run(&mut world, profile, from + index / count);
        }
        tally.lags.lock().append(&mut world.report.lags.unwrap_or_default());
    };
    std::thread::scope(|scope| (0..cores()).for_each(|_| drop(scope.spawn(work))));
    tally.print(begun.elapsed().as_secs_f64())
}

impl Tally {
    fn run(&self, world: &mut World, profile: Profile, seed: u64) {
        if let Some(objection) = world.run(profile, seed) {
            println!("VIOLATION {}:{seed} {objection:?}", profile.name());
            self.found.lock().push((profile, seed, objection));
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(world.queue.scheduled(), Ordering::Relaxed);
    }

    /// Prints it, and returns how many violations there were.
    fn print(self, seconds: f64) -> usize {
        let (found, done) = (self.found.into_inner(), self.done.into_inner());
        println!(
            "{done} schedules in {seconds:.1} s, {:.0}/s on {} threads, {:.0} events each",
            done as f64 / seconds,
            cores(),
            self.events.into_inner() as f64 / done as f64,
        );
        for (profile, seed, objection) in found.iter().take(SHOWN) {
            println!("{}:{seed} {objection:?}", profile.name());
        }
        if let Some(lag) = super::lags::Lag::of(self.lags.into_inner()) {
            println!("lag: {lag}");
        }
        println!("{} violations", found.len());
        found.len()
    }
}

fn replay_one(replay: &str) {
    let (name, seed) = replay.split_once(':').expect("PROFILE:SEED");
    let profile = Profile::named(name).expect("a profile");
    let mut world = World::new();
    control().apply(&mut world);
    world.report.tracing = true;
    let objection = world.run(profile, seed.parse().expect("a number"));
    println!("{:#?}", world.plan);
    world.report.trace.iter().for_each(|line| println!("{line}"));
    println!("{objection:?}");
}
