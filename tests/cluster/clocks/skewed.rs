//! A store whose own clock is what a test wants it to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use narrowcast::clock::{SharedClocks, WallClock};
use narrowcast::cluster::Heartbeat;
use narrowcast::domain::{
    Conversation, Membership, Message, MessageId, Micros, Room, RoomId, UserId,
};
use narrowcast::store::{
    Activity, AppendError, Day, HistoryRange, Identity, MembersPage, NonceRecord, Page, PageLimit,
    Pending, ReadError, RowError, Store,
};
use narrowcast::telemetry::StoreFigures;

/// The store's clock cannot be read.
pub const MUTE: i64 = i64::MAX;

/// The servers whose clocks it has.
const COORDINATORS: [&str; 3] = ["c1", "c2", "c3"];

/// An embedded store with clocks of its own, as if it were elsewhere.
#[derive(Debug)]
pub struct Skewed {
    inner: Arc<dyn Store>,
    /// How far each of its clocks is ahead of this machine's, in milliseconds; or [`MUTE`].
    ahead: [AtomicI64; COORDINATORS.len()],
    is_heeded: bool,
    retention: Option<Duration>,
}

impl Skewed {
    pub fn new(inner: Arc<dyn Store>, ahead: i64) -> Self {
        let ahead = COORDINATORS.map(|_| AtomicI64::new(ahead));
        Self { inner, ahead, is_heeded: true, retention: None }
    }

    /// The same, with clocks that nodes need not agree with.
    pub fn unheeded(self) -> Self {
        Self { is_heeded: false, ..self }
    }

    /// The same, where messages are kept for so long.
    pub fn keeping(self, retention: Duration) -> Self {
        Self { retention: Some(retention), ..self }
    }

    pub fn set_ahead(&self, millis: i64) {
        self.ahead.iter().for_each(|ahead| ahead.store(millis, Ordering::SeqCst));
    }

    /// Sets one of its clocks.
    pub fn set_one_ahead(&self, coordinator: usize, millis: i64) {
        self.ahead[coordinator].store(millis, Ordering::SeqCst);
    }
}

impl Store for Skewed {
    fn figures(&self) -> Option<StoreFigures> {
        self.inner.figures()
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        COORDINATORS.map(Arc::from).into()
    }

    fn time(&self, coordinator: &str) -> Pending<Result<Micros, ReadError>> {
        let which = COORDINATORS.iter().position(|name| *name == coordinator).expect("one of them");
        let ahead = self.ahead[which].load(Ordering::SeqCst);
        let now = WallClock::system();
        Box::pin(async move {
            if ahead == MUTE {
                return Err(ReadError::Unavailable { reason: "its clock stands still".into() });
            }
            let millis = now.millis().saturating_add_signed(ahead);
            Ok(Micros(millis * 1000))
        })
    }

    fn shared_clocks(&self) -> Option<SharedClocks> {
        self.inner.shared_clocks().filter(|_| !self.is_heeded)
    }

    fn identity(&self) -> &Identity {
        self.inner.identity()
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>> {
        self.inner.append(message)
    }

    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>> {
        self.inner.history(conversation, range, limit)
    }

    fn activity(
        &self,
        user: &UserId,
        day: Day,
        limit: usize,
    ) -> Pending<Result<Vec<Activity>, ReadError>> {
        self.inner.activity(user, day, limit)
    }

    fn is_member(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<bool, ReadError>> {
        self.inner.is_member(user, conversation)
    }

    fn put_room(&self, room: Room) -> Pending<Result<(), AppendError>> {
        self.inner.put_room(room)
    }

    fn room(&self, room: &RoomId) -> Pending<Result<Option<Room>, ReadError>> {
        self.inner.room(room)
    }

    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>> {
        self.inner.put_membership(membership)
    }

    fn unlist(&self, left: Membership) -> Pending<Result<(), AppendError>> {
        self.inner.unlist(left)
    }

    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>> {
        self.inner.membership(room, user)
    }

    fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Pending<Result<MembersPage, ReadError>> {
        self.inner.members(room, after, limit)
    }

    fn directs(
        &self,
        user: &UserId,
        after: Option<&Conversation>,
        limit: usize,
    ) -> Pending<Result<Vec<Conversation>, ReadError>> {
        self.inner.directs(user, after, limit)
    }

    fn memberships(
        &self,
        user: &UserId,
        limit: usize,
    ) -> Pending<Result<Vec<Membership>, ReadError>> {
        self.inner.memberships(user, limit)
    }

    fn head(&self, room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>> {
        self.inner.head(room)
    }

    fn mark_read(
        &self,
        user: &UserId,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Pending<Result<(), AppendError>> {
        self.inner.mark_read(user, conversation, upto)
    }

    fn read_mark(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<Option<MessageId>, ReadError>> {
        self.inner.read_mark(user, conversation)
    }

    fn note_nonce(
        &self,
        sender: &UserId,
        nonce: &str,
        record: NonceRecord,
    ) -> Pending<Result<(), AppendError>> {
        self.inner.note_nonce(sender, nonce, record)
    }

    fn nonce(
        &self,
        sender: &UserId,
        nonce: &str,
    ) -> Pending<Result<Option<NonceRecord>, ReadError>> {
        self.inner.nonce(sender, nonce)
    }

    fn write_row(&self, row: Heartbeat) -> Pending<Result<(), RowError>> {
        self.inner.write_row(row)
    }

    fn heartbeats(&self) -> Pending<Result<Vec<Heartbeat>, ReadError>> {
        self.inner.heartbeats()
    }

    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    fn close(&self) -> Pending<()> {
        self.inner.close()
    }
}
