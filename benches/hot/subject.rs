//! Reading a subject, and matching it with a pattern.
//!
//! 1,000 subjects of four tokens, as of order books: `topic.orders-17.eu.filled`. Each is matched
//! with four patterns: itself, one with `*`, one with `>`, and one that differs in the last token.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::domain::{Pattern, Subject};

use crate::crowd::Outcome;
use crate::{Step, time};

const SUBJECTS: usize = 1000;

fn texts() -> Vec<String> {
    (0..SUBJECTS).map(|number| format!("topic.orders-{number}.eu.filled")).collect()
}

/// Reads one subject.
pub fn parse() -> Outcome<Step> {
    let texts = texts();
    for text in &texts {
        Subject::parse(text)?;
    }
    let mut next = (0..SUBJECTS).cycle();
    Ok(Box::new(move || {
        let text = &texts[next.next().unwrap_or_default()];
        drop(black_box(Subject::parse(black_box(text))));
    }))
}

/// Matches one subject with four patterns.
pub fn matches() -> Outcome<Step> {
    let mut subjects = Vec::new();
    for (number, text) in texts().iter().enumerate() {
        let texts = [
            text.clone(),
            format!("topic.orders-{number}.*.filled"),
            format!("topic.orders-{number}.>"),
            format!("topic.orders-{number}.eu.cancelled"),
        ];
        let patterns = texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
        subjects.push((Subject::parse(text)?, patterns?));
    }
    let mut next = (0..SUBJECTS).cycle();
    Ok(Box::new(move || {
        let (subject, patterns) = &subjects[next.next().unwrap_or_default()];
        for pattern in patterns {
            black_box(black_box(pattern).matches(black_box(subject)));
        }
    }))
}

#[divan::bench(name = "parse")]
fn time_parse(bencher: Bencher<'_, '_>) {
    time(bencher, parse());
}

#[divan::bench(name = "match_four")]
fn time_matches(bencher: Bencher<'_, '_>) {
    time(bencher, matches());
}
