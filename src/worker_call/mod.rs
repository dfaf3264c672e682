//! What one worker does for an HTTP request that another worker accepted. A user's requests are
//! executed by the worker of the user's sessions, a room's by the worker of the room's key.

mod admission;
mod caller;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::{PASSING_MAX, Readable};
use crate::config::Config;
use crate::domain::RoutingKey;
use crate::layout::worker_of;
use crate::protocol::{Code, ErrorReply};
use crate::watermark::ACK_LIMIT;

use admission::RequestPermits;

pub use admission::Admission;
pub use caller::Caller;

/// Calls that wait for one worker. Each begins at once in its turn, so they wait for no more than
/// that.
pub const WORKER_CALLS_MAX: usize = 1024;

/// The most answers of the store that a message, or a change of a room or a member, waits for one
/// after the other. What is stored under the lease is not counted. An add of a member has the most:
/// whether the caller owns the room, the room, the membership as it was, all of the user's rooms,
/// the removal that is written again, and the membership beside the room's newest message.
const STORE_ANSWERS_MAX: u32 = 6;

/// Work for a worker, with the router that it works with as its argument.
pub type WorkerCall<R> = Box<dyn FnOnce(R) + Send>;

/// Whether a call without an answer may have changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Reads,
    /// Something may be stored or published.
    Changes,
}

/// Returns how long a caller waits: longer than the steps of a call may take together, so that a
/// step's own error comes first. It follows from the time limits of the store and of the limiter.
/// Pages and lists of events wait for more answers of the store than are counted here, and are
/// given up if those are slow.
fn worker_call_wait(store: Duration, limiter: Duration) -> Duration {
    store * STORE_ANSWERS_MAX + limiter + ACK_LIMIT + PASSING_MAX
}

/// The queues of a node's workers, and the permits for requests.
#[derive(Debug, Clone)]
pub struct WorkerCalls<R> {
    queues: Arc<[mpsc::Sender<WorkerCall<R>>]>,
    permits: Arc<RequestPermits>,
    wait: Duration,
}

/// Taken by the worker when it begins the call, or by the caller when it gives up. So a call that
/// was given up is never begun.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<AtomicBool>);

impl Slot {
    /// Takes the slot. Returns whether it was free.
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

impl<R: 'static> WorkerCalls<R> {
    /// Creates the queues of a node's workers. Returns their receivers too, in the order of the
    /// workers.
    pub fn new(config: &Config) -> (Self, Vec<mpsc::Receiver<WorkerCall<R>>>) {
        let Config { limits, timeouts, .. } = config;
        let permits =
            RequestPermits::new(limits.node.requests_in_flight, limits.user.requests_in_flight);
        Self::bounded(
            config.workers,
            permits,
            worker_call_wait(timeouts.store, timeouts.redis.limiter),
        )
    }

    fn bounded(
        workers: usize,
        permits: Arc<RequestPermits>,
        wait: Duration,
    ) -> (Self, Vec<mpsc::Receiver<WorkerCall<R>>>) {
        let (queues, ends): (Vec<_>, _) =
            (0..workers).map(|_| mpsc::channel(WORKER_CALLS_MAX)).unzip();
        (Self { queues: queues.into(), permits, wait }, ends)
    }

    /// Takes a permit for a request, if one is free for its caller.
    pub fn admit(&self, caller: &Caller) -> Result<Admission, ErrorReply> {
        self.permits.take(caller)
    }

    /// Returns whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        self.permits.is_idle()
    }

    /// Executes work on the worker of a key. Work that was begun goes on even if the caller stops
    /// waiting; work is not begun after that. So work that changes something, was begun and gave no
    /// answer has an unknown outcome.
    pub async fn ask<T, F>(
        &self,
        admission: Admission,
        key: &RoutingKey,
        effect: Effect,
        work: impl FnOnce(R) -> F + Send + 'static,
    ) -> Result<T, ErrorReply>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ErrorReply>> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let slot = Slot::default();
        let claim = slot.clone();
        let worker_call: WorkerCall<R> = Box::new(move |router| {
            if answer.is_closed() || !claim.take() {
                return;
            }
            let work = work(router);
            tokio::task::spawn_local(async move {
                let result = work.await;
                // Released before the answer, since the caller may send the next request at once.
                drop(admission);
                let _given_up = answer.send(result);
            });
        });
        let queue = &self.queues[worker_of(key, self.queues.len() as u32) as usize];
        queue.try_send(worker_call).map_err(|refused| unavailable(&refused))?;
        let why = match timeout(self.wait, answered).await {
            Ok(Ok(result)) => return result,
            Ok(Err(_dropped)) => "the node is being stopped".to_owned(),
            Err(_elapsed) => format!("the worker did not answer within {}", Readable(self.wait)),
        };
        let begun = !slot.take();
        let in_doubt = begun && effect == Effect::Changes;
        Err(ErrorReply::new(if in_doubt { Code::OutcomeUnknown } else { Code::Unavailable }, why))
    }
}

fn unavailable<R>(refused: &mpsc::error::TrySendError<WorkerCall<R>>) -> ErrorReply {
    let message = match refused {
        mpsc::error::TrySendError::Full(_) => {
            format!("{WORKER_CALLS_MAX} requests wait for the worker, no more are allowed")
        }
        mpsc::error::TrySendError::Closed(_) => "the node is being stopped".to_owned(),
    };
    ErrorReply::new(Code::Unavailable, message)
}

#[cfg(test)]
mod tests;
