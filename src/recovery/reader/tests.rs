use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::pager::PAGE;
use super::*;
use crate::auth::{Grants, Principal, TokenScope};
use crate::config::SessionBounds;
use crate::domain::Message;
use crate::hub::PatternBudget;
use crate::recovery::fair_queue::QueueBounds;
use crate::socket::{Link, WorkerShare};
use crate::store::{Embedded, EmbeddedOptions, MessageStore};

mod model;

/// A midnight in the far future: the clock of a test begins at a time of its choice.
const MIDNIGHT: Micros = Micros(40_000 * 86_400_000_000);

/// A page that no test fills.
const WIDE: usize = 1 << 20;

const ALICE: &str = "alice";

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

/// Alice's conversation with another user.
fn with(other: &str) -> Conversation {
    Conversation::between(&user(ALICE), &user(other))
}

fn message(conversation: &Conversation, time: Micros) -> Arc<Message> {
    Arc::new(Message {
        id: MessageId::new(time, rand::random()),
        conversation: conversation.clone(),
        from: user(ALICE),
        nonce: None,
        body: "\"Hi!\"".into(),
    })
}

/// The time `seconds` after midnight.
fn at(seconds: i64) -> Micros {
    Micros(MIDNIGHT.0.saturating_add_signed(seconds * 1_000_000))
}

fn times(messages: &[Message]) -> Vec<Micros> {
    messages.iter().map(|message| message.id.time()).collect()
}

/// A store of its own, and a reader's services.
struct Library {
    store: Arc<Embedded>,
    wall: WallClock,
    metrics: Metrics,
    pacer: Pacer,
    bytes: usize,
    /// The user whose conversations are read.
    me: UserId,
    _home: TempDir,
}

impl Library {
    /// The wall clock begins at `wall`.
    fn new(wall: Micros) -> Self {
        let home = TempDir::new().unwrap();
        Self {
            store: Embedded::open(&EmbeddedOptions::new(home.path(), "main"), wall).unwrap(),
            wall: WallClock::starting_at(wall),
            metrics: Metrics::new(),
            pacer: Pacer::new(1e6),
            bytes: WIDE,
            me: user(ALICE),
            _home: home,
        }
    }

    fn reader(&self) -> RecoveryReader<'_> {
        RecoveryReader {
            store: &*self.store,
            wall: &self.wall,
            metrics: &self.metrics,
            turns: Turns::Node(&self.pacer),
            bound: Duration::from_mins(1),
            bytes: self.bytes,
            tries: 1,
            recipient: Recipient::Anybody,
        }
    }

    fn with(&self, other: &str) -> Conversation {
        Conversation::between(&self.me, &user(other))
    }

    async fn keep(&self, messages: impl IntoIterator<Item = Arc<Message>>) {
        let appends: Vec<_> =
            messages.into_iter().map(|message| self.store.append(message)).collect();
        for append in appends {
            append.await.unwrap();
        }
    }

    /// Stores messages of one conversation at these seconds from midnight.
    async fn keep_at(&self, other: &str, seconds: impl IntoIterator<Item = i64>) {
        let conversation = self.with(other);
        self.keep(seconds.into_iter().map(|seconds| message(&conversation, at(seconds)))).await;
    }

    async fn newest(&self, other: &str, above: Micros, max: usize) -> (Vec<Micros>, bool) {
        let newest = self.reader().newest(&self.with(other), above, max).await.unwrap();
        (times(&newest.messages), newest.whole)
    }

    async fn changed(&self, above: Micros) -> (Vec<Conversation>, bool) {
        let changed = self.reader().changed(&self.me, &[], above).await.unwrap();
        (changed.conversations, changed.whole)
    }

    fn reads(&self) -> u64 {
        self.metrics.recovery.reads.get()
    }
}

#[tokio::test]
async fn the_newest_are_the_last_above_a_time_oldest_first() {
    let library = Library::new(at(0));
    library.keep_at("bob", [3, 1, 5, 2, 4]).await;
    library.keep_at("carol", [6]).await;
    let all = [2, 3, 4, 5].map(at).to_vec();
    assert_eq!(library.newest("bob", at(1), 9).await, (all.clone(), true));
    assert_eq!(library.newest("bob", at(1), 4).await, (all.clone(), true), "exactly as many");
    assert_eq!(library.newest("bob", at(1), 3).await, (all[1..].to_vec(), false));
    assert_eq!(library.newest("bob", at(5), 9).await, (vec![], true));
    assert!(library.newest("bob", at(0), 5).await.1, "all there are");
    assert_eq!(library.newest("dave", at(0), 5).await, (vec![], true));
}

