//! The store of a cluster: `ScyllaDB` or Apache Cassandra, by CQL. The only place that names the
//! driver.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Cql`]: the bounds, and the port in front of them |
//! | `options` | what an operator may choose |
//! | `thread` | the driver's thread, and the bounds before it |
//! | `connect` | the session, and how requests of each kind are run |
//! | `schema` | the tables, and how they are made |
//! | `statements` | the prepared statements |
//! | `executor` | where requests are issued and counted |
//! | `attempts`, `error` | what a failed write means |
//! | `window`, `write_cache` | how messages are partitioned, and what a node knows to be written |
//! | `time_bounds` | bounds of the present time |
//! | `codec` | the format of cells that hold more than one value |
//! | `writes` | the rows of each call |
//! | `reads`, `history` | the queries |
//! | `cluster` | the heartbeats of the live nodes |
//!
//! Invariants worth naming:
//!
//! 1. **Ids and stamps decide, never the order of arrival.** Every write carries a timestamp made
//!    from them. So each may be repeated, late or twice, and changes nothing.
//! 2. **`Unavailable` is returned only when it is certain of every row** that nothing was written;
//!    a write that timed out is applied later, and every attempt is counted.
//! 3. **Nothing is acknowledged before all its rows are**, and a window of a conversation is in
//!    `windows` before any message in it is acknowledged.
//! 4. **Rows stay or expire**, with one exception. Rows of `memberships` are deleted if the user
//!    left the room over 35 days ago. The deletion has the removal's timestamp.

mod attempts;
mod codec;
mod connect;
mod error;
mod executor;
mod heartbeats;
mod history;
mod options;
mod reads;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod thread;
mod time_bounds;
mod window;
mod write_cache;
mod writes;

use std::future::ready;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{
    Activity, AppendError, Day, HistoryRange, Identity, MembersPage, NonceRecord, Page, PageLimit,
    Pending, ReadError, RowError, Store,
};
use crate::cluster::Heartbeat;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, Room, RoomId, UserId};
use crate::telemetry::StoreFigures;
use connect::{Profiles, connect};
use error::WriteFailure;
use executor::Executor;
use statements::Statements;
use thread::{StoreThread, ThreadBusy, ThreadGate};

pub use error::CqlOpenError;
pub use options::CqlOptions;
pub use schema::{
    SchemaChange, ServerKind, apply as apply_schema, check as check_schema, print as print_schema,
};

/// Writes and reads of the cluster table and of the time under way at once. Every 2 s there are a
/// write, a read and a check of up to 15 coordinators. They are counted apart from the others, so
/// that a node under load keeps its lease.
const UPKEEP_IN_FLIGHT: usize = 32;

/// The store of a cluster. Dropping it ends its thread.
#[derive(Debug)]
pub struct Cql {
    identity: Identity,
    retention: Option<Duration>,
    executor: Arc<Executor>,
    thread: StoreThread,
    writes: ThreadGate,
    reads: ThreadGate,
    upkeep: ThreadGate,
}

impl Cql {
    /// Connects to a store whose schema was applied. Answers within some seconds: it does not wait
    /// for a server to come up.
    pub async fn open(options: &CqlOptions) -> Result<Arc<Self>, CqlOpenError> {
        let thread = StoreThread::start()?;
        let opening = options.clone();
        let opened = thread.spawn(async move { open(&opening).await }).await;
        Ok(Self::new(options, thread, opened.map_err(std::io::Error::other)??))
    }

    /// As [`Self::open`], for a caller without a runtime; blocks.
    pub fn open_blocking(options: &CqlOptions) -> Result<Arc<Self>, CqlOpenError> {
        let thread = StoreThread::start()?;
        let (opening, (done, opened)) = (options.clone(), mpsc::sync_channel(1));
        drop(thread.spawn(async move { done.send(open(&opening).await) }));
        let opened = opened.recv().map_err(std::io::Error::other)??;
        Ok(Self::new(options, thread, opened))
    }

    fn new(options: &CqlOptions, thread: StoreThread, opened: Opened) -> Arc<Self> {
        let Opened { executor, identity, retention } = opened;
        Arc::new(Self {
            identity,
            retention,
            executor: Arc::new(executor),
            thread,
            writes: ThreadGate::new(options.cql.writes_in_flight),
            reads: ThreadGate::new(options.cql.reads_in_flight),
            upkeep: ThreadGate::new(UPKEEP_IN_FLIGHT),
        })
    }

