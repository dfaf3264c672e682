//! Limits how often a user, an address or a connection may do something.
//!
//! ```text
//! send  -> cached refusal? -> conversation (this worker's count) -> user -> Redis, or this node's share
//! change of a room -> cached refusal? ---------------------------> user -> Redis, or this node's share
//! event, read, list items  -------------------------------------->  user -> this node's share
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | this one | [`Limiter`], the port to what counts |
//! | `gcra` | the arithmetic: pure |
//! | `policy` | what is limited, and what a call asks for |
//! | `decision` | answers and errors |
//! | `tat_cache` | a bounded memory of theoretical arrival times |
//! | `member_shares` | what one member gets of a conversation's rate while others want some |
//! | `keyed_gcra` | one limit per key, which may run into debt |
//! | `local` | the backend in memory |
//! | `redis` | the backend that all nodes share, and its script |
//! | `worker_limiter` | the limits that a worker's calls pass |
//! | `outage` | what the log says while the shards do not count |
//! | `user_concurrency` | how many calls of a user are with the store at once |
//! | `connection_meter` | frames and bytes of one connection |
//! | `keyed_permits` | a bounded number of permits for each key |
//! | `addresses` | connections of one address |
//! | `connections` | those of the node, with or without a token |
//! | `handshakes` | which one without a token makes room for a new one |
//! | `conformance` | the behaviours that every backend is tested for |
//!
//! Invariants worth naming:
//!
//! - All policies of a call are checked before any is charged: a refusal consumes nothing.
//! - What a list names is charged before anything is done with it, granted or not.
//! - A cost that is known only afterwards is charged then, as a debt that later calls wait for. That
//!   holds for messages of other nodes, and for what a read took beyond its first. Every debt is
//!   bounded.
//! - If Redis fails in any way, a call is still decided: by this node's share of the limit.
//! - Every rounding is against the caller by less than a microsecond per call, so it never exceeds a
//!   limit. A caller that waits for the time it was given is let in.

mod addresses;
#[cfg(test)]
mod conformance;
mod connection_meter;
mod connections;
mod decision;
mod gcra;
mod handshakes;
mod keyed_gcra;
mod keyed_permits;
mod local;
mod member_shares;
mod outage;
mod policy;
mod redis;
mod tat_cache;
mod user_concurrency;
mod worker_limiter;

use std::pin::Pin;

pub use addresses::{AddressPermit, Addresses};
pub use connection_meter::{ConnectionMeter, FrameRates, Metered};
pub use connections::{Admitted, ConnectionBounds, ConnectionPermit, Connections, HandshakePermit};
pub use decision::{LimitDecision, LimiterError, RateLimited};
pub use gcra::Rate;
pub use keyed_permits::{KeyedPermit, KeyedPermits};
pub use local::Local;
pub use member_shares::MemberShares;
pub use outage::LimiterOutage;
pub use policy::{CHARGES_MAX, Charge, LimitedCall, RateLimit, UserRate};
pub use redis::{RedisLimiter, RedisLimiterOptions};
pub use worker_limiter::{SHELVES, WorkerLimiter, WorkerLimiterOptions};

/// A decision that is pending. The call is already under way when this is returned. If this is
/// dropped, the call may be charged nevertheless.
pub type PendingDecision<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Counts the calls of users.
pub trait Limiter: std::fmt::Debug + Send + Sync {
    /// Checks all policies of a call, then charges all of them, or none.
    fn check(&self, call: LimitedCall) -> PendingDecision<Result<LimitDecision, LimiterError>>;
}
