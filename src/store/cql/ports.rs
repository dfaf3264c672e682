//! The ports: each call is started on the driver's thread, within its bound.

use std::sync::Arc;
use std::time::Duration;

use super::thread::ThreadGate;
use super::{Cql, heartbeats, history, reads, writes};
use crate::cluster::Heartbeat;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId};
use crate::store::{
    Activity, ActivityQuery, DirectsQuery, HeartbeatError, HeartbeatStore, HistoryQuery,
    IdempotencyEntry, IdempotencyKey, IdempotencyRecord, Identity, MembersPage, MembersQuery,
    MembershipKey, MembershipsQuery, MessageStore, Page, Participant, Pending, PendingRead,
    PendingWrite, ReadMark, ReceiptStore, RoomStore, Store,
};
use crate::telemetry::StoreFigures;

impl MessageStore for Cql {
    fn append(&self, message: Arc<Message>) -> PendingWrite {
        self.write(|executor| writes::append(executor, message))
    }

    fn history(&self, query: HistoryQuery) -> PendingRead<Page> {
        self.read(|executor| history::history(executor, query))
    }

    fn activity(&self, query: ActivityQuery) -> PendingRead<Vec<Activity>> {
        self.read(|executor| reads::activity(executor, query))
    }

    fn directs(&self, query: DirectsQuery) -> PendingRead<Vec<Conversation>> {
        self.read(|executor| reads::directs(executor, query))
    }

    fn is_member(&self, participant: Participant) -> PendingRead<bool> {
        self.read(|executor| reads::is_member(executor, participant))
    }
}

impl RoomStore for Cql {
    fn put_room(&self, room: Room) -> PendingWrite {
        self.write(|executor| writes::put_room(executor, room))
    }

    fn room(&self, room: RoomId) -> PendingRead<Option<Room>> {
        self.read(|executor| reads::room(executor, room))
    }

    fn head(&self, room: RoomId) -> PendingRead<Option<MessageId>> {
        self.read(|executor| reads::head(executor, room))
    }

    fn put_membership(&self, membership: Membership) -> PendingWrite {
        self.write(|executor| writes::put_membership(executor, membership))
    }

    fn membership(&self, key: MembershipKey) -> PendingRead<Option<Membership>> {
        self.read(|executor| reads::membership(executor, key))
    }

    fn members(&self, query: MembersQuery) -> PendingRead<MembersPage> {
        self.read(|executor| reads::members(executor, query))
    }

    fn memberships(&self, query: MembershipsQuery) -> PendingRead<Vec<Membership>> {
        self.read(|executor| reads::memberships(executor, query))
    }

    fn unlist(&self, left: Membership) -> PendingWrite {
        self.write(|executor| writes::unlist(executor, left))
    }
}

impl ReceiptStore for Cql {
    fn mark_read(&self, mark: ReadMark) -> PendingWrite {
        self.write(|executor| writes::mark_read(executor, mark))
    }

    fn read_mark(&self, participant: Participant) -> PendingRead<Option<MessageId>> {
        self.read(|executor| reads::read_mark(executor, participant))
    }

    fn put_idempotency(&self, entry: IdempotencyEntry) -> PendingWrite {
        self.write(|executor| writes::put_idempotency(executor, entry))
    }

    fn idempotency(&self, key: IdempotencyKey) -> PendingRead<Option<IdempotencyRecord>> {
        self.read(|executor| reads::idempotency(executor, key))
    }
}

impl HeartbeatStore for Cql {
    fn write_heartbeat(&self, row: Heartbeat) -> Pending<Result<(), HeartbeatError>> {
        let namespace = self.identity.namespace.clone();
        let written = self.ask(&self.upkeep, |executor| async move {
            Ok(heartbeats::write(&executor, &namespace, &row).await)
        });
        Box::pin(async move {
            match written.await {
                Ok(written) => written.map_err(HeartbeatError::from),
                Err(refused) => Err(HeartbeatError { reason: refused.to_string() }),
            }
        })
    }

    fn heartbeats(&self) -> PendingRead<Vec<Heartbeat>> {
        let namespace = self.identity.namespace.clone();
        self.ask(&self.upkeep, |executor| heartbeats::read(executor, namespace))
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        self.executor.coordinators()
    }

    fn time(&self, coordinator: Arc<str>) -> PendingRead<Micros> {
        self.ask(&self.upkeep, |executor| reads::time(executor, coordinator))
    }
}

impl Store for Cql {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    /// None: it recovers by itself.
    fn failure(&self) -> Option<String> {
        None
    }

    fn figures(&self) -> Option<StoreFigures> {
        Some(self.executor.figures())
    }

    fn close(&self) -> Pending<()> {
        let gates = [&self.writes, &self.reads, &self.upkeep].map(ThreadGate::close);
        let end = self.thread.end();
        Box::pin(async move {
            for closed in gates {
                closed.await;
            }
            end.await;
        })
    }
}