    /// Starts a write on the driver's thread.
    fn write<F>(&self, work: impl FnOnce(Arc<Executor>) -> F) -> Pending<Result<(), AppendError>>
    where
        F: Future<Output = Result<(), AppendError>> + Send + 'static,
    {
        let place = match self.writes.enter() {
            Ok(place) => place,
            Err(refused) => {
                let refused = WriteFailure::unsent(refused.to_string());
                return Box::pin(ready(Err(refused.into())));
            }
        };
        let work = work(Arc::clone(&self.executor));
        let written = self.thread.spawn(async move {
            let _place = place;
            work.await
        });
        let lost = || AppendError::OutcomeUnknown { reason: "the store was closed".into() };
        Box::pin(async move { written.await.unwrap_or_else(|_| Err(lost())) })
    }

    /// Starts a read on the driver's thread.
    fn read<T, F>(&self, work: impl FnOnce(Arc<Executor>) -> F) -> Pending<Result<T, ReadError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        self.ask(&self.reads, work)
    }

    fn ask<T, F>(
        &self,
        gate: &ThreadGate,
        work: impl FnOnce(Arc<Executor>) -> F,
    ) -> Pending<Result<T, ReadError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let place = match gate.enter() {
            Ok(place) => place,
            Err(ThreadBusy::Full { bound }) => {
                return Box::pin(ready(Err(ReadError::Overloaded { waiting: bound })));
            }
            Err(refused @ ThreadBusy::Closed) => {
                let reason = refused.to_string();
                return Box::pin(ready(Err(ReadError::Unavailable { reason })));
            }
        };
        let work = work(Arc::clone(&self.executor));
        let read: JoinHandle<_> = self.thread.spawn(async move {
            let _place = place;
            work.await
        });
        let lost = || ReadError::Unavailable { reason: "the store was closed".into() };
        Box::pin(async move { read.await.unwrap_or_else(|_| Err(lost())) })
    }
}

/// A session that is ready, with the store's identity.
struct Opened {
    executor: Executor,
    identity: Identity,
    retention: Option<Duration>,
}

/// Connects, checks the schema and prepares the statements.
async fn open(options: &CqlOptions) -> Result<Opened, CqlOpenError> {
    let profiles = Profiles::new(options);
    let session = connect(options, &profiles).await?;
    let found = schema::FoundSchema::read(&session, options).await?;
    if let Some(difference) = found.differences(options).into_iter().next() {
        return Err(CqlOpenError::Schema { keyspace: options.cql.keyspace.clone(), difference });
    }
    let identity = schema::admitted(&session, options).await?;
    let statements = Statements::prepare(&session, options, &profiles).await?;
    let executor = Executor::new(session, statements, &options.cql.datacenter);
    Ok(Opened { executor, identity, retention: retention(options, found.retention()) })
}

/// The guaranteed retention: the smaller of this node's setting and the tables'.
fn retention(options: &CqlOptions, of_tables: Option<Duration>) -> Option<Duration> {
    let own = options.cql.retention;
    if own != of_tables {
        tracing::warn!(
            ?own,
            ?of_tables,
            "store.retention_days differs from the TTL of the tables: run `narrowcast schema \
             apply` to change the tables, then restart the nodes"
        );
    }
    own.into_iter().chain(of_tables).min()
}

impl Store for Cql {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn coordinators(&self) -> Vec<Arc<str>> {
        self.executor.coordinators()
    }

    fn time(&self, coordinator: &str) -> Pending<Result<Micros, ReadError>> {
        let coordinator = coordinator.to_owned();
        self.ask(&self.upkeep, |executor| async move { reads::time(&executor, &coordinator).await })
    }

    fn retention(&self) -> Option<Duration> {
        self.retention
    }

    fn append(&self, message: Arc<Message>) -> Pending<Result<(), AppendError>> {
        self.write(|executor| async move { writes::append(&executor, &message).await })
    }

    fn history(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) -> Pending<Result<Page, ReadError>> {
        let conversation = conversation.clone();
        self.read(move |executor| history::history(executor, conversation, range, limit))
    }

    fn activity(
        &self,
        user: &UserId,
        day: Day,
        limit: usize,
    ) -> Pending<Result<Vec<Activity>, ReadError>> {
        let user = user.clone();
        self.read(
            move |executor| async move { reads::activity(&executor, &user, day, limit).await },
        )
    }

