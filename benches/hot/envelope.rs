//! The envelope on the bus: making its bytes with their tag, and reading them.
//!
//! 1,000 direct messages with a body of 200 bytes, each with the keys of both users. The frame is
//! the one that clients get.

use std::hint::black_box;

use bytes::Bytes;
use divan::Bencher;
use narrowcast::bus::{BootId, Envelope, EnvelopeKind, EnvelopeMac, StoreTag};
use narrowcast::domain::{Conversation, Message, UserId};
use narrowcast::protocol::{DedupKey, MessageText};

use crate::crowd::{Outcome, id};
use crate::{Step, time};

const MESSAGES: u64 = 1000;
const BODY_BYTES: usize = 200;
const STORE_KEY: [u8; 32] = [3; 32];

fn envelope(number: u64) -> Outcome<Envelope> {
    let from = UserId::parse(&format!("alice-{number}"))?;
    let conversation = Conversation::between(&from, &UserId::parse(&format!("bob-{number}"))?);
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(BODY_BYTES));
    let nonce = Some(format!("{number:016x}").into());
    let message = Message { id: id(number), conversation, from, nonce, body: body.into() };
    let text = MessageText::new(&message, &DedupKey::of_store(&STORE_KEY));
    let about = message.conversation.to_string();
    Ok(Envelope {
        kind: EnvelopeKind::Message,
        id: message.id.to_bytes(),
        keys: message.conversation.keys().collect(),
        frame: text.frame(),
        ..Envelope::notice(BootId([7; 16]), StoreTag(1), &about)
    })
}

fn envelopes() -> Outcome<Vec<Envelope>> {
    (0..MESSAGES).map(envelope).collect()
}

/// Makes the bytes of one envelope, for both of its keys.
pub fn encode() -> Outcome<Step> {
    let (envelopes, seal) = (envelopes()?, EnvelopeMac::of_store(&STORE_KEY));
    let mut next = (0..envelopes.len()).cycle();
    Ok(Box::new(move || {
        let envelope = black_box(&envelopes[next.next().unwrap_or_default()]);
        drop(black_box(envelope.encode_for(&envelope.keys, &seal)));
    }))
}

/// Reads the bytes of one envelope.
pub fn decode() -> Outcome<Step> {
    let seal = EnvelopeMac::of_store(&STORE_KEY);
    let bytes = |envelope: &Envelope| envelope.encode_for(&envelope.keys, &seal);
    let encoded: Vec<Bytes> = envelopes()?.iter().map(bytes).collect();
    let mut next = (0..encoded.len()).cycle();
    Ok(Box::new(move || {
        let bytes = black_box(&encoded[next.next().unwrap_or_default()]);
        drop(black_box(Envelope::decode(bytes, &seal)));
    }))
}

#[divan::bench(name = "encode")]
fn time_encode(bencher: Bencher<'_, '_>) {
    time(bencher, encode());
}

#[divan::bench(name = "decode")]
fn time_decode(bencher: Bencher<'_, '_>) {
    time(bencher, decode());
}
