//! What a message to a very large room costs one event loop: deciding who is handed it, which is
//! one step, and handing it over, in slices between which others have their turn.
//!
//! `cargo bench --bench hub [-- MEMBERS…]`. Each member has a session of his own; sessions share
//! sockets, since no machine of ours opens so many, so writing is cheaper here than in life: it is
//! `narrowcast bench crowd` that measures real sessions.

use std::error::Error;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use narrowcast::auth::{Grants, Principal, TokenScope};
use narrowcast::bus::{BootId, Envelope, EnvelopeKind, StoreTag};
use narrowcast::config::SessionBounds;
use narrowcast::delivery::CopyKind;
use narrowcast::domain::{
    self, MemberState, Membership, MessageId, Micros, RoomId, RoutingKey, UserId,
};
use narrowcast::hub::{Hub, PatternBudget, Session};
use narrowcast::socket::{Link, WorkerShare};
use narrowcast::watermark::KnowledgeSource;

const MEMBERS: [usize; 3] = [1_000, 10_000, 50_000];
const MESSAGES: u64 = 50;
const SOCKETS: usize = 256;
/// As many as the router hands over before it yields.
const SLICE: usize = 512;
const BOUNDS: SessionBounds = SessionBounds {
    outbox_bytes: 1 << 26,
    sends_in_flight: 16,
    reads_in_flight: 8,
    held_frames: 1024,
    held_bytes: 1 << 18,
};
const REMEMBERED: usize = 262_144;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The ends of one event loop of connections whose other ends read everything.
fn links() -> Outcome<Vec<Rc<Link>>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let share = Rc::new(WorkerShare::alone(usize::MAX));
    let mut links = Vec::new();
    for _ in 0..SOCKETS {
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        server.set_nonblocking(true)?;
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while client.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
        });
        let stream = tokio::net::TcpStream::from_std(server)?;
        links.push(Link::open(stream, BOUNDS.outbox_bytes, &share).0);
    }
    Ok(links)
}

/// A hub with a room of so many members.
fn crowd(members: usize, links: &[Rc<Link>]) -> Outcome<(Hub, Vec<Rc<Session>>)> {
    let mut hub = Hub::new(REMEMBERED);
    let mut sessions = Vec::new();
    let patterns = Arc::new(PatternBudget::new(usize::MAX, usize::MAX));
    for number in 0..members {
        let user = UserId::parse(&format!("member-{number}"))?;
        let (publish, subscribe) = (Grants::default(), Grants::default());
        let principal = Principal {
            user: user.clone(),
            scope: TokenScope::User,
            publish,
            subscribe,
            expires_at: 0,
        };
        let link = Rc::clone(&links[number % links.len()]);
        let session =
            Rc::new(Session::new(number as u64, principal, None, link, BOUNDS, patterns.clone()));
        hub.join(&session);
        sessions.push(session);
        let stamp = MessageId::first_of(Micros(1));
        let state = MemberState::UNKNOWN.add(domain::MemberRole::Member, stamp);
        let joined = Membership { room: RoomId::parse("crowd")?, user, state };
        hub.apply_membership(&joined, KnowledgeSource::First);
    }
    Ok((hub, sessions))
}

fn message(number: u64) -> Outcome<Envelope> {
    Ok(Envelope {
        kind: EnvelopeKind::Message,
        tap_copy: false,
        boot: BootId([0; 16]),
        store: StoreTag(0),
        id: MessageId::first_of(Micros(2 + number)).to_bytes(),
        keys: [RoutingKey::parse("room.crowd")?].into_iter().collect(),
        about: "room.crowd".into(),
        frame: Bytes::from(format!("{{\"op\":\"message\",\"body\":\"{}\"}}", "x".repeat(200))),
    })
}

/// The steps of one event loop, none of which anybody else can interrupt.
#[derive(Default)]
struct Steps {
    audience: Duration,
    slices: Vec<Duration>,
}

async fn deliver(hub: &mut Hub, envelope: &Envelope, steps: &mut Steps) {
    let begun = Instant::now();
    let audience = hub.audience(envelope, CopyKind::Here, None);
    steps.audience = steps.audience.max(begun.elapsed());
    for slice in audience.chunks(SLICE) {
        let begun = Instant::now();
        hub.deliver_all(slice, envelope);
        let (touched, _) = hub.take_touched(SLICE);
        touched.iter().for_each(|session| session.flush());
        steps.slices.push(begun.elapsed());
        tokio::task::yield_now().await;
    }
}

async fn measure(members: usize) -> Outcome<()> {
    let links = links()?;
    let (mut hub, _sessions) = crowd(members, &links)?;
    let mut steps = Steps::default();
    let begun = Instant::now();
    for number in 0..MESSAGES {
        deliver(&mut hub, &message(number)?, &mut steps).await;
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
