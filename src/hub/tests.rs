use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::{Grants, Principal, TokenScope};
use crate::bus::{BootId, Envelope, EnvelopeKind, StoreTag};
use crate::config::SessionBounds;
use crate::delivery::CopyKind;
use crate::domain::{Class, MemberState, RoutingKey, Subject};
use crate::socket::{Link, WorkerShare};

mod held;
mod permits;
mod reads;
mod slices;

const BOUNDS: SessionBounds = SessionBounds {
    outbox_bytes: 1000,
    sends_in_flight: 1,
    reads_in_flight: 1,
    held_frames: 4,
    held_bytes: 4096,
};

/// Sessions on real sockets, whose other ends are not read.
struct Peers {
    listener: TcpListener,
    others: Vec<TcpStream>,
    share: Rc<WorkerShare>,
    made: u64,
    patterns: Arc<PatternBudget>,
}

impl Peers {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let share = Rc::new(WorkerShare::alone(1 << 20));
        let patterns = Arc::new(PatternBudget::new(1 << 20, 1 << 20));
        Self { listener, others: Vec::new(), share, made: 0, patterns }
    }

    async fn session(&mut self, user: &str) -> Rc<Session> {
        let address = self.listener.local_addr().unwrap();
        let (other, accepted) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        self.others.push(other.unwrap());
        let (link, _read) = Link::open(accepted.unwrap().0, BOUNDS.outbox_bytes, &self.share);
        let user = UserId::parse(user).unwrap();
        let (publish, subscribe) = (Grants::default(), Grants::default());
        let principal =
            Principal { user, scope: TokenScope::User, publish, subscribe, expires_at: 0 };
        self.made += 1;
        Rc::new(Session::new(self.made, principal, None, link, BOUNDS, Arc::clone(&self.patterns)))
    }
}

fn on_event_loop<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let options = tokio::runtime::LocalOptions::default();
    builder.enable_all().build_local(options).unwrap().block_on(future)
}

fn envelope(kind: EnvelopeKind, keys: &[&str], about: &str) -> Envelope {
    Envelope {
        kind,
        tap_copy: false,
        boot: BootId([0; 16]),
        store: StoreTag(0),
        id: MessageId::first_of(Micros(1)).to_bytes(),
        keys: keys.iter().map(|key| RoutingKey::parse(key).unwrap()).collect(),
        about: about.into(),
        frame: Bytes::from_static(b"{}"),
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn subscribe(hub: &mut Hub, session: &Session, pattern: &Pattern) -> Vec<PatternScope> {
    hub.subscribe(session, std::slice::from_ref(pattern)).unwrap()
}

#[test]
fn a_message_reaches_every_session_of_its_users_once_but_the_senders() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let [sender, other, bob] =
            [peers.session("a").await, peers.session("a").await, peers.session("b").await];
        assert!(hub.join(&sender) && !hub.join(&other) && hub.join(&bob));
        let message = envelope(EnvelopeKind::Message, &["user.a", "user.b"], "dm.a.b");
        assert_eq!(hub.deliver(&message, CopyKind::Here, Some(sender.number)).handed, 2);
        let (touched, more) = hub.take_touched(9);
        assert!(touched.len() == 2 && !more);
        assert!(touched.iter().all(|session| !Rc::ptr_eq(session, &sender)));
    });
}

#[test]
fn who_left_is_not_taken_for_the_next_one_in_its_place() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (sender, bob) = (peers.session("a").await, peers.session("b").await);
        hub.join(&sender);
        let place = sender.id();
        hub.leave(&sender);
        hub.join(&bob);
        assert_eq!(bob.id(), place, "the place is used again");
        let message = envelope(EnvelopeKind::Message, &["user.a", "user.b"], "dm.a.b");
        assert_eq!(
            hub.deliver(&message, CopyKind::Here, Some(sender.number)).handed,
            1,
            "a late send reaches Bob"
        );
    });
}

