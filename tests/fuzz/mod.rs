//! Mutated input for everything that reads bytes of strangers: frames, requests, envelopes, cursors,
//! tokens, and what balancers say about addresses. No input may panic, and each error has a text.
//!
//! Inputs are samples of the real thing with random edits, from a seed that is printed.
//! `scripts/fuzz` runs each target for a minute; here each gets a fixed number of inputs.

mod mutator;
mod targets;

use std::time::{Duration, Instant};

use mutator::Mutator;
use targets::{Target, targets};

/// Inputs of each target without a time.
const INPUTS: u64 = 5000;

/// Inputs between two looks at the clock.
const BATCH: u64 = 1000;

/// Prints what a target was given if it panics.
struct Given<'a> {
    target: &'a str,
    input: &'a [u8],
}

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: this input panics: {:?}", self.target, self.input);
        }
    }
}

/// A setting of `scripts/fuzz`.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(format!("NARROWCAST_FUZZ_{name}")).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("NARROWCAST_FUZZ_{name}: `{text}` is no number")))
}

/// Feeds a target until its time is over: how many inputs, and how many of them it accepted.
fn feed(target: &Target, seed: u64, time: Option<Duration>) -> (u64, u64) {
    let mut mutator = Mutator::new(seed, &target.samples);
    let (begun, mut inputs, mut accepted) = (Instant::now(), 0, 0);
    let goes_on = |inputs| match time {
        Some(time) => begun.elapsed() < time,
        None => inputs < INPUTS,
    };
    while goes_on(inputs) {
        for _ in 0..BATCH {
            let input = mutator.input();
            let given = Given { target: target.name, input: &input };
            accepted += u64::from((target.read)(given.input));
            inputs += 1;
        }
    }
    (inputs, accepted)
}

#[test]
fn mutated_input_is_read_or_refused() {
    let seed = setting("SEED").unwrap_or_else(rand::random);
    let time = setting("SECONDS").map(Duration::from_secs);
    println!("seed {seed} (NARROWCAST_FUZZ_SEED={seed} repeats it)");
    for target in targets() {
        for sample in &target.samples {
            assert!((target.read)(sample), "{}: a sample is refused", target.name);
        }
        let (inputs, accepted) = feed(&target, seed, time);
        println!("{}: {inputs} inputs, {accepted} accepted", target.name);
        assert!(accepted < inputs, "{}: the edits change something", target.name);
    }
}