#[tokio::test]
async fn what_fits_is_read_without_a_row_from_below() {
    let library = Library::new(at(100));
    library.keep_at("bob", 1..=50).await;
    let before = library.reads();
    assert_eq!(library.newest("bob", at(48), 200).await, (vec![at(49), at(50)], true));
    assert_eq!(library.reads() - before, 1, "one page holds both");
    assert_eq!(library.newest("bob", at(10), 3).await, (vec![at(48), at(49), at(50)], false));
    assert_eq!(library.reads() - before, 3, "that there are more was found first");
}

#[tokio::test]
async fn a_page_that_is_short_in_bytes_ends_nothing() {
    let mut library = Library::new(at(0));
    library.keep_at("bob", 1..=5).await;
    // Each page holds one message.
    library.bytes = 1;
    let all = [2, 3, 4, 5].map(at).to_vec();
    assert_eq!(library.newest("bob", at(1), 9).await, (all.clone(), true));
    assert_eq!(library.newest("bob", at(1), 4).await, (all.clone(), true), "exactly as many");
    assert_eq!(library.newest("bob", at(1), 3).await, (all[1..].to_vec(), false));
}

#[tokio::test]
async fn each_above_goes_on_from_page_to_page() {
    let library = Library::new(at(0));
    let last = 2 * PAGE as i64 + 50;
    library.keep_at("bob", 0..=last).await;
    let mut taken = Vec::new();
    let take = |message: &Message| taken.push(message.id.time());
    library.reader().each_above(&with("bob"), at(0), take).await.unwrap();
    assert_eq!(taken, (1..=last).map(at).collect::<Vec<_>>());
    assert_eq!(library.reads(), 3, "450 messages are three pages");
}

#[tokio::test]
async fn messages_of_the_time_itself_are_not_above_it() {
    let library = Library::new(at(0));
    library.keep((0..4).map(|_| message(&with("bob"), at(1)))).await;
    let mut taken = 0;
    library.reader().each_above(&with("bob"), at(1), |_| taken += 1).await.unwrap();
    assert_eq!((taken, library.newest("bob", at(1), 9).await), (0, (vec![], true)));
    let before = Micros(at(1).0 - 1);
    library.reader().each_above(&with("bob"), before, |_| taken += 1).await.unwrap();
    assert_eq!((taken, library.newest("bob", before, 9).await.0.len()), (4, 4));
}

#[tokio::test]
async fn changed_conversations_come_recently_active_first() {
    let library = Library::new(at(100));
    library.keep_at("bob", [10, 50]).await;
    library.keep_at("carol", [60]).await;
    library.keep_at("dave", [40, 20]).await;
    library.keep_at("erin", [5]).await;
    let changed = library.changed(at(5)).await;
    assert_eq!(changed, (vec![with("carol"), with("bob"), with("dave")], true));
    assert_eq!(library.changed(at(60)).await, (vec![], true));
}

#[tokio::test]
async fn a_conversation_that_was_active_on_two_days_is_named_once_by_its_newest() {
    let library = Library::new(at(100));
    library.keep_at("bob", [-100, 10]).await;
    library.keep_at("carol", [-50]).await;
    library.keep_at("dave", [-90, 5]).await;
    library.keep_at("erin", [-200]).await;
    let changed = library.changed(at(-150)).await.0;
    assert_eq!(changed, [with("bob"), with("dave"), with("carol")]);
    assert_eq!(library.reads(), 2, "one read per day");
    assert_eq!(library.changed(at(0)).await.0, [with("bob"), with("dave")]);
    assert_eq!(library.reads(), 3);
}

#[tokio::test]
async fn ids_ahead_of_the_clock_are_found_beyond_midnight() {
    let library = Library::new(at(-5));
    library.keep_at("bob", [4]).await;
    assert_eq!(library.changed(at(-10)).await.0, [with("bob")]);
    let earlier = Library::new(at(-3600));
    earlier.changed(at(-3700)).await;
    assert_eq!(earlier.reads(), 1, "the next day can have no rows");
}

