//! A store that lets a test come in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use narrowcast::clock::SharedClocks;
use narrowcast::cluster::Heartbeat;
use narrowcast::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId};
use narrowcast::store::{
    Activity, ActivityQuery, AppendError, DirectsQuery, HeartbeatError, HeartbeatStore,
    HistoryQuery, HistoryRange, IdempotencyEntry, IdempotencyKey, IdempotencyRecord, Identity,
    MembersPage, MembersQuery, MembershipKey, MembershipsQuery, MessageStore, Page, Participant,
    Pending, PendingRead, PendingWrite, ReadError, ReadMark, ReceiptStore, RoomStore, Store,
};
use narrowcast::telemetry::StoreFigures;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cluster::doubles::pass_on;

/// What becomes of the changes of membership.
#[derive(Debug, Default)]
enum Changes {
    /// They are stored.
    #[default]
    Whole,
    /// The next one reaches the room's side alone, and is not acknowledged.
    Torn,
    /// This one did.
    Left(Membership),
}

/// What becomes of the next read mark or row of a room. It is stored in any case.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum NextWrite {
    #[default]
    Answered,
    /// Its answer waits until it is let go.
    Held,
    /// It is answered with `OutcomeUnknown`.
    Doubted,
}

/// A store whose answers to clients about messages and nonces wait until they are let go, though they are read
/// at once (what a node reads of its own accord, oldest first, does not wait), and whose changes of
/// membership may reach one side alone, as in a store of two tables.
#[derive(Debug)]
pub struct Held {
    inner: Arc<dyn Store>,
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    /// Nonces that were looked up.
    looked_up: AtomicUsize,
    changes: Mutex<Changes>,
    /// Messages to be stored and answered with `OutcomeUnknown`.
    doubted: AtomicUsize,
    next_write: Mutex<NextWrite>,
    /// Whether the cluster table cannot be read.
    is_away: AtomicBool,
}

impl Held {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let (open, waiting) = (watch::Sender::new(true), Arc::default());
        let (changes, doubted) = (Mutex::default(), AtomicUsize::new(0));
        let looked_up = AtomicUsize::new(0);
        let next_write = Mutex::default();
        let is_away = AtomicBool::new(false);
        Self { inner, open, waiting, looked_up, changes, doubted, next_write, is_away }
    }

    /// From now on messages that are read wait.
    pub fn hold(&self) {
        self.waiting.store(0, Ordering::SeqCst);
        self.open.send_replace(false);
    }

    /// An answer that waits until it is let go.
    fn held<T: Send + 'static>(&self, answer: Pending<T>) -> Pending<T> {
        let (waiting, mut open) = (Arc::clone(&self.waiting), self.open.subscribe());
        Box::pin(async move {
            let answer = answer.await;
            waiting.fetch_add(1, Ordering::SeqCst);
            let _open = open.wait_for(|open| *open).await;
            answer
        })
    }

    /// How many answers wait, or did since they are held.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }

    /// How many nonces were looked up so far.
    pub fn looked_up(&self) -> usize {
        self.looked_up.load(Ordering::SeqCst)
    }

    /// The next change of a membership reaches the room's side alone.
    pub fn tear(&self) {
        *self.changes.lock() = Changes::Torn;
    }

    /// Whether reads of the cluster table fail from now on.
    pub fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// The next message is stored and answered with `OutcomeUnknown`.
    pub fn doubt_next(&self) {
        self.doubted.fetch_add(1, Ordering::SeqCst);
    }

    pub fn next_write(&self, next: NextWrite) {
        *self.next_write.lock() = next;
    }

    fn as_next(&self, write: PendingWrite) -> PendingWrite {
        match std::mem::take(&mut *self.next_write.lock()) {
            NextWrite::Answered => write,
            NextWrite::Held => self.held(write),
            NextWrite::Doubted => Box::pin(async move {
                write.await?;
                Err(AppendError::OutcomeUnknown { reason: "the answer was lost".into() })
            }),
        }
    }

    fn left_over(&self, key: &MembershipKey) -> Option<Membership> {
        match &*self.changes.lock() {
            Changes::Left(torn) if torn.room == key.room && torn.user == key.user => {
                Some(torn.clone())
            }
            _ => None,
        }
    }
}

