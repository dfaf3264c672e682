//! Runs seeds: a few in the suite, as many as one likes on demand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::profile::Profile;
use super::referee::Objection;
use super::slip::Slip;
use super::world::World;
use crate::roster::{Rule, Rules};

/// Violations that are printed; the rest is counted.
const SHOWN: usize = 20;

/// Seeds of each profile in the suite.
const SUITE_SEEDS: u64 = 200;

#[test]
fn no_schedule_of_the_suite_breaks_a_promise() {
    let found = run_many(&Profile::ALL, 0, SUITE_SEEDS, Duration::MAX);
    assert!(found == 0, "{found} schedules broke a promise: see the output");
}

#[test]
#[ignore = "on demand: scripts/simulate"]
fn on_demand() {
    let ask = |name: &str| std::env::var(name).ok();
    let number = |name: &str, default: u64| {
        ask(name).map_or(default, |text| text.parse().expect("a number"))
    };
    if let Some(replay) = ask("SIMULATE_REPLAY") {
        return replay_one(&replay);
    }
    let profiles = match ask("SIMULATE_PROFILE") {
        Some(name) => vec![Profile::named(&name).expect("a profile")],
        None => Profile::ALL.to_vec(),
    };
    let from = number("SIMULATE_FROM", SUITE_SEEDS);
    let seeds = number("SIMULATE_SEEDS", SUITE_SEEDS);
    let minutes = Duration::from_secs(60 * number("SIMULATE_MINUTES", 600));
    let found = run_many(&profiles, from, seeds, minutes);
    assert!(found == 0, "{found} schedules broke a promise");
}

fn run_many(profiles: &[Profile], from: u64, seeds: u64, limit: Duration) -> usize {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let (done, events) = (AtomicU64::new(0), AtomicU64::new(0));
    let found: Mutex<Vec<(Profile, u64, Objection)>> = Mutex::default();
    let lags: Mutex<Vec<u64>> = Mutex::default();
    let count = profiles.len() as u64;
    let (rules, slip) = control();
    let work = || {
        let mut world = World::new();
        (world.rules, world.slip) = (rules, slip);
        world.lags = std::env::var("SIMULATE_LAGS").is_ok().then(Vec::new);
        while begun.elapsed() < limit {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds * count {
                break;
            }
            let (profile, seed) = (profiles[(index % count) as usize], from + index / count);
            if let Some(objection) = world.run(profile, seed) {
                println!("VIOLATION {}:{seed} {objection:?}", profile.name());
                found.lock().push((profile, seed, objection));
            }
            done.fetch_add(1, Ordering::Relaxed);
            events.fetch_add(world.queue.scheduled(), Ordering::Relaxed);
        }
        lags.lock().append(&mut world.lags.unwrap_or_default());
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (found, done) = (found.into_inner(), done.into_inner());
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{done} schedules in {seconds:.1} s, {:.0}/s on {threads} threads, {:.0} events each",
        done as f64 / seconds,
        events.into_inner() as f64 / done as f64,
    );
    for (profile, seed, objection) in found.iter().take(SHOWN) {
        println!("{}:{seed} {objection:?}", profile.name());
    }
    print_lags(lags.into_inner());
    println!("{} violations", found.len());
    found.len()
}

fn print_lags(mut lags: Vec<u64>) {
    lags.sort_unstable();
    if let Some(most) = lags.last() {
        let at = |part: usize| lags[(lags.len() - 1) * part / 1000] as f64 / 1e6;
        let (half, all) = (at(500), *most as f64 / 1e6);
        println!("lag: median {half:.1} s, 99.9 % {:.1} s, most {all:.1} s", at(999));
    }
}

/// The rule that is off, or the mistake that is made, if one is asked for.
fn control() -> (Rules, Option<Slip>) {
    let Ok(name) = std::env::var("SIMULATE_WITHOUT") else { return (Rules::default(), None) };
    let rule = Rule::ALL.into_iter().find(|rule| format!("{rule:?}") == name);
    let slip = Slip::ALL.into_iter().find(|slip| format!("{slip:?}") == name);
    assert!(rule.is_some() || slip.is_some(), "{name} is neither a rule nor a slip");
    (rule.map_or_else(Rules::default, Rules::without), slip)
}

fn replay_one(replay: &str) {
    let (name, seed) = replay.split_once(':').expect("PROFILE:SEED");
    let profile = Profile::named(name).expect("a profile");
    let mut world = World::new();
    (world.rules, world.slip) = control();
    world.tracing = true;
    let objection = world.run(profile, seed.parse().expect("a number"));
    println!("{:#?}", world.plan);
    world.trace.iter().for_each(|line| println!("{line}"));
    println!("{objection:?}");
}