#[test]
fn an_event_is_shed_from_half_the_bound_on_and_a_message_closes_at_the_bound() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let bob = peers.session("b").await;
        hub.join(&bob);
        let large = |kind, time| Envelope {
            frame: Bytes::from(vec![b'x'; 600]),
            id: MessageId::first_of(Micros(time)).to_bytes(),
            ..envelope(kind, &["user.b"], "user.b.x")
        };
        assert_eq!(hub.deliver(&large(EnvelopeKind::Event, 0), CopyKind::Here, None).shed, 1);
        assert_eq!(hub.deliver(&large(EnvelopeKind::Message, 1), CopyKind::Here, None).handed, 1);
        assert_eq!(hub.deliver(&large(EnvelopeKind::Message, 2), CopyKind::Here, None).evicted, 1);
        assert!(!bob.link().is_open());
        assert_eq!(
            hub.deliver(&large(EnvelopeKind::Message, 3), CopyKind::Here, None),
            Delivered::default()
        );
    });
}

#[test]
fn a_repeat_reaches_only_those_who_have_not_had_it() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (sender, early) = (peers.session("a").await, peers.session("b").await);
        hub.join(&sender);
        hub.join(&early);
        let message = envelope(EnvelopeKind::Message, &["user.a", "user.b"], "dm.a.b");
        assert_eq!(hub.deliver(&message, CopyKind::Here, Some(sender.number)).handed, 1);
        assert_eq!(
            hub.deliver(&message, CopyKind::Here, None).handed,
            0,
            "the sender gets `sent` instead"
        );
        let late = peers.session("b").await;
        late.recovery.begin_catch_up(hub.place());
        hub.join(&late);
        let id = message.message_id().unwrap();
        let had = |hub: &Hub, session: &Rc<Session>| hub.had(session, &session.key(), id);
        assert!(had(&hub, &early) && had(&hub, &sender) && !had(&hub, &late));
        assert_eq!(hub.deliver(&message, CopyKind::Here, None).handed, 1);
        assert_eq!(late.recovery.end_catch_up().unwrap().len(), 1, "it waits behind the catch-up");
        hub.prune(id.time());
        assert!(!had(&hub, &early), "at or below the watermark nothing is read again");
    });
}

#[test]
fn the_newest_request_answers_for_a_pattern_until_one_is_confirmed() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let bob = peers.session("b").await;
        hub.join(&bob);
        let patterns = [pattern("topic.a.*"), pattern("topic.b.*")];
        patterns.iter().for_each(|one| assert_eq!(subscribe(&mut hub, &bob, one).len(), 1));
        let first = bob.claim(&patterns);
        let second = bob.claim(&patterns[1..]);
        assert_eq!(bob.unconfirmed(first), patterns[..1], "the second claim counts");
        assert_eq!(bob.unconfirmed(second), patterns[1..]);
        bob.confirm(&patterns[1..]);
        assert!(bob.unconfirmed(second).is_empty(), "confirmed stays");
    });
}

#[test]
fn a_literal_pattern_takes_a_session_from_its_tap_once_it_is_settled() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let bob = peers.session("b").await;
        hub.join(&bob);
        let event = envelope(EnvelopeKind::Event, &["topic.a"], "topic.a.x");
        let [wide, literal] = ["topic.>", "topic.a.*"].map(pattern);
        let handed = |hub: &mut Hub| {
            [CopyKind::Here, CopyKind::Bucket, CopyKind::Tap]
                .map(|via| hub.deliver(&event, via, None).handed)
        };
        subscribe(&mut hub, &bob, &wide);
        assert_eq!(handed(&mut hub), [1, 0, 1]);
        subscribe(&mut hub, &bob, &literal);
        assert_eq!(handed(&mut hub), [1, 0, 1], "its bucket is not subscribed to yet");
        hub.activate(&bob, &[wide.clone(), literal.clone()]);
        assert_eq!(handed(&mut hub), [1, 1, 0]);
        hub.unsubscribe(&bob, std::slice::from_ref(&wide));
        assert_eq!(handed(&mut hub), [1, 1, 0]);
        subscribe(&mut hub, &bob, &wide);
        hub.unsubscribe(&bob, std::slice::from_ref(&literal));
        assert_eq!(handed(&mut hub), [1, 0, 1]);
    });
}