impl MessageStore for Held {
    fn append(&self, message: Arc<Message>) -> PendingWrite {
        let append = self.inner.append(message);
        let less = |doubted: usize| doubted.checked_sub(1);
        if self.doubted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            return append;
        }
        Box::pin(async move {
            append.await?;
            Err(AppendError::OutcomeUnknown { reason: "the answer was lost".into() })
        })
    }

    fn history(&self, query: HistoryQuery) -> PendingRead<Page> {
        let waits = matches!(query.range, HistoryRange::Before(_));
        let page = self.inner.history(query);
        if waits { self.held(page) } else { page }
    }

    pass_on! {
        activity(query: ActivityQuery) -> PendingRead<Vec<Activity>>;
        directs(query: DirectsQuery) -> PendingRead<Vec<Conversation>>;
        is_member(participant: Participant) -> PendingRead<bool>;
    }
}

impl RoomStore for Held {
    fn put_membership(&self, membership: Membership) -> PendingWrite {
        let mut changes = self.changes.lock();
        if matches!(*changes, Changes::Torn) {
            *changes = Changes::Left(membership);
            let reason = "the user's side did not answer".into();
            return Box::pin(async { Err(AppendError::OutcomeUnknown { reason }) });
        }
        self.inner.put_membership(membership)
    }

    fn membership(&self, key: MembershipKey) -> PendingRead<Option<Membership>> {
        let (torn, inner) = (self.left_over(&key), self.inner.membership(key));
        let merged = |one: Membership, other: Membership| {
            let state = one.state.merge(other.state);
            Membership { state, ..one }
        };
        Box::pin(async move { Ok(inner.await?.into_iter().chain(torn).reduce(merged)) })
    }

    fn put_room(&self, room: Room) -> PendingWrite {
        self.as_next(self.inner.put_room(room))
    }

    pass_on! {
        room(room: RoomId) -> PendingRead<Option<Room>>;
        head(room: RoomId) -> PendingRead<Option<MessageId>>;
        members(query: MembersQuery) -> PendingRead<MembersPage>;
        memberships(query: MembershipsQuery) -> PendingRead<Vec<Membership>>;
        unlist(left: Membership) -> PendingWrite;
    }
}

impl ReceiptStore for Held {
    fn idempotency(&self, key: IdempotencyKey) -> PendingRead<Option<IdempotencyRecord>> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        self.held(self.inner.idempotency(key))
    }

    fn mark_read(&self, mark: ReadMark) -> PendingWrite {
        self.as_next(self.inner.mark_read(mark))
    }

    pass_on! {
        read_mark(participant: Participant) -> PendingRead<Option<MessageId>>;
        put_idempotency(entry: IdempotencyEntry) -> PendingWrite;
    }
}

impl HeartbeatStore for Held {
    fn heartbeats(&self) -> PendingRead<Vec<Heartbeat>> {
        if self.is_away.load(Ordering::SeqCst) {
            let reason = "away".to_owned();
            return Box::pin(async { Err(ReadError::Unavailable { reason }) });
        }
        self.inner.heartbeats()
    }

    pass_on! {
        write_heartbeat(row: Heartbeat) -> Pending<Result<(), HeartbeatError>>;
        shared_clocks() -> Option<SharedClocks>;
        coordinators() -> Vec<Arc<str>>;
        time(coordinator: Arc<str>) -> PendingRead<Micros>;
    }
}

impl Store for Held {
    pass_on! {
        identity() -> &Identity;
        retention() -> Option<Duration>;
        failure() -> Option<String>;
        figures() -> Option<StoreFigures>;
        close() -> Pending<()>;
    }
}
