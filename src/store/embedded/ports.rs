//! The ports: each call goes to the write thread, to the read thread or to the map of heartbeats.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use super::Embedded;
use super::entry::BatchEntry;
use super::query::{self, rooms};
use crate::clock::SharedClocks;
use crate::cluster::Heartbeat;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId};
use crate::store::{
    Activity, ActivityQuery, DirectsQuery, HeartbeatError, HeartbeatStore, HistoryQuery,
    IdempotencyEntry, IdempotencyKey, IdempotencyRecord, Identity, MembersPage, MembersQuery,
    MembershipKey, MembershipsQuery, MessageStore, Page, Participant, Pending, PendingRead,
    PendingWrite, ReadError, ReadMark, ReceiptStore, RoomStore, Store,
};
use crate::telemetry::StoreFigures;

impl MessageStore for Embedded {
    fn append(&self, message: Arc<Message>) -> PendingWrite {
        self.writer.append(message)
    }

    fn history(&self, query: HistoryQuery) -> PendingRead<Page> {
        self.reader.ask(move |tables| query::history(tables, &query))
    }

    fn activity(&self, query: ActivityQuery) -> PendingRead<Vec<Activity>> {
        self.reader.ask(move |tables| query::activity(tables, &query))
    }

    fn directs(&self, query: DirectsQuery) -> PendingRead<Vec<Conversation>> {
        self.reader.ask(move |tables| query::directs(tables, &query))
    }

    fn is_member(&self, participant: Participant) -> PendingRead<bool> {
        self.reader.ask(move |tables| query::is_member(tables, &participant))
    }
}

impl RoomStore for Embedded {
    fn put_room(&self, room: Room) -> PendingWrite {
        self.writer.write(Ok(BatchEntry::room(&room)))
    }

    fn room(&self, room: RoomId) -> PendingRead<Option<Room>> {
        self.reader.ask(move |tables| rooms::room(tables, &room))
    }

    fn head(&self, room: RoomId) -> PendingRead<Option<MessageId>> {
        self.reader.ask(move |tables| rooms::head(tables, &room))
    }

    fn put_membership(&self, membership: Membership) -> PendingWrite {
        self.writer.write(Ok(BatchEntry::membership(membership)))
    }

    fn membership(&self, key: MembershipKey) -> PendingRead<Option<Membership>> {
        self.reader.ask(move |tables| rooms::membership(tables, &key))
    }

    fn members(&self, query: MembersQuery) -> PendingRead<MembersPage> {
        self.reader.ask(move |tables| rooms::members(tables, &query))
    }

    fn memberships(&self, query: MembershipsQuery) -> PendingRead<Vec<Membership>> {
        self.reader.ask(move |tables| rooms::memberships(tables, &query))
    }

    fn unlist(&self, left: Membership) -> PendingWrite {
        self.writer.write(Ok(BatchEntry::unlist(left)))
    }
}

impl ReceiptStore for Embedded {
    fn mark_read(&self, mark: ReadMark) -> PendingWrite {
        self.writer.write(Ok(BatchEntry::read_mark(&mark)))
    }

    fn read_mark(&self, participant: Participant) -> PendingRead<Option<MessageId>> {
        self.reader.ask(move |tables| query::read_mark(tables, &participant))
    }

    fn put_idempotency(&self, entry: IdempotencyEntry) -> PendingWrite {
        self.writer.write(BatchEntry::idempotency(&entry))
    }

    fn idempotency(&self, key: IdempotencyKey) -> PendingRead<Option<IdempotencyRecord>> {
        self.reader.ask(move |tables| query::idempotency(tables, &key))
    }
}

impl HeartbeatStore for Embedded {
    fn write_heartbeat(&self, row: Heartbeat) -> Pending<Result<(), HeartbeatError>> {
        self.heartbeats.write(row, Instant::now());
        Box::pin(ready(Ok(())))
    }

    fn heartbeats(&self) -> PendingRead<Vec<Heartbeat>> {
        Box::pin(ready(Ok(self.heartbeats.read(Instant::now()))))
    }

    fn shared_clocks(&self) -> Option<SharedClocks> {
        Some(self.clocks.clone())
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn time(&self, coordinator: Arc<str>) -> PendingRead<Micros> {
        let reason = format!("an embedded store has no coordinator {coordinator}");
        Box::pin(ready(Err(ReadError::Unavailable { reason })))
    }
}

impl Store for Embedded {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn failure(&self) -> Option<String> {
        self.failure.reason()
    }

    fn is_worth_a_restart(&self) -> bool {
        self.failure.is_over()
    }

    fn figures(&self) -> Option<StoreFigures> {
        None
    }

    fn close(&self) -> Pending<()> {
        let (written, read, watched) =
            (self.writer.close(), self.reader.close(), self.watch.close());
        Box::pin(async move {
            written.await;
            read.await;
            watched.await;
        })
    }
}