const PATTERNS: [&str; 10] = [
    "topic.a",
    "user.u0",
    "topic.a.*",
    "topic.a.>",
    "topic.a.x",
    "topic.b.>",
    "user.u0.x",
    "topic.>",
    "topic.*.x",
    "presence.*",
];

const SUBJECTS: [&str; 8] = [
    "topic.a",
    "topic.a.x",
    "topic.a.x.y",
    "topic.b.x",
    "topic.c",
    "presence.u0",
    "user.u0.x",
    "user.u1.x",
];

#[derive(Debug, Clone)]
enum Step {
    Subscribe(usize, usize),
    Settle(usize, usize),
    Unsubscribe(usize, usize),
    Leave(usize),
    Join(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (session, pattern) = (0..4_usize, 0..PATTERNS.len());
    let both = || (session.clone(), pattern.clone());
    prop_oneof![
        4 => both().prop_map(|(s, p)| Step::Subscribe(s, p)),
        2 => both().prop_map(|(s, p)| Step::Settle(s, p)),
        2 => both().prop_map(|(s, p)| Step::Unsubscribe(s, p)),
        1 => session.clone().prop_map(Step::Leave),
        2 => session.prop_map(Step::Join),
    ]
}

/// A session and its patterns, each with whether it is settled.
type Naive = (Rc<Session>, HashMap<usize, bool>);

/// A hub beside naive lists of the sessions' patterns and of what is wanted.
struct Twins {
    hub: Hub,
    peers: Peers,
    sessions: HashMap<usize, Naive>,
    wanted: HashSet<PatternScope>,
}

impl Twins {
    async fn take(&mut self, step: &Step) {
        match step {
            Step::Join(s) if !self.sessions.contains_key(s) => {
                let session = self.peers.session(&format!("u{}", s % 2)).await;
                let new = self.hub.join(&session);
                assert_eq!(new, self.wanted.insert(PatternScope::Key(session.key())));
                self.sessions.insert(*s, (session, HashMap::new()));
            }
            Step::Join(_) => {}
            Step::Leave(s) => self.leave(*s),
            Step::Subscribe(s, p) => {
                let Some((session, held)) = self.sessions.get_mut(s) else { return };
                let new = !subscribe(&mut self.hub, session, &pattern(PATTERNS[*p])).is_empty();
                held.entry(*p).or_insert(false);
                assert_eq!(new, self.wanted.insert(pattern(PATTERNS[*p]).scope()));
            }
            Step::Settle(s, p) => {
                let Some((session, held)) = self.sessions.get_mut(s) else { return };
                self.hub.activate(session, &[pattern(PATTERNS[*p])]);
                held.entry(*p).and_modify(|settled| *settled = true);
            }
            Step::Unsubscribe(s, p) => {
                let Some((session, held)) = self.sessions.get_mut(s) else { return };
                let unwanted = self.hub.unsubscribe(session, &[pattern(PATTERNS[*p])]);
                held.remove(p);
                unwanted.iter().for_each(|scope| assert!(self.wanted.remove(scope), "{scope:?}"));
            }
        }
    }

    fn leave(&mut self, number: usize) {
        let Some((session, _)) = self.sessions.remove(&number) else { return };
        let unwanted = self.hub.leave(&session);
        unwanted.iter().for_each(|scope| assert!(self.wanted.remove(scope), "{scope:?}"));
    }