#[tokio::test]
async fn as_many_rows_as_are_read_of_a_day_may_not_be_all() {
    let library = Library::new(at(100));
    let named = |n: usize| message(&with(&format!("user-{n:04}")), at(-1));
    library.keep((1..ACTIVITY_MAX).map(named)).await;
    library.keep_at("zoe", [1]).await;
    let (conversations, whole) = library.changed(at(-2)).await;
    assert_eq!((conversations.len(), whole), (ACTIVITY_MAX, true));
    assert_eq!(conversations[0], with("zoe"), "each day has its own limit");
    library.keep([named(0)]).await;
    assert!(!library.changed(at(-2)).await.1);
    assert_eq!(library.changed(at(0)).await, (vec![with("zoe")], true), "the other day is whole");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_tried_again_for_so_many_times() {
    let library = Library::new(at(0));
    library.store.close().await;
    let reader = RecoveryReader { tries: 3, ..library.reader() };
    let begun = Instant::now();
    assert!(reader.changed(&library.me, &[], at(-1)).await.is_none());
    assert_eq!((library.reads(), begun.elapsed()), (3, READ_AGAIN * 3));
    assert!(reader.newest(&with("bob"), at(0), 1).await.is_none());
    assert!(reader.each_above(&with("bob"), at(0), |_| {}).await.is_none());
}

#[tokio::test]
async fn activity_is_read_for_as_long_as_it_is_kept_and_no_longer() {
    let library = Library::new(at(0));
    let day = 86_400;
    library.keep_at("old", [-i64::from(ACTIVITY_DAYS + 1) * day]).await;
    library.keep_at("bob", [-i64::from(ACTIVITY_DAYS) * day + 1, -1]).await;
    let since_ever = library.changed(Micros(0)).await;
    assert_eq!(since_ever, (vec![library.with("bob")], true));
    assert_eq!(library.reads(), u64::from(ACTIVITY_DAYS) + 1, "one read per day");
}

#[tokio::test]
async fn nothing_is_read_for_a_user_who_is_gone() {
    let library = Library::new(at(100));
    let hub = RefCell::new(Hub::new(16));
    let reader =
        RecoveryReader { recipient: Recipient::User(&hub, &library.me), ..library.reader() };
    assert!(reader.memberships(&library.me, 9).await.is_none());
    assert_eq!(library.reads(), 0);
}

/// A session of Alice on a socket of its own, and the socket's other end.
async fn session() -> (Session, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (other, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let share = Rc::new(WorkerShare::alone(1 << 20));
    let (link, _read) = Link::open(accepted.unwrap().0, 4096, &share);
    let (user, scope) = (user(ALICE), TokenScope::User);
    let [publish, subscribe] = [(); 2].map(|()| Grants::new(Vec::new()));
    let principal = Principal { user, scope, publish, subscribe, expires_at: 0 };
    let patterns = Arc::new(PatternBudget::new(1 << 20, 1 << 20));
    let bounds = SessionBounds {
        outbox_bytes: 4096,
        sends_in_flight: 1,
        reads_in_flight: 1,
        held_frames: 4,
        held_bytes: 4096,
    };
    (Session::new(1, principal, None, link, bounds, patterns), other.unwrap())
}

#[tokio::test]
async fn a_session_for_which_no_read_may_wait_is_closed() {
    let library = Library::new(at(100));
    let budget = ReadBudget::bounded(1.0, QueueBounds { all: 1, user: 0 });
    let (session, _other) = session().await;
    let turns = Turns::User(&budget, &library.me);
    let reader =
        RecoveryReader { turns, recipient: Recipient::Session(&session), ..library.reader() };
    assert!(reader.memberships(&library.me, 9).await.is_none());
    assert!(!session.link().is_open());
    assert_eq!(library.reads(), 0);
}

/// Nothing is read for a session that ended, and its turn goes to another read in the same step.
#[tokio::test]
async fn the_turn_of_a_session_that_ended_is_not_lost() {
    let library = Library::new(at(100));
    let budget = ReadBudget::new(0.001);
    let (session, _other) = session().await;
    session.close(CloseReason::Draining);
    let turns = Turns::User(&budget, &library.me);
    let reader =
        RecoveryReader { turns, recipient: Recipient::Session(&session), ..library.reader() };
    assert!(reader.memberships(&library.me, 9).await.is_none());
    assert_eq!(library.reads(), 0);
    let other = user("bob");
    let mut turn = pin!(budget.turn(&other));
    assert!(turn.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}
