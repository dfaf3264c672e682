//! The limits of sends, as a worker decides them in memory.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll, Waker};

use crate::config::{Config, RateConfig};
use crate::domain::{Conversation, UserId};
use crate::limiter::{WorkerLimiter, WorkerLimiterOptions};
use crate::telemetry::Metrics;

/// The rate of every limit: no measurement uses the burst up, and none lasts so long that what was
/// charged is forgotten.
const RATE: RateConfig = RateConfig { burst: 1 << 24, per_s: 1 };

/// The limits of sends on a node of one worker, which shares no count with others.
#[derive(Debug)]
pub struct SendLimits(WorkerLimiter);

impl SendLimits {
    /// Starts with rates that let every send in.
    pub fn unexhausted() -> Self {
        let mut rates = Config::default().rates;
        (rates.user.sends, rates.dm, rates.room) = (RATE, RATE, RATE);
        Self(WorkerLimiter::new(WorkerLimiterOptions {
            rates,
            shared: None,
            nodes: Arc::new(AtomicU32::new(1)),
            shares: Arc::default(),
            outage: Arc::default(),
            metrics: Arc::new(Metrics::new()),
        }))
    }

    /// Returns whether a user may send a message to a conversation, and charges it.
    pub fn allow(&self, user: &UserId, conversation: &Conversation) -> bool {
        // Without a shared count nothing waits.
        let decision = pin!(self.0.ask_send(user, conversation));
        let mut context = Context::from_waker(Waker::noop());
        matches!(decision.poll(&mut context), Poll::Ready(Ok(())))
    }
}