    fn compare(&self, about: &str) {
        let subject = Subject::parse(about).unwrap();
        let event = envelope(EnvelopeKind::Event, &[subject.key().as_str()], about);
        let found = |via| self.hub.event_audience(&event, via).to_vec();
        let expected = |via| {
            let hears = |naive: &&Naive| hears(naive, &subject, via);
            let mut ids: Vec<SessionId> =
                self.sessions.values().filter(hears).filter_map(|(s, _)| s.id()).collect();
            ids.sort_unstable();
            ids
        };
        for via in [CopyKind::Here, CopyKind::Bucket, CopyKind::Tap] {
            assert_eq!(found(via), expected(via), "{about} by {via:?}");
        }
        let may_exceed = |max| self.hub.may_exceed(&event, max);
        assert!(
            (0..found(CopyKind::Here).len()).all(may_exceed),
            "the audience is never underestimated"
        );
        assert!(!may_exceed(self.sessions.len() * (PATTERNS.len() + 1)), "nor far overestimated");
        if subject.class() == Class::Topic {
            let mut both = [found(CopyKind::Bucket), found(CopyKind::Tap)].concat();
            both.sort_unstable();
            assert_eq!(both, found(CopyKind::Here), "{about}: each once by two copies");
        }
    }
}

/// Returns whether a session is to get an event by a copy.
fn hears((session, held): &Naive, subject: &Subject, via: CopyKind) -> bool {
    let matching = |p: &usize| pattern(PATTERNS[*p]).matches(subject);
    let wide = |p: &usize| pattern(PATTERNS[*p]).scope() == PatternScope::Wide;
    let matches: Vec<(bool, bool)> =
        held.iter().filter(|(p, _)| matching(p)).map(|(p, settled)| (wide(p), *settled)).collect();
    let own = subject.key() == session.key();
    let any_wide = matches.iter().any(|(wide, _)| *wide);
    let settled = matches.iter().any(|(wide, settled)| !wide && *settled);
    match via {
        CopyKind::Here => own || !matches.is_empty(),
        CopyKind::Bucket => own || settled || !any_wide && !matches.is_empty(),
        CopyKind::Tap => own || any_wide && !settled,
    }
}

/// Runs steps in the hub and in the naive lists.
async fn compare(steps: &[Step]) {
    let (hub, peers) = (Hub::new(16), Peers::new().await);
    let mut twins = Twins { hub, peers, sessions: HashMap::new(), wanted: HashSet::new() };
    for step in steps {
        twins.take(step).await;
        SUBJECTS.iter().for_each(|about| twins.compare(about));
    }
    (0..4).for_each(|number| twins.leave(number));
    let Twins { hub, wanted, .. } = twins;
    assert!(wanted.is_empty() && hub.wanted.is_empty());
    assert!(hub.users.is_empty() && hub.is_empty());
}

#[test]
fn agrees_with_a_naive_list() {
    let mut runner = TestRunner::new(Config::with_cases(48));
    let steps = prop::collection::vec(any_step(), 1..40);
    runner
        .run(&steps, |steps| {
            on_event_loop(compare(&steps));
            Ok(())
        })
        .unwrap();
}

fn membership(room: &str, user: &str, inside: bool, joined: u64, stamp: u64) -> Membership {
    let at = |time| MessageId::first_of(Micros(time));
    let state = MemberState::UNKNOWN.add(crate::domain::MemberRole::Member, at(joined));
    let state = if inside { state } else { state.remove(at(stamp)) };
    Membership { room: RoomId::parse(room).unwrap(), user: UserId::parse(user).unwrap(), state }
}

fn room_message(time: u64) -> Envelope {
    let id = MessageId::first_of(Micros(time)).to_bytes();
    Envelope { id, ..envelope(EnvelopeKind::Message, &["room.r"], "room.r") }
}

#[test]
fn a_rooms_message_reaches_members_above_their_joining_until_they_leave() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (ann, bob) = (peers.session("ann").await, peers.session("bob").await);
        hub.join(&ann);
        hub.join(&bob);
        let key = PatternScope::Key(RoutingKey::parse("room.r").unwrap());
        let news = |user, inside, joined, stamp| membership("r", user, inside, joined, stamp);
        let apply =
            |hub: &mut Hub, news: &Membership| hub.apply_membership(news, KnowledgeSource::News);
        let first = apply(&mut hub, &news("ann", true, 10, 10));
        assert_eq!(first, (RoomChange::Joined, Some(key.clone())));
        let second = apply(&mut hub, &news("bob", true, 20, 20));
        assert_eq!(second, (RoomChange::Joined, None), "the room is wanted already");
        let handed =
            |hub: &mut Hub, time| hub.deliver(&room_message(time), CopyKind::Here, None).handed;
        assert_eq!([5, 15, 25].map(|time| handed(&mut hub, time)), [0, 1, 2]);
        assert_eq!(handed(&mut hub, 25), 0, "a repeat");
        assert_eq!(apply(&mut hub, &news("bob", false, 20, 30)), (RoomChange::Left, None));
        assert_eq!(apply(&mut hub, &news("bob", true, 20, 20)), (RoomChange::Stale, None));
        assert_eq!(handed(&mut hub, 35), 1, "a user who left gets nothing more");
        assert_eq!(hub.leave(&ann), [key, PatternScope::Key(ann.key())], "the user's last session");
        assert_eq!(handed(&mut hub, 45), 0);
    });
}

