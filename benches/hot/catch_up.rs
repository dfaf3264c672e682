//! The merge of a catch-up: what a session missed goes first, and live messages that came meanwhile
//! follow, each message once.
//!
//! A user missed 1,000 messages, as many as a resume sends by default: 50 in each of 20
//! conversations, the recently active first. Meanwhile 100 come live, and half of them are read as
//! well. One step is the whole merge, without reads and without sockets.

use std::hint::black_box;

use divan::Bencher;
use narrowcast::bus::{Envelope, EnvelopeKind};
use narrowcast::delivery::CopyKind;
use narrowcast::domain::{MessageId, RoutingKey};
use tokio::runtime::Runtime;

use crate::crowd::{Crowd, Outcome, id, publish};
use crate::{Step, time};

const MISSED: u64 = 1000;
const CONVERSATIONS: u64 = 20;
const LIVE: u64 = 100;
const LIVE_AND_READ: u64 = 50;

struct CatchUp {
    _runtime: Runtime,
    crowd: Crowd,
    key: RoutingKey,
    live: Envelope,
    /// The first number that no message has.
    next: u64,
}

impl CatchUp {
    fn new() -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut crowd = runtime.block_on(async { Crowd::open(false) })?;
        crowd.add_room("room", 1)?;
        let key = crowd.sessions[0].key();
        let live = publish(EnvelopeKind::Message, key.as_str(), "dm.friend.member-0")?;
        Ok(Self { _runtime: runtime, crowd, key, live, next: 0 })
    }

    /// The ids of what is read, conversation by conversation: those of one are spread over all.
    fn missed(&self) -> impl Iterator<Item = MessageId> + use<> {
        let (first, each) = (self.next, MISSED / CONVERSATIONS);
        (0..CONVERSATIONS).rev().flat_map(move |conversation| {
            (0..each).map(move |place| id(first + place * CONVERSATIONS + conversation))
        })
    }

    fn merge(&mut self) -> usize {
        let session = self.crowd.sessions[0].clone();
        session.recovery.begin_catch_up(self.crowd.hub.place());
        for number in 0..LIVE {
            let number = self.next + MISSED - LIVE_AND_READ + number;
            self.live.id = id(number).to_bytes();
            self.crowd.hub.deliver(&self.live, CopyKind::Bucket, None);
        }
        let mut delivered = 0;
        for message in self.missed() {
            let is_for = self.crowd.hub.is_still_for(&session, self.key.as_room(), message);
            delivered += usize::from(is_for && session.recovery.catch(message));
        }
        delivered += session.recovery.end_catch_up().map_or(0, |behind| behind.len());
        self.next += MISSED - LIVE_AND_READ + LIVE;
        session.recovery.prune(id(self.next).time());
        delivered
    }
}

/// Merges once.
pub fn merge() -> Outcome<Step> {
    let mut catch_up = CatchUp::new()?;
    let delivered = catch_up.merge() as u64;
    if delivered != MISSED - LIVE_AND_READ + LIVE {
        return Err(format!("{delivered} messages were delivered").into());
    }
    Ok(Box::new(move || {
        black_box(catch_up.merge());
    }))
}

#[divan::bench(name = "merge")]
fn time_merge(bencher: Bencher<'_, '_>) {
    time(bencher, merge());
}
