//! Delivering one publish, from the envelope to the sockets: deciding for whom it is, queueing it,
//! and writing it in slices.
//!
//! A message of 200 bytes goes to the members of a room, and an event of the same size to the
//! subscribers of a topic. Each has a session of its own. There are as many rooms or topics as make
//! a thousand sessions, and they take turns. The sockets are real and on loopback, so the times
//! include the kernel's share; the counts of instructions do not.

use std::time::Duration;

use divan::Bencher;
use narrowcast::bus::{Envelope, EnvelopeKind};
use narrowcast::delivery::CopyKind;
use narrowcast::domain::Pattern;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use crate::crowd::{Crowd, Outcome, id, publish};
use crate::{Step, time};

const SESSIONS: usize = 1000;
/// As many as a worker delivers to before it yields.
const SLICE: usize = 512;
/// How long to wait for a full socket, and for the runtime to see that a new one is writable.
const PAUSE: Duration = Duration::from_millis(1);

async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// An event loop and its sessions.
struct Delivery {
    runtime: LocalRuntime,
    crowd: Crowd,
    publishes: Vec<Envelope>,
    next: usize,
}

impl Delivery {
    fn new(
        sessions: usize,
        is_read: bool,
        kind: EnvelopeKind,
        add: fn(&mut Crowd, usize, usize) -> Outcome<Envelope>,
    ) -> Outcome<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime?;
        let mut crowd = runtime.block_on(async { Crowd::open(is_read) })?;
        let mut publishes = Vec::new();
        for number in 0..SESSIONS.div_ceil(sessions) {
            publishes.push(Envelope { kind, ..add(&mut crowd, number, sessions)? });
        }
        runtime.block_on(pause());
        Ok(Self { runtime, crowd, publishes, next: 0 })
    }

    fn deliver_next(&mut self) {
        let place = self.next % self.publishes.len();
        let envelope = &mut self.publishes[place];
        envelope.id = id(self.next as u64).to_bytes();
        self.next += 1;
        let audience = self.crowd.hub.audience(envelope, CopyKind::Bucket, None);
        for slice in audience.chunks(SLICE) {
            self.crowd.hub.deliver_all(slice, envelope);
            for session in self.crowd.flush(SLICE) {
                while session.link().blocked_since().is_some() {
                    self.runtime.block_on(pause());
                    session.flush();
                }
            }
        }
    }
}

/// Delivers one message to so many members of a room.
pub fn message(members: usize, is_read: bool) -> Outcome<Step> {
    let kind = EnvelopeKind::Message;
    let mut delivery = Delivery::new(members, is_read, kind, |crowd, number, members| {
        let (room, key) = (format!("room-{number}"), format!("room.room-{number}"));
        crowd.add_room(&room, members)?;
        publish(EnvelopeKind::Message, &key, &key)
    })?;
    Ok(Box::new(move || delivery.deliver_next()))
}

/// Delivers one event to so many subscribers of a topic.
pub fn event(subscribers: usize, is_read: bool) -> Outcome<Step> {
    let kind = EnvelopeKind::Event;
    let mut delivery = Delivery::new(subscribers, is_read, kind, |crowd, number, count| {
        let key = format!("topic.orders-{number}");
        let subject = format!("{key}.eu.filled");
        let patterns = [Pattern::parse(&subject)?];
        for _ in 0..count {
            let session = crowd.join()?;
            crowd.hub.subscribe(&session, &patterns)?;
            crowd.hub.activate(&session, &patterns);
        }
        publish(EnvelopeKind::Event, &key, &subject)
    })?;
    Ok(Box::new(move || delivery.deliver_next()))
}

#[divan::bench(name = "message", args = [1, 100, 50_000])]
fn time_message(bencher: Bencher<'_, '_>, members: usize) {
    time(bencher, message(members, true));
}

#[divan::bench(name = "event", args = [1, 100, 50_000])]
fn time_event(bencher: Bencher<'_, '_>, subscribers: usize) {
    time(bencher, event(subscribers, true));
}
