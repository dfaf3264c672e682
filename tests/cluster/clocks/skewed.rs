//! A store whose own clock is what a test wants it to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use narrowcast::clock::{SharedClocks, WallClock};
use narrowcast::cluster::Heartbeat;
use narrowcast::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId};
use narrowcast::store::{
    Activity, ActivityQuery, DirectsQuery, HeartbeatError, HeartbeatStore, HistoryQuery,
    IdempotencyEntry, IdempotencyKey, IdempotencyRecord, Identity, MembersPage, MembersQuery,
    MembershipKey, MembershipsQuery, MessageStore, Page, Participant, Pending, PendingRead,
    PendingWrite, ReadError, ReadMark, ReceiptStore, RoomStore, Store,
};
use narrowcast::telemetry::StoreFigures;

use crate::cluster::doubles::pass_on;

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

impl HeartbeatStore for Skewed {
    fn shared_clocks(&self) -> Option<SharedClocks> {
        self.inner.shared_clocks().filter(|_| !self.is_heeded)
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        COORDINATORS.map(Arc::from).into()
    }

    fn time(&self, coordinator: Arc<str>) -> PendingRead<Micros> {
        let which = COORDINATORS.iter().position(|name| *name == &*coordinator);
        let ahead = self.ahead[which.expect("one of them")].load(Ordering::SeqCst);
        let now = WallClock::system();
        Box::pin(async move {
            if ahead == MUTE {
                return Err(ReadError::Unavailable { reason: "its clock stands still".into() });
            }
            let millis = now.millis().saturating_add_signed(ahead);
            Ok(Micros(millis * 1000))
        })
    }

    pass_on! {
        write_heartbeat(row: Heartbeat) -> Pending<Result<(), HeartbeatError>>;
        heartbeats() -> PendingRead<Vec<Heartbeat>>;
    }
}

impl MessageStore for Skewed {
    pass_on! {
        append(message: Arc<Message>) -> PendingWrite;
        history(query: HistoryQuery) -> PendingRead<Page>;
        activity(query: ActivityQuery) -> PendingRead<Vec<Activity>>;
        directs(query: DirectsQuery) -> PendingRead<Vec<Conversation>>;
        is_member(participant: Participant) -> PendingRead<bool>;
    }
}

impl RoomStore for Skewed {
    pass_on! {
        put_room(room: Room) -> PendingWrite;
        room(room: RoomId) -> PendingRead<Option<Room>>;
        head(room: RoomId) -> PendingRead<Option<MessageId>>;
        put_membership(membership: Membership) -> PendingWrite;
        membership(key: MembershipKey) -> PendingRead<Option<Membership>>;
        members(query: MembersQuery) -> PendingRead<MembersPage>;
        memberships(query: MembershipsQuery) -> PendingRead<Vec<Membership>>;
        unlist(left: Membership) -> PendingWrite;
    }
}

impl ReceiptStore for Skewed {
    pass_on! {
        mark_read(mark: ReadMark) -> PendingWrite;
        read_mark(participant: Participant) -> PendingRead<Option<MessageId>>;
        put_idempotency(entry: IdempotencyEntry) -> PendingWrite;
        idempotency(key: IdempotencyKey) -> PendingRead<Option<IdempotencyRecord>>;
    }
}

impl Store for Skewed {
    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    pass_on! {
        identity() -> &Identity;
        failure() -> Option<String>;
        figures() -> Option<StoreFigures>;
        close() -> Pending<()>;
    }
}
