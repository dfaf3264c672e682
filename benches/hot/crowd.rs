//! Sessions on real sockets, and what is published to them.

use std::error::Error;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use narrowcast::auth::{Grants, Principal, TokenScope};
use narrowcast::bus::{BootId, Envelope, EnvelopeKind, StoreTag};
use narrowcast::config::SessionBounds;
use narrowcast::domain::{
    MemberRole, MemberState, Membership, MessageId, Micros, RoomId, RoutingKey, UserId,
};
use narrowcast::hub::{Hub, PatternBudget, Session};
use narrowcast::socket::{Link, WorkerShare};
use narrowcast::watermark::KnowledgeSource;

/// Sessions share sockets, since a process may not have one for each of 50,000.
const SOCKETS: usize = 256;
const BOUNDS: SessionBounds = SessionBounds {
    outbox_bytes: 1 << 26,
    sends_in_flight: 16,
    reads_in_flight: 8,
    held_frames: 1024,
    held_bytes: 1 << 18,
};
/// Deliveries that a hub remembers: the default of the configuration.
const REMEMBERED: usize = 262_144;
const JOINED: Micros = Micros(1);
const BODY_BYTES: usize = 200;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// A hub with sessions, each of a user of its own.
pub struct Crowd {
    pub hub: Hub,
    pub sessions: Vec<Rc<Session>>,
    links: Vec<Rc<Link>>,
    _kept: Vec<TcpStream>,
    patterns: Arc<PatternBudget>,
}

impl Crowd {
    /// Opens the sockets. It is called on the runtime that drives them. Threads of this process read
    /// what is written, or it stays in the kernel, which takes 100 kB for each socket and more.
    pub fn open(is_read: bool) -> Outcome<Self> {
        let patterns = Arc::new(PatternBudget::new(usize::MAX, usize::MAX));
        let (links, kept) = links(is_read)?;
        Ok(Self { hub: Hub::new(REMEMBERED), sessions: Vec::new(), links, _kept: kept, patterns })
    }

    /// Adds the session of a new user.
    pub fn join(&mut self) -> Outcome<Rc<Session>> {
        let number = self.sessions.len();
        let principal = Principal {
            user: UserId::parse(&format!("member-{number}"))?,
            scope: TokenScope::User,
            publish: Grants::default(),
            subscribe: Grants::default(),
            expires_at: 0,
        };
        let link = Rc::clone(&self.links[number % SOCKETS]);
        let patterns = Arc::clone(&self.patterns);
        let session = Session::new(number as u64, principal, None, link, BOUNDS, patterns);
        let session = Rc::new(session);
        self.hub.join(&session);
        self.sessions.push(Rc::clone(&session));
        Ok(session)
    }

    /// Adds a room of so many new users.
    pub fn add_room(&mut self, name: &str, members: usize) -> Outcome<()> {
        let room = RoomId::parse(name)?;
        for _ in 0..members {
            let user = self.join()?.user.clone();
            let stamp = MessageId::first_of(JOINED);
            let state = MemberState::UNKNOWN.add(MemberRole::Member, stamp);
            let joined = Membership { room: room.clone(), user, state };
            self.hub.apply_membership(&joined, KnowledgeSource::First);
        }
        Ok(())
    }

    /// Writes what is queued for at most so many sessions. Returns those whose socket takes no more
    /// for now.
    pub fn flush(&mut self, max: usize) -> Vec<Rc<Session>> {
        let (mut touched, _) = self.hub.take_touched(max);
        touched.iter().for_each(|session| session.flush());
        touched.retain(|session| session.link().blocked_since().is_some());
        touched
    }
}

/// The ends of one event loop of connections, and the far ends that are kept.
fn links(is_read: bool) -> Outcome<(Vec<Rc<Link>>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let share = Rc::new(WorkerShare::alone(usize::MAX));
    let (mut links, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..SOCKETS {
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        server.set_nonblocking(true)?;
        if is_read {
            std::thread::spawn(move || read_all(client));
        } else {
            kept.push(client);
        }
        let stream = tokio::net::TcpStream::from_std(server)?;
        links.push(Link::open(stream, BOUNDS.outbox_bytes, &share).0);
    }
    Ok((links, kept))
}

fn read_all(mut client: TcpStream) {
    let mut buffer = vec![0; 65_536];
    while client.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
}

/// The id of the message with this number: above the membership of every member.
pub const fn id(number: u64) -> MessageId {
    MessageId::first_of(Micros(JOINED.0 + 1 + number))
}

/// A publish under one key.
pub fn publish(kind: EnvelopeKind, key: &str, about: &str) -> Outcome<Envelope> {
    let body = "x".repeat(BODY_BYTES);
    Ok(Envelope {
        kind,
        tap_copy: false,
        boot: BootId([0; 16]),
        store: StoreTag(0),
        id: [0; 16],
        keys: [RoutingKey::parse(key)?].into_iter().collect(),
        about: about.into(),
        frame: Bytes::from(format!("{{\"op\":\"message\",\"body\":\"{body}\"}}")),
    })
}
