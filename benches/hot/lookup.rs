//! Finding what an event is for: the sessions of a worker by their patterns, and the workers of a
//! node by their keys.
//!
//! The index holds the patterns of 10,000 sessions: one literal each, and one with a wildcard for
//! each hundred. An event finds one session by its literal pattern, and one more in a hundred
//! events. Of the keys, 10,000 users are held by four workers. A direct message asks for two.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::delivery::WorkerInterest;
use narrowcast::domain::{Pattern, PatternIndex, RoutingKey, Subject};

use crate::crowd::Outcome;
use crate::{Step, time};

const SESSIONS: u32 = 10_000;
const LITERALS_A_WILDCARD: u32 = 100;
const WORKERS: u32 = 4;
const ASKED: usize = 1000;

/// Looks one event up among the patterns.
pub fn patterns() -> Outcome<Step> {
    let mut index = PatternIndex::default();
    for number in 0..SESSIONS {
        index.insert(&Pattern::parse(&format!("topic.orders-{number}.eu.filled"))?, number);
        if number % LITERALS_A_WILDCARD == 0 {
            index.insert(&Pattern::parse(&format!("topic.orders-{number}.*.filled"))?, number + 1);
        }
    }
    let subject = |number| Subject::parse(&format!("topic.orders-{number}.eu.filled"));
    let subjects = (0..ASKED).map(subject).collect::<Result<Vec<_>, _>>()?;
    let mut next = (0..ASKED).cycle();
    Ok(Box::new(move || {
        let subject = &subjects[next.next().unwrap_or_default()];
        black_box(&index).matches(black_box(subject), |session| {
            black_box(session);
        });
    }))
}

/// Looks the two keys of one direct message up among the workers.
pub fn workers() -> Outcome<Step> {
    let interest = WorkerInterest::default();
    let key = |number| RoutingKey::parse(&format!("user.member-{number}"));
    for number in 0..SESSIONS {
        interest.add(&key(number)?, number % WORKERS);
    }
    let mut pairs = Vec::new();
    for number in 0..ASKED as u32 {
        pairs.push([key(number)?, key(SESSIONS - 1 - number)?]);
    }
    let mut next = (0..ASKED).cycle();
    Ok(Box::new(move || {
        let keys = &pairs[next.next().unwrap_or_default()];
        black_box(black_box(&interest).workers(black_box(keys)));
    }))
}

#[divan::bench(name = "patterns")]
fn time_patterns(bencher: Bencher<'_, '_>) {
    time(bencher, patterns());
}

#[divan::bench(name = "workers")]
fn time_workers(bencher: Bencher<'_, '_>) {
    time(bencher, workers());
}
