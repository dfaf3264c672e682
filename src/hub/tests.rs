use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::auth::{Principal, Role};
use crate::bus::{BootId, StoreTag};
use crate::socket::Link;

const BOUNDS: SessionBounds =
    SessionBounds { outbox_bytes: 1000, sends_in_flight: 1, reads_in_flight: 1 };

/// Sessions on real sockets, whose other ends nobody reads.
struct Peers {
    listener: TcpListener,
    others: Vec<TcpStream>,
}

impl Peers {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, others: Vec::new() }
    }

    async fn session(&mut self, user: &str) -> Rc<Session> {
        let address = self.listener.local_addr().unwrap();
        let (other, accepted) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        self.others.push(other.unwrap());
        let (link, _read) = Link::open(accepted.unwrap().0, BOUNDS.outbox_bytes);
        let user = UserId::parse(user).unwrap();
        let (publish, subscribe) = (Vec::new(), Vec::new());
        let principal = Principal { user, role: Role::User, publish, subscribe, expires_at: 0 };
        Rc::new(Session::new(1, principal, None, link, BOUNDS))
    }
}

fn on_event_loop<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let options = tokio::runtime::LocalOptions::default();
    builder.enable_all().build_local(options).unwrap().block_on(future)
}

fn envelope(kind: Kind, keys: &[&str], about: &str) -> Envelope {
    Envelope {
        kind,
        boot: BootId([0; 16]),
        store: StoreTag(0),
        id: [0; 16],
        keys: keys.iter().map(|key| Key::parse(key).unwrap()).collect(),
        about: about.into(),
        frame: Bytes::from_static(b"{}"),
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

#[test]
fn a_message_reaches_every_session_of_its_users_once_but_the_senders() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::default(), Peers::new().await);
        let [sender, other, bob] =
            [peers.session("a").await, peers.session("a").await, peers.session("b").await];
        assert!(hub.join(&sender) && !hub.join(&other) && hub.join(&bob));
        let message = envelope(Kind::Message, &["user.a", "user.b"], "dm.a.b");
        assert_eq!(hub.deliver(&message, sender.id()).handed, 2);
        let touched = hub.take_touched();
        assert_eq!(touched.len(), 2);
        assert!(touched.iter().all(|session| !Rc::ptr_eq(session, &sender)));
    });
}

#[test]
fn who_left_is_not_taken_for_the_next_one_in_its_place() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::default(), Peers::new().await);
        let (sender, bob) = (peers.session("a").await, peers.session("b").await);
        hub.join(&sender);
        let place = sender.id();
        hub.leave(&sender);
        hub.join(&bob);
        assert_eq!(bob.id(), place, "the place is used again");
        let message = envelope(Kind::Message, &["user.a", "user.b"], "dm.a.b");
        assert_eq!(hub.deliver(&message, sender.id()).handed, 1, "a late send reaches Bob");
    });
}

#[test]
fn an_event_is_shed_from_half_the_bound_on_and_a_message_closes_at_the_bound() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::default(), Peers::new().await);
        let bob = peers.session("b").await;
        hub.join(&bob);
        let large = |kind| Envelope {
            frame: Bytes::from(vec![b'x'; 600]),
            ..envelope(kind, &["user.b"], "user.b.x")
        };
        assert_eq!(hub.deliver(&large(Kind::Event), None).shed, 1);
        assert_eq!(hub.deliver(&large(Kind::Message), None).handed, 1);
        assert_eq!(hub.deliver(&large(Kind::Message), None).evicted, 1);
        assert!(!bob.link().is_open());
        assert_eq!(hub.deliver(&large(Kind::Message), None), Delivered::default());
    });
}

#[test]
fn the_newest_request_answers_for_a_pattern_until_one_is_confirmed() {
    on_event_loop(async {
        let (mut hub, mut peers) = (Hub::default(), Peers::new().await);
        let bob = peers.session("b").await;
        hub.join(&bob);
        let patterns = [pattern("topic.a.*"), pattern("topic.b.*")];
        patterns.iter().for_each(|one| assert!(hub.subscribe(&bob, one)));
        let first = bob.claim(&patterns);
        let second = bob.claim(&patterns[1..]);
        assert_eq!(bob.unconfirmed(first), patterns[..1], "the second one answers for the other");
        assert_eq!(bob.unconfirmed(second), patterns[1..]);
        bob.confirm(&patterns[1..]);
        assert!(bob.unconfirmed(second).is_empty(), "confirmed stays");
    });
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Leave(usize),
    Join(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let (session, pattern) = (0..4_usize, 0..5_usize);
    prop_oneof![
        4 => (session.clone(), pattern.clone()).prop_map(|(s, p)| Step::Subscribe(s, p)),
        2 => (session.clone(), pattern).prop_map(|(s, p)| Step::Unsubscribe(s, p)),
        1 => session.clone().prop_map(Step::Leave),
        2 => session.prop_map(Step::Join),
    ]
}

/// Runs steps beside a naive list of who holds what.
async fn compare(steps: &[Step]) {
    let patterns = ["topic.a.*", "topic.a.>", "topic.a.x", "topic.b.>", "user.u0.x"].map(pattern);
    let (mut hub, mut peers) = (Hub::default(), Peers::new().await);
    let mut sessions: HashMap<usize, (Rc<Session>, HashSet<usize>)> = HashMap::new();
    let mut wanted: HashSet<Key> = HashSet::new();
    for step in steps {
        match step {
            Step::Join(s) if !sessions.contains_key(s) => {
                let session = peers.session(&format!("u{}", s % 2)).await;
                let new = hub.join(&session);
                assert_eq!(new, wanted.insert(session.key()));
                sessions.insert(*s, (session, HashSet::new()));
            }
            Step::Leave(s) => {
                let Some((session, _)) = sessions.remove(s) else { continue };
                hub.leave(&session).iter().for_each(|key| assert!(wanted.remove(key), "{key}"));
            }
            Step::Subscribe(s, p) => {
                let Some((session, held)) = sessions.get_mut(s) else { continue };
                let new = hub.subscribe(session, &patterns[*p]);
                held.insert(*p);
                let Reach::Key(key) = patterns[*p].reach() else { unreachable!() };
                assert_eq!(new, wanted.insert(key));
            }
            Step::Unsubscribe(s, p) => {
                let Some((session, held)) = sessions.get_mut(s) else { continue };
                let unwanted = hub.unsubscribe(session, &patterns[*p]);
                held.remove(p);
                unwanted.iter().for_each(|key| assert!(wanted.remove(key), "{key}"));
            }
            Step::Join(_) => {}
        }
        for about in ["topic.a.x", "topic.a.x.y", "topic.b.x", "user.u0.x", "user.u1.x"] {
            let subject = Subject::parse(about).unwrap();
            let event = envelope(Kind::Event, &[subject.key().as_str()], about);
            let found: HashSet<SessionId> = hub.audience(&event).into_iter().collect();
            let hears = |(session, held): &&(Rc<Session>, HashSet<usize>)| {
                subject.key() == session.key()
                    || held.iter().any(|p| patterns[*p].matches(&subject))
            };
            let expected = sessions.values().filter(hears).filter_map(|(s, _)| s.id()).collect();
            assert_eq!(found, expected, "{about}");
        }
    }
    for (session, _) in sessions.values() {
        hub.leave(session).iter().for_each(|key| assert!(wanted.remove(key), "{key}"));
    }
    assert!(wanted.is_empty() && hub.keys.is_empty() && hub.users.is_empty() && hub.is_empty());
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
