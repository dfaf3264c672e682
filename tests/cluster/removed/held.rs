//! A store that lets a test come in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use narrowcast::clock::SharedClocks;
use narrowcast::cluster::Heartbeat;
use narrowcast::domain::{
    Conversation, Membership, Message, MessageId, Micros, Room, RoomId, UserId,
};
use narrowcast::store::{
    Activity, AppendError, Day, HistoryRange, Identity, MembersPage, NonceRecord, Page, PageLimit,
    Pending, ReadError, RowError, Store,
};
use narrowcast::telemetry::StoreFigures;
use parking_lot::Mutex;
use tokio::sync::watch;

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

/// A store whose answers to clients about messages and nonces wait until they are let go, though they are read
/// at once (what a node reads of its own accord, oldest first, does not wait), and whose changes of
/// membership may reach one side alone, as in a store of two tables.
#[derive(Debug)]
pub struct Held {
    inner: Arc<dyn Store>,
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    changes: Mutex<Changes>,
    /// Messages to be stored and answered with `OutcomeUnknown`.
    doubted: AtomicUsize,
}

impl Held {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let (open, waiting) = (watch::Sender::new(true), Arc::default());
        let (changes, doubted) = (Mutex::default(), AtomicUsize::new(0));
        Self { inner, open, waiting, changes, doubted }
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

    /// The next change of a membership reaches the room's side alone.
    pub fn tear(&self) {
        *self.changes.lock() = Changes::Torn;
    }

    /// The next message is stored and answered with `OutcomeUnknown`.
    pub fn doubt_next(&self) {
        self.doubted.fetch_add(1, Ordering::SeqCst);
    }

    fn left_over(&self, room: &RoomId, user: &UserId) -> Option<Membership> {
        match &*self.changes.lock() {
            Changes::Left(torn) if torn.room == *room && torn.user == *user => Some(torn.clone()),
            _ => None,
        }
    }
}

/// Methods that ask the store behind.
macro_rules! pass_on {
    ($($name:ident($($given:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($given: $type),*) -> $answer {
            self.inner.$name($($given),*)
        })*
    };
}

impl Store for Held {
    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>> {
        let page = self.inner.history(conversation, range, limit);
        if matches!(range, HistoryRange::After(_)) { page } else { self.held(page) }
    }

    fn nonce(
        &self,
        sender: &UserId,
        nonce: &str,
    ) -> Pending<Result<Option<NonceRecord>, ReadError>> {
        self.held(self.inner.nonce(sender, nonce))
    }

    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>> {
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

    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>> {
        let mut changes = self.changes.lock();
        if matches!(*changes, Changes::Torn) {
            *changes = Changes::Left(membership);
            let reason = "the user's side did not answer".into();
            return Box::pin(async { Err(AppendError::OutcomeUnknown { reason }) });
        }
        self.inner.put_membership(membership)
    }

    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>> {
        let (inner, torn) = (self.inner.membership(room, user), self.left_over(room, user));
        let merged = |one: Membership, other: Membership| {
            let state = one.state.merge(other.state);
            Membership { state, ..one }
        };
        Box::pin(async move { Ok(inner.await?.into_iter().chain(torn).reduce(merged)) })
    }

    pass_on! {
        identity() -> &Identity;
        shared_clocks() -> Option<SharedClocks>;
        coordinators() -> Vec<Arc<str>>;
        time(coordinator: &str) -> Pending<Result<Micros, ReadError>>;
        retention() -> Option<Duration>;
        activity(user: &UserId, day: Day, limit: usize) -> Pending<Result<Vec<Activity>, ReadError>>;
        is_member(user: &UserId, dm: &Conversation) -> Pending<Result<bool, ReadError>>;
        put_room(room: Room) -> Pending<Result<(), AppendError>>;
        unlist(left: Membership) -> Pending<Result<(), AppendError>>;
        room(room: &RoomId) -> Pending<Result<Option<Room>, ReadError>>;
        members(
            room: &RoomId, after: Option<&UserId>, limit: usize
        ) -> Pending<Result<MembersPage, ReadError>>;
        directs(user: &UserId, after: Option<&Conversation>, limit: usize)
            -> Pending<Result<Vec<Conversation>, ReadError>>;
        memberships(user: &UserId, limit: usize) -> Pending<Result<Vec<Membership>, ReadError>>;
        head(room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>>;
        mark_read(
            user: &UserId, of: &Conversation, upto: MessageId
        ) -> Pending<Result<(), AppendError>>;
        read_mark(
            user: &UserId, of: &Conversation
        ) -> Pending<Result<Option<MessageId>, ReadError>>;
        note_nonce(
            sender: &UserId, nonce: &str, record: NonceRecord
        ) -> Pending<Result<(), AppendError>>;
        write_row(row: Heartbeat) -> Pending<Result<(), RowError>>;
        heartbeats() -> Pending<Result<Vec<Heartbeat>, ReadError>>;
        failure() -> Option<String>;
        figures() -> Option<StoreFigures>;
        close() -> Pending<()>;
    }
}
