//! The limits of one send: of its conversation, and of its user, both counted in memory.
//!
//! 1,000 users take turns, each with a conversation of its own. The bursts are so long that every
//! send is let in, and the rates so low that nothing that was charged is forgotten meanwhile.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::bench::SendLimits;
use narrowcast::domain::{Conversation, UserId};

use crate::crowd::Outcome;
use crate::{Step, time};

const USERS: usize = 1000;

/// Decides one send.
pub fn send() -> Outcome<Step> {
    let limits = SendLimits::unexhausted();
    let mut sends = Vec::new();
    for number in 0..USERS {
        let from = UserId::parse(&format!("alice-{number}"))?;
        let conversation = Conversation::between(&from, &UserId::parse(&format!("bob-{number}"))?);
        if !limits.allow(&from, &conversation) {
            return Err("the first send is refused".into());
        }
        sends.push((from, conversation));
    }
    let mut next = (0..USERS).cycle();
    Ok(Box::new(move || {
        let (from, conversation) = &sends[next.next().unwrap_or_default()];
        black_box(limits.allow(black_box(from), black_box(conversation)));
    }))
}

#[divan::bench(name = "send")]
fn time_send(bencher: Bencher<'_, '_>) {
    time(bencher, send());
}