    fn directs(
        &self,
        user: &UserId,
        after: Option<&Conversation>,
        limit: usize,
    ) -> Pending<Result<Vec<Conversation>, ReadError>> {
        let (user, after) = (user.clone(), after.cloned());
        self.read(move |executor| async move {
            reads::directs(&executor, &user, after.as_ref(), limit).await
        })
    }

    fn is_member(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<bool, ReadError>> {
        let (user, conversation) = (user.clone(), conversation.clone());
        self.read(
            move |executor| async move { reads::is_member(&executor, &user, &conversation).await },
        )
    }

    fn put_room(&self, room: Room) -> Pending<Result<(), AppendError>> {
        self.write(|executor| async move { writes::put_room(&executor, &room).await })
    }

    fn room(&self, room: &RoomId) -> Pending<Result<Option<Room>, ReadError>> {
        let room = room.clone();
        self.read(move |executor| async move { reads::room(&executor, &room).await })
    }

    fn put_membership(&self, membership: Membership) -> Pending<Result<(), AppendError>> {
        self.write(|executor| async move { writes::put_membership(&executor, &membership).await })
    }

    fn membership(
        &self,
        room: &RoomId,
        user: &UserId,
    ) -> Pending<Result<Option<Membership>, ReadError>> {
        let (room, user) = (room.clone(), user.clone());
        self.read(move |executor| async move { reads::membership(&executor, &room, &user).await })
    }

    fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Pending<Result<MembersPage, ReadError>> {
        let (room, after) = (room.clone(), after.cloned());
        self.read(move |executor| async move {
            reads::members(&executor, &room, after.as_ref(), limit).await
        })
    }

    fn memberships(
        &self,
        user: &UserId,
        limit: usize,
    ) -> Pending<Result<Vec<Membership>, ReadError>> {
        let user = user.clone();
        self.read(move |executor| async move { reads::memberships(&executor, &user, limit).await })
    }

    fn unlist(&self, left: Membership) -> Pending<Result<(), AppendError>> {
        self.write(|executor| async move { writes::unlist(&executor, &left).await })
    }

    fn head(&self, room: &RoomId) -> Pending<Result<Option<MessageId>, ReadError>> {
        let room = room.clone();
        self.read(move |executor| async move { reads::head(&executor, &room).await })
    }

    fn mark_read(
        &self,
        user: &UserId,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Pending<Result<(), AppendError>> {
        let (user, conversation) = (user.clone(), conversation.clone());
        self.write(move |executor| async move {
            writes::mark_read(&executor, &user, &conversation, upto).await
        })
    }

    fn read_mark(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Pending<Result<Option<MessageId>, ReadError>> {
        let (user, conversation) = (user.clone(), conversation.clone());
        self.read(
            move |executor| async move { reads::read_mark(&executor, &user, &conversation).await },
        )
    }

    fn note_nonce(
        &self,
        sender: &UserId,
        nonce: &str,
        record: NonceRecord,
    ) -> Pending<Result<(), AppendError>> {
        let (sender, nonce) = (sender.clone(), nonce.to_owned());
        self.write(move |executor| async move {
            writes::note_nonce(&executor, &sender, &nonce, record).await
        })
    }

    fn nonce(
        &self,
        sender: &UserId,
        nonce: &str,
    ) -> Pending<Result<Option<NonceRecord>, ReadError>> {
        let (sender, nonce) = (sender.clone(), nonce.to_owned());
        self.read(move |executor| async move { reads::nonce(&executor, &sender, &nonce).await })
    }

    fn write_row(&self, row: Heartbeat) -> Pending<Result<(), RowError>> {
        let namespace = self.identity.namespace.clone();
        let work = |executor: Arc<Executor>| async move {
            Ok(heartbeats::write(&executor, &namespace, &row).await)
        };
        let written = self.ask(&self.upkeep, work);
        Box::pin(async move {
            match written.await {
                Ok(written) => written.map_err(RowError::from),
                Err(refused) => Err(RowError { reason: refused.to_string() }),
            }
        })
    }

    fn heartbeats(&self) -> Pending<Result<Vec<Heartbeat>, ReadError>> {
        let namespace = self.identity.namespace.clone();
        self.ask(
            &self.upkeep,
            |executor| async move { heartbeats::read(&executor, &namespace).await },
        )
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
