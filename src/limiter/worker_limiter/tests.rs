//! A worker's limiter, on a clock that moves only when the test advances it.

use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use tokio::time::advance;

use super::*;
use crate::config::Config;
use crate::domain::RoomId;
use crate::limiter::LimiterError;
use crate::limiter::PendingDecision;

const SMALL: &str = "[rates]\nsend_burst = 4\nsends_per_s = 2\nevent_burst = 2\nevents_per_s = 1\n\
                     read_burst = 5\nreads_per_s = 1\nroom_burst = 3\nroom_per_s = 1";

/// A limiter with a fixed answer that counts how often it was asked.
#[derive(Debug)]
struct Scripted {
    answer: Mutex<Result<LimitDecision, LimiterError>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn saying(answer: Result<LimitDecision, LimiterError>) -> Arc<Self> {
        Arc::new(Self { answer: Mutex::new(answer), asked: AtomicUsize::new(0) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Limiter for Scripted {
    fn check(&self, _call: LimitedCall) -> PendingDecision<Result<LimitDecision, LimiterError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(self.answer.lock().clone()))
    }
}

fn gate(toml: &str, shared: Option<Arc<dyn Limiter>>, nodes: u32) -> WorkerLimiter {
    WorkerLimiter::new(WorkerLimiterOptions {
        rates: Config::load(Some(toml), []).unwrap().rates,
        shared,
        nodes: Arc::new(AtomicU32::new(nodes)),
        shares: Arc::default(),
        outage: Arc::default(),
        metrics: Arc::new(Metrics::new()),
    })
}

/// The limiter of another worker of the same node.
fn gate_beside(toml: &str, other: &WorkerLimiter) -> WorkerLimiter {
    WorkerLimiter { shares: Arc::clone(&other.shares), ..gate(toml, None, 1) }
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn dm() -> Conversation {
    Conversation::between(&user("alice"), &user("bob"))
}

fn room() -> Conversation {
    Conversation::Room(RoomId::parse("x").unwrap())
}

async fn allowed(gate: &WorkerLimiter, conversation: &Conversation) -> usize {
    let mut allowed = 0;
    for _ in 0..20 {
        allowed += usize::from(gate.send(&user("alice"), conversation).await.is_ok());
    }
    allowed
}

const ALLOWED: LimitDecision = LimitDecision::Allowed { remaining: 1 };

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_until_it_is_over() {
    let sends = RateLimit { name: "sends", burst: 4, per_s: 2 };
    let shared =
        Scripted::saying(Ok(LimitDecision::Refused(RateLimited::after_micros(sends, 500_000))));
    let gate = gate(SMALL, Some(Arc::clone(&shared) as _), 1);
    for (passed, wait) in [(0, 500), (1, 499), (498, 1)] {
        advance(Duration::from_millis(passed)).await;
        let refused = gate.send(&user("alice"), &dm()).await.unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_millis(wait)));
    }
    assert_eq!(shared.asked(), 1, "the shard was asked once");
    assert_eq!(gate.metrics.limits.count_so_far(Limited::Cached), 2);
    *shared.answer.lock() = Ok(ALLOWED);
    assert!(gate.send(&user("bob"), &dm()).await.is_ok(), "another user is asked for");
    advance(Duration::from_millis(1)).await;
    assert!(
        gate.send(&user("alice"), &dm()).await.is_ok(),
        "a user who waited exactly is asked for"
    );
    assert_eq!(shared.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_verdict_a_node_has_its_share() {
    let shared = Scripted::saying(Err(LimiterError::Unavailable));
    for (nodes, burst) in [(1, 4), (2, 2), (4, 1), (9, 1)] {
        let gate = gate(SMALL, Some(Arc::clone(&shared) as _), nodes);
        assert_eq!(allowed(&gate, &dm()).await, burst, "{nodes} nodes");
        assert_eq!(gate.metrics.limits.unshared.get(), 20, "each is counted");
        advance(Duration::from_millis(500) * nodes).await;
        assert_eq!(allowed(&gate, &dm()).await, 1);
        *shared.answer.lock() = Ok(ALLOWED);
        assert_eq!(allowed(&gate, &dm()).await, 20, "no refusal of the share is remembered");
        *shared.answer.lock() = Err(LimiterError::Malformed("x".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_charged_by_what_is_heard() {
    let gate = gate(SMALL, Some(Scripted::saying(Ok(ALLOWED)) as _), 1);
    gate.charge_received(&room());
    assert_eq!(allowed(&gate, &room()).await, 2, "one of three was received");
    let refused = gate.send(&user("alice"), &room()).await.unwrap_err();
    assert_eq!(refused.policy.name, "messages of a room");
    advance(refused.retry_after.unwrap()).await;
    assert!(
        gate.send(&user("alice"), &room()).await.is_ok(),
        "a user who waited as required is let in"
    );
    // At one per second, fifty more are a debt of fifty seconds.
    for _ in 0..50 {
        gate.charge_received(&room());
    }
    let refused = gate.send(&user("alice"), &room()).await.unwrap_err();
    let wait = refused.retry_after.unwrap();
    assert_eq!(wait, Duration::from_secs(51), "what was received counts fully");
    advance(wait).await;
    assert!(
        gate.send(&user("alice"), &room()).await.is_ok(),
        "a user who waited as required is let in"
    );
    assert!(
        gate.send(&user("alice"), &dm()).await.is_ok(),
        "another conversation has its own limit"
    );
}

/// A refusal by either limit leaves the other one uncharged.
#[tokio::test(start_paused = true)]
async fn a_refused_send_consumes_nothing() {
    let lone = gate(SMALL, None, 1);
    assert_eq!(allowed(&lone, &room()).await, 3, "the room has three");
    assert_eq!(allowed(&lone, &dm()).await, 1, "and the user a fourth");
    let sends = RateLimit { name: "sends", burst: 4, per_s: 2 };
    let shared = Scripted::saying(Ok(LimitDecision::Refused(RateLimited::never(sends))));
    let gate = gate(SMALL, Some(Arc::clone(&shared) as _), 1);
    assert_eq!(allowed(&gate, &room()).await, 0);
    *shared.answer.lock() = Ok(ALLOWED);
    assert_eq!(allowed(&gate, &room()).await, 3, "the room was not charged");
}

#[tokio::test(start_paused = true)]
async fn events_and_reads_have_limits_of_their_own() {
    let gate = gate(SMALL, None, 3);
    let alice = user("alice");
    let events = (0..20).filter(|_| gate.events(&alice, 1).is_ok()).count();
    assert_eq!(events, 2, "on this node by itself, however many there are");
    let reads = (0..20).filter(|_| gate.read(&alice).is_ok()).count();
    assert_eq!(reads, 5);
    let wait = gate.read(&alice).unwrap_err().retry_after.unwrap();
    assert_eq!(wait, Duration::from_secs(1));
    advance(wait).await;
    assert!(gate.read(&alice).is_ok(), "a user who waited as required is let in");
    assert!(gate.events(&user("bob"), 1).is_ok());
}

/// A user who waits as long as required has the whole list let in, no matter how often it was tried
/// before.
#[tokio::test(start_paused = true)]
async fn a_list_of_events_is_charged_whole_or_not_at_all() {
    let gate = gate(&SMALL.replace("event_burst = 2", "event_burst = 5"), None, 1);
    let alice = user("alice");
    assert!(gate.events(&alice, 3).is_ok());
    for left in [1000, 600, 1] {
        let refused = gate.events(&alice, 3).unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_millis(left)));
        advance(Duration::from_millis(if left == 1000 { 400 } else { left - 1 })).await;
    }
    advance(Duration::from_millis(1)).await;
    assert!(gate.events(&alice, 3).is_ok());
    assert_eq!(gate.events(&alice, 6).unwrap_err().retry_after, None, "no wait is long enough");
}

/// A burst of five reads, and one per second.
#[tokio::test(start_paused = true)]
async fn what_a_read_took_is_paid_by_the_next() {
    let gate = gate(SMALL, None, 1);
    let alice = user("alice");
    assert!(gate.read(&alice).is_ok());
    gate.owe_reads(&alice, 4);
    assert!(gate.read_on(&alice).is_ok(), "the burst pays for it");
    gate.owe_reads(&alice, 9);
    assert!(gate.read_on(&alice).is_err(), "what goes on beside it must wait");
    let wait = gate.read(&alice).unwrap_err().retry_after.unwrap();
    assert_eq!(wait, Duration::from_secs(10), "the nine, and this one");
    assert!(gate.read(&user("bob")).is_ok());
    advance(wait).await;
    assert!(gate.read(&alice).is_ok());
    assert!(gate.read_on(&alice).is_ok(), "let in, it may go on");
    gate.owe_reads(&alice, usize::MAX);
    let wait = gate.read(&alice).unwrap_err().retry_after.unwrap();
    assert_eq!(wait, READS_DEBT + Duration::from_secs(1), "however much it was");
    advance(wait).await;
    assert!(gate.read(&alice).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_room_is_a_send() {
    let shared = Scripted::saying(Ok(ALLOWED));
    let gate_of_many = gate(SMALL, Some(Arc::clone(&shared) as _), 1);
    assert!(gate_of_many.change(&user("alice")).await.is_ok());
    let sends = RateLimit { name: "sends", burst: 4, per_s: 2 };
    *shared.answer.lock() = Ok(LimitDecision::Refused(RateLimited::after_micros(sends, 500_000)));
    for _ in 0..3 {
        assert!(gate_of_many.change(&user("alice")).await.is_err());
    }
    assert!(gate_of_many.send(&user("alice"), &dm()).await.is_err(), "they are counted together");
    assert_eq!(shared.asked(), 2, "a refusal is remembered");
    let lone = gate(SMALL, None, 1);
    for _ in 0..4 {
        assert!(lone.change(&user("alice")).await.is_ok());
    }
    assert!(lone.send(&user("alice"), &dm()).await.is_err());
    assert!(lone.change(&user("bob")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn users_may_be_let_off_and_conversations_not() {
    let shared = Scripted::saying(Err(LimiterError::Unavailable));
    let text = format!("{SMALL}\nlimit_users = false");
    let gate = gate(&text, Some(Arc::clone(&shared) as _), 1);
    assert_eq!(allowed(&gate, &dm()).await, 20);
    assert_eq!(allowed(&gate, &room()).await, 3);
    assert!((0..50).all(|_| gate.events(&user("a"), 1).is_ok() && gate.read(&user("a")).is_ok()));
    gate.owe_reads(&user("a"), 99);
    assert!(gate.read_on(&user("a")).is_ok() && gate.change(&user("a")).await.is_ok());
    assert_eq!(shared.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_the_client_when_to_come_back() {
    let gate = gate(SMALL, None, 1);
    allowed(&gate, &dm()).await;
    let refusal = gate.send(&user("alice"), &dm()).await.unwrap_err().refusal();
    let text = r#"{"op":"error","code":"rate_limited","detail":"sends: 2 a second and 4 at once are allowed; again in 500 ms","retry":"later","retry_after_ms":500}"#;
    assert_eq!(refusal.frame(None).text(), text);
}

/// The result is the same on one worker and on two of a node: each knows what users of the other
/// want.
#[tokio::test(start_paused = true)]
async fn a_member_gets_half_of_a_rooms_rate_while_another_one_is_refused() {
    let toml = "[rates]\nlimit_users = false\nroom_burst = 10\nroom_per_s = 10";
    let first = gate(toml, None, 1);
    let second = gate_beside(toml, &first);
    for theirs in [&first, &second] {
        advance(Duration::from_mins(1)).await;
        assert_eq!(allowed(&first, &room()).await, 10, "no other member wants any");
        let send = async |gate: &WorkerLimiter, who: &str| gate.send(&user(who), &room()).await;
        (0..10).for_each(|_| second.charge_received(&room()));
        assert!(send(theirs, "bob").await.is_err(), "the burst is used up");
        advance(Duration::from_millis(900)).await;
        assert_eq!(allowed(&first, &room()).await, 5);
        let refused = send(&first, "alice").await.unwrap_err();
        assert_eq!(refused.policy.name, ROOM_LIMITS[1]);
        assert_eq!(refused.policy.per_s, 5);
        (0..5).for_each(|_| second.charge_received(&room()));
        assert!(send(theirs, "bob").await.is_ok(), "the rest is for others");
        advance(Duration::from_millis(2100)).await;
        assert_eq!(allowed(&first, &room()).await, 10, "no other member wanted any for a second");
    }
}

/// A user's sends wait for each other where they are stored, and not for those of other users.
#[tokio::test]
async fn so_many_messages_of_a_user_are_stored_at_once() {
    let gate = gate(SMALL, None, 1);
    let (alice, bob) = (user("alice"), user("bob"));
    let mut turns = Vec::new();
    for _ in 0..SENDS_AT_ONCE {
        turns.push(gate.send_permit(&alice).await);
    }
    let mut next = std::pin::pin!(gate.send_permit(&alice));
    let mut unwoken = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(next.as_mut().poll(&mut unwoken).is_pending());
    drop(gate.send_permit(&bob).await);
    turns.pop();
    assert!(next.as_mut().poll(&mut unwoken).is_ready());
}

#[tokio::test(start_paused = true)]
async fn the_items_of_a_list_are_charged_whole_or_not_at_all() {
    let small = "[rates]\nitem_burst = 100\nitems_per_s = 10";
    let gate = gate(small, None, 3);
    let alice = user("alice");
    assert!(gate.items(&alice, 60).is_ok() && gate.items(&alice, 0).is_ok());
    let refused = gate.items(&alice, 60).unwrap_err();
    assert_eq!(
        (refused.policy.name, refused.retry_after),
        ("list items", Some(Duration::from_secs(2)))
    );
    assert!(gate.items(&alice, 40).is_ok(), "what was refused took nothing");
    assert!(gate.items(&user("bob"), 100).is_ok());
    assert_eq!(gate.items(&user("bob"), 101).unwrap_err().retry_after, None);
    advance(Duration::from_secs(6)).await;
    assert!(gate.items(&alice, 60).is_ok(), "a user who waited is let in");
}
