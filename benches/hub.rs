//! What a message to a very large room costs one event loop: deciding who is handed it, which is
//! one step, and handing it over, in slices between which others have their turn.
//!
//! `cargo bench --bench hub [-- MEMBERS…]`. Each member has a session of his own; sessions share
//! sockets, since no machine of ours opens so many, so writing is cheaper here than in life: it is
//! `narrowcast bench crowd` that measures real sessions.

#[path = "hot/crowd.rs"]
mod crowd;

use std::time::{Duration, Instant};

use narrowcast::bus::{Envelope, EnvelopeKind};
use narrowcast::delivery::CopyKind;

use crowd::{Crowd, Outcome, id, publish};

const MEMBERS: [usize; 3] = [1_000, 10_000, 50_000];
const MESSAGES: u64 = 50;
/// As many as the router hands over before it yields.
const SLICE: usize = 512;
const ROOM: &str = "room.crowd";

/// The steps of one event loop, none of which anybody else can interrupt.
#[derive(Default)]
struct Steps {
    audience: Duration,
    slices: Vec<Duration>,
}

async fn deliver(crowd: &mut Crowd, envelope: &Envelope, steps: &mut Steps) {
    let begun = Instant::now();
    let audience = crowd.hub.audience(envelope, CopyKind::Here, None);
    steps.audience = steps.audience.max(begun.elapsed());
    for slice in audience.chunks(SLICE) {
        let begun = Instant::now();
        crowd.hub.deliver_all(slice, envelope);
        crowd.flush(SLICE);
        steps.slices.push(begun.elapsed());
        tokio::task::yield_now().await;
    }
}

async fn measure(members: usize) -> Outcome<()> {
    let mut crowd = Crowd::open(true)?;
    crowd.add_room("crowd", members)?;
    let mut steps = Steps::default();
    let begun = Instant::now();
    for number in 0..MESSAGES {
        let publish = publish(EnvelopeKind::Message, ROOM, ROOM)?;
        let envelope = Envelope { id: id(number).to_bytes(), ..publish };
        deliver(&mut crowd, &envelope, &mut steps).await;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / (MESSAGES as usize * members) as f64;
    steps.slices.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let at = |share: f64| ms(steps.slices[((steps.slices.len() - 1) as f64 * share) as usize]);
    println!(
        "{members:>7} members: {each:.2} us a delivery; the longest step to decide {:.2} ms; \
         slices of {SLICE}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        ms(steps.audience),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

fn main() -> Outcome<()> {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let members = if asked.is_empty() { MEMBERS.to_vec() } else { asked };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default())?;
    for members in members {
        runtime.block_on(measure(members))?;
    }
    Ok(())
}
