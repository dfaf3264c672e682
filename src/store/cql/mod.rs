//! The store of a cluster: `ScyllaDB` or Apache Cassandra, by CQL. The only place that names the
//! driver.
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Cql`]: how it is opened, and the bounds |
//! | `ports` | the ports in front of the bounds |
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
//! | `heartbeats` | the heartbeats of the live nodes |
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
mod operation;
mod options;
mod ports;
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

use super::{AppendError, Identity, PendingRead, PendingWrite, ReadError};
use connect::{Profiles, connect};
use error::WriteFailure;
use executor::Executor;
use statements::Statements;
use thread::{StoreThread, ThreadBusy, ThreadGate};

pub use error::CqlOpenError;
pub use options::CqlOptions;
pub use schema::{
    SchemaChange, SchemaVersion, ServerKind, apply as apply_schema, check as check_schema,
    drop_keyspace, print as print_schema, retag,
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
    fn write<F>(&self, work: impl FnOnce(Arc<Executor>) -> F) -> PendingWrite
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
    fn read<T, F>(&self, work: impl FnOnce(Arc<Executor>) -> F) -> PendingRead<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        self.ask(&self.reads, work)
    }

    fn ask<T, F>(&self, gate: &ThreadGate, work: impl FnOnce(Arc<Executor>) -> F) -> PendingRead<T>
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

fn days(retention: Option<Duration>) -> String {
    const DAY_S: u64 = 86_400;
    retention
        .map_or_else(|| "0 (for good)".into(), |kept| format!("{} days", kept.as_secs() / DAY_S))
}

/// The guaranteed retention: the smaller of this node's setting and the tables'.
fn retention(options: &CqlOptions, of_tables: Option<Duration>) -> Option<Duration> {
    let own = options.cql.retention;
    if own != of_tables {
        tracing::warn!(
            "store.retention_days is {}, and the tables keep rows for {}: run `narrowcast schema \
             apply` to change the tables, then restart the nodes",
            days(own),
            days(of_tables),
        );
    }
    own.into_iter().chain(of_tables).min()
}
