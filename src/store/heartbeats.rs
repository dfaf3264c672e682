//! The port to the cluster table, and to the clocks that nodes check theirs against.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{HeartbeatError, Pending, PendingRead};
use crate::clock::SharedClocks;
use crate::cluster::Heartbeat;
use crate::domain::Micros;

/// How long a row of the cluster table is kept after the last write of its incarnation.
pub const HEARTBEATS_KEPT: Duration = Duration::from_hours(1);

/// The heartbeats of all nodes, and the time that they agree on.
pub trait HeartbeatStore: fmt::Debug + Send + Sync + 'static {
    /// Writes a row of the cluster table, whole. Of one incarnation the row with the highest
    /// counter stays, in any order of arrival.
    fn write_heartbeat(&self, row: Heartbeat) -> Pending<Result<(), HeartbeatError>>;

    /// Reads every row of the cluster table whose incarnation was written within
    /// [`HEARTBEATS_KEPT`].
    fn heartbeats(&self) -> PendingRead<Vec<Heartbeat>>;

    /// The clocks of all nodes on the store, where they are in one process (embedded). They started
    /// above every message's id and every stamp that was in the store when it was opened. Read
    /// marks do not count, since clients choose them. None for a cluster's store: its nodes check
    /// their clocks against [`Self::time`].
    fn shared_clocks(&self) -> Option<SharedClocks> {
        None
    }

    /// The servers whose clocks nodes check theirs against, by address. There are at most
    /// [`COORDINATORS_MAX`](crate::clock::COORDINATORS_MAX), the same and in the same order for all
    /// nodes, reachable or not.
    fn coordinators(&self) -> Vec<Arc<str>>;

    /// Asks one of [`Self::coordinators`] for its time, to the millisecond.
    fn time(&self, coordinator: Arc<str>) -> PendingRead<Micros>;
}