#[test]
fn a_new_member_has_not_had_what_the_others_had_before_and_is_capped_until_it_is_read() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (ann, bob) = (peers.session("ann").await, peers.session("bob").await);
        hub.join(&ann);
        hub.join(&bob);
        hub.apply_membership(&membership("r", "ann", true, 10, 10), KnowledgeSource::First);
        assert_eq!(hub.deliver(&room_message(25), CopyKind::Here, None).handed, 1);
        hub.apply_membership(&membership("r", "bob", true, 20, 20), KnowledgeSource::News);
        let key = RoutingKey::parse("room.r").unwrap();
        let id = MessageId::first_of(Micros(25));
        assert!(hub.had(&ann, &key, id) && !hub.had(&bob, &key, id));
        assert_eq!((hub.cap(&ann.user), hub.cap(&bob.user)), (Micros(u64::MAX), Micros(19)));
    });
}

#[test]
fn a_change_is_news_to_the_other_members_once() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        let (ann, bob) = (peers.session("ann").await, peers.session("bob").await);
        hub.join(&ann);
        hub.join(&bob);
        for user in ["ann", "bob"] {
            hub.apply_membership(&membership("r", user, true, 10, 10), KnowledgeSource::First);
        }
        let news = membership("r", "bob", false, 10, 20);
        let about = format!("{news} .");
        let copy = |key| {
            let id = news.stamp().to_bytes();
            Envelope { id, ..envelope(EnvelopeKind::Membership, &[key], &about) }
        };
        assert_eq!(hub.deliver(&copy("user.bob"), CopyKind::Here, None).handed, 0);
        assert_eq!(hub.deliver(&copy("room.r"), CopyKind::Here, None).handed, 1, "Ann alone");
        assert_eq!(hub.deliver(&copy("room.r"), CopyKind::Bucket, None).handed, 0, "a repeat");
    });
}

/// The audience is fixed before the first slice, and a user may leave the room before the others.
#[test]
fn who_left_between_two_slices_has_neither_messages_nor_events_nor_news_of_the_room() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::new(16), Peers::new().await);
        for user in ["ann", "bob", "cat"] {
            hub.join(&peers.session(user).await);
            hub.apply_membership(&membership("r", user, true, 10, 10), KnowledgeSource::First);
        }
        let news = membership("r", "dan", true, 10, 21);
        let id = news.stamp().to_bytes();
        let of_room = |kind, about| Envelope { id, ..envelope(kind, &["room.r"], about) };
        let copies = [
            room_message(20),
            of_room(EnvelopeKind::Event, "room.r"),
            of_room(EnvelopeKind::Membership, &format!("{news} .")),
            envelope(EnvelopeKind::Event, &["user.bob"], "user.bob.x"),
        ];
        let audiences = copies.each_ref().map(|copy| hub.audience(copy, CopyKind::Here, None));
        let whole: Vec<usize> = audiences.iter().map(Audience::len).collect();
        assert_eq!(whole, [3, 3, 3, 1]);
        hub.apply_membership(&membership("r", "bob", false, 10, 30), KnowledgeSource::News);
        let rest = audiences.iter().zip(&copies).map(|(audience, copy)| {
            hub.take_touched(9);
            let handed = hub.deliver_rest(audience, copy, CopyKind::Here).handed;
            let (touched, _) = hub.take_touched(9);
            touched.iter().for_each(|session| session.flush());
            (handed, touched.iter().any(|session| session.user.as_str() == "bob"))
        });
        let rest: Vec<_> = rest.collect();
        assert_eq!(
            rest,
            [(2, false), (2, false), (2, false), (1, true)],
            "the user's own key still counts"
        );
    });
}
