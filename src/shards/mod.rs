//! A node's connections to its shards. They are made, watched, and made again until the node ends.

mod backoff;
mod event;
mod link_states;
mod publishers;
mod reconnect_signal;
mod shard_log;
mod subscriber;

use std::time::Duration;

use crate::bus::BusError;
use crate::clock::Readable;
#[cfg(test)]
use crate::config::{LinkBounds, LinkTimeouts};

pub(crate) use backoff::Backoff;
pub use event::{SHARD_EVENTS_MAX, ShardEvent, ShardEvents};
#[cfg(test)]
pub(crate) use link_states::LinkRole;
pub use link_states::{LinkReport, LinkState, LinkStates};
pub use publishers::{Publishers, PublishersOptions};
pub use reconnect_signal::ReconnectSignal;
pub use subscriber::Subscriber;

/// What tests bound connections by.
#[cfg(test)]
const SMALL: LinkBounds = LinkBounds { publish_queue: 16, batch: 16 };

/// How long tests wait.
#[cfg(test)]
const PATIENT: LinkTimeouts = LinkTimeouts {
    reply: Duration::from_secs(3),
    ping: Duration::from_secs(5),
    backoff_min: Duration::from_millis(50),
    backoff_max: Duration::from_secs(1),
};

/// Waits for an answer. A connection whose answer does not come in time counts as gone.
async fn answered<T>(
    bound: Duration,
    answer: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    let late = || BusError::Unreachable(format!("no answer within {}", Readable(bound)));
    tokio::time::timeout(bound, answer).await.map_err(|_elapsed| late())?
}
