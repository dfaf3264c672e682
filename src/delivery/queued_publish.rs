//! One publish on its way to the sessions of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::bus::Envelope;
use crate::telemetry::{Metrics, Received};

/// How a publish came to the sessions of a node. It decides which sessions it serves: an event's
/// two copies must not meet at one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyKind {
    /// It was published on this node, both copies in one; or it is a change of a membership, of
    /// which every session that is concerned gets the one copy.
    Here,
    /// Over the bucket of its key.
    Bucket,
    /// Over the channel `tap`.
    Tap,
}

/// An envelope that several workers share.
#[derive(Debug)]
pub struct QueuedPublish {
    /// What is delivered.
    pub envelope: Envelope,
    /// The worker of this node that published it, if one did.
    pub worker: Option<u32>,
    /// The number of the session that published this; it gets no copy.
    pub except: Option<u64>,
    account: Option<Account>,
}

/// Classifies a push from the bus once every worker is done with it: useful if a session received
/// it, wasted if none did.
#[derive(Debug)]
struct Account {
    metrics: Arc<Metrics>,
    handed: AtomicBool,
    outstanding: AtomicU32,
}

impl QueuedPublish {
    /// A publish of this node. It is not a push of the bus, hence not classified.
    pub const fn local(envelope: Envelope, worker: u32, except: Option<u64>) -> Self {
        Self { envelope, worker: Some(worker), except, account: None }
    }

    /// A membership from the bus. It is not a node event, hence not classified.
    pub const fn membership_from_bus(envelope: Envelope) -> Self {
        Self { envelope, worker: None, except: None, account: None }
    }

    /// A push of the bus for `workers` workers.
    pub fn from_bus(envelope: Envelope, metrics: Arc<Metrics>, workers: u32) -> Self {
        let outstanding = AtomicU32::new(workers);
        let account = Account { metrics, handed: AtomicBool::new(false), outstanding };
        Self { envelope, worker: None, except: None, account: Some(account) }
    }

    /// How it came.
    pub const fn via(&self) -> CopyKind {
        match (&self.account, self.envelope.tap_copy) {
            (None, _) => CopyKind::Here,
            (Some(_), false) => CopyKind::Bucket,
            (Some(_), true) => CopyKind::Tap,
        }
    }

    /// Records that a worker is done with it; `handed` says whether a session received it.
    pub fn done(&self, handed: bool) {
        let Some(account) = &self.account else { return };
        account.handed.fetch_or(handed, Ordering::AcqRel);
        if account.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            let useful = account.handed.load(Ordering::Acquire);
            let what = if useful { Received::Useful } else { Received::Wasted };
            account.metrics.bus.received(what, self.envelope.class());
        }
    }
}
