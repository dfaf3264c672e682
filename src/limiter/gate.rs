//! What the calls of a worker's users pass.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::gcra::Check;
use super::tats::Tats;
use super::{Call, Limiter, LimiterError, Local, Policy, Rate, Refused, Verdict};
use crate::config::{Rates, UserRates};
use crate::domain::{Conversation, UserId};
use crate::telemetry::{Limited, Metrics};

/// Between two log lines that say the same.
const WARN_PAUSE: Duration = Duration::from_secs(10);

/// Policies that a user is held to in memory: sends, events, reads.
const USER_POLICIES: usize = 3;

/// What a gate is made from.
#[derive(Debug, Clone)]
pub struct GatePlan {
    /// As configured.
    pub rates: Rates,
    /// What all nodes count sends by; none where there is nothing.
    pub shared: Option<Arc<dyn Limiter>>,
    /// How many nodes live.
    pub nodes: Arc<AtomicU32>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What the calls of a worker's users pass. All sessions of a user are on one worker, so that what
/// is counted here is all that the user does on this node.
#[derive(Debug)]
pub struct Gate {
    users: Option<Users>,
    dms: Shelf,
    rooms: Shelf,
    since: Instant,
    nodes: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Users {
    sends: Policy,
    events: Policy,
    reads: Policy,
    shared: Option<Arc<dyn Limiter>>,
    here: Local,
    /// Until when the sends of a user are refused without asking: a refusal costs no round trip
    /// until it is over.
    refused: RefCell<Tats<UserId>>,
    warned: Cell<Option<Instant>>,
}

/// The conversations of one kind.
#[derive(Debug)]
struct Shelf {
    policy: Policy,
    rate: Rate,
    tats: RefCell<Tats<Conversation>>,
}

impl Gate {
    /// Nobody has done anything yet.
    pub fn new(plan: GatePlan) -> Self {
        let GatePlan { rates, shared, nodes, metrics } = plan;
        let shelf = |name, rate| Shelf::new(Policy::new(name, rate), rates.remembered);
        Self {
            users: rates.users.map(|users| Users::new(users, shared, rates.remembered)),
            dms: shelf("messages of a direct conversation", rates.dm),
            rooms: shelf("messages of a room", rates.room),
            since: Instant::now(),
            nodes,
            metrics,
        }
    }

    /// A user sends a message to a conversation. Both limits are looked at before either is
    /// charged. Sends that are judged at the same time may overrun the conversation's by as many:
    /// a partition has room for that.
    pub async fn send(&self, user: &UserId, conversation: &Conversation) -> Result<(), Refused> {
        if let Some(refused) = self.users.as_ref().and_then(|users| users.cached(user, self.now()))
        {
            self.metrics.limited(Limited::Cached);
            return Err(refused);
        }
        let judged = self.judge_send(user, conversation).await;
        self.counted(judged)
    }

    /// A user publishes an event.
    pub fn event(&self, user: &UserId) -> Result<(), Refused> {
        self.events(user, 1)
    }

    /// A user publishes so many events at once: all are charged, or none.
    pub fn events(&self, user: &UserId, count: u32) -> Result<(), Refused> {
        let Some(users) = &self.users else { return Ok(()) };
        self.counted(judged(users.here.judge(&Call::one(user, users.events, count), 1)))
    }

    /// A user asks for something that takes so many reads of the store.
    pub fn read(&self, user: &UserId, units: u32) -> Result<(), Refused> {
        let Some(users) = &self.users else { return Ok(()) };
        self.counted(judged(users.here.judge(&Call::one(user, users.reads, units), 1)))
    }

    /// A message of a conversation was heard that did not pass this gate: from another node, or
    /// another worker. It is charged, and never refused.
    pub fn heard(&self, conversation: &Conversation) {
        self.shelf(conversation).charge(conversation, self.now());
    }

    async fn judge_send(&self, user: &UserId, conversation: &Conversation) -> Result<(), Refused> {
        let kind = self.shelf(conversation);
        kind.check(conversation, self.now())?;
        if let Some(users) = &self.users {
            let verdict = users.judge_send(user, self).await;
            judged(verdict)?;
        }
        kind.charge(conversation, self.now());
        Ok(())
    }

    fn counted(&self, judged: Result<(), Refused>) -> Result<(), Refused> {
        let verdict = if judged.is_ok() { Limited::Allowed } else { Limited::Refused };
        self.metrics.limited(verdict);
        judged
    }

    const fn shelf(&self, conversation: &Conversation) -> &Shelf {
        match conversation {
            Conversation::Dm(..) => &self.dms,
            Conversation::Room(_) => &self.rooms,
        }
    }

    /// Microseconds since the gate was made.
    fn now(&self) -> u64 {
        self.since.elapsed().as_micros() as u64
    }
}

fn judged(verdict: Verdict) -> Result<(), Refused> {
    match verdict {
        Verdict::Allowed { .. } => Ok(()),
        Verdict::Refused(refused) => Err(refused),
    }
}

impl Users {
    fn new(rates: UserRates, shared: Option<Arc<dyn Limiter>>, remembered: usize) -> Self {
        Self {
            sends: Policy::new("sends", rates.sends),
            events: Policy::new("events", rates.events),
            reads: Policy::new("reads", rates.reads),
            shared,
            here: Local::new(remembered * USER_POLICIES),
            refused: RefCell::new(Tats::new(remembered)),
            warned: Cell::default(),
        }
    }

    /// The refusal of a user whose time is not over.
    fn cached(&self, user: &UserId, now: u64) -> Option<Refused> {
        let left = self.refused.borrow().get(user).saturating_sub(now);
        (left > 0).then(|| Refused::after_micros(self.sends, left))
    }

    /// By what all nodes count, or else by this node's share.
    async fn judge_send(&self, user: &UserId, gate: &Gate) -> Verdict {
        let call = Call::one(user, self.sends, 1);
        let Some(shared) = &self.shared else {
            return self.here.judge(&call, gate.nodes.load(Ordering::Relaxed));
        };
        match shared.check(call.clone()).await {
            Ok(verdict) => {
                self.remember(user, verdict, gate.now());
                verdict
            }
            Err(error) => {
                gate.metrics.unshared_limits.inc();
                self.warn(&error);
                self.here.judge(&call, gate.nodes.load(Ordering::Relaxed))
            }
        }
    }

    fn remember(&self, user: &UserId, verdict: Verdict, now: u64) {
        if let Verdict::Refused(Refused { retry_after: Some(wait), .. }) = verdict {
            self.refused.borrow_mut().put(user, now + wait.as_micros() as u64, now);
        }
    }

    fn warn(&self, error: &LimiterError) {
        if self.warned.get().is_none_or(|at| at.elapsed() >= WARN_PAUSE) {
            self.warned.set(Some(Instant::now()));
            tracing::warn!(%error, "sends are held to this node's share of the limit");
        }
    }
}

impl Shelf {
    fn new(policy: Policy, remembered: usize) -> Self {
        Self { policy, rate: policy.rate(), tats: RefCell::new(Tats::new(remembered)) }
    }

    fn check(&self, conversation: &Conversation, now: u64) -> Result<(), Refused> {
        match self.rate.check(self.tats.borrow().get(conversation), now, 1) {
            Check::Fits { .. } => Ok(()),
            Check::Over { retry } => Err(Refused::after_micros(self.policy, retry)),
            Check::Never => Err(Refused::never(self.policy)),
        }
    }

    fn charge(&self, conversation: &Conversation, now: u64) {
        let mut tats = self.tats.borrow_mut();
        let tat = self.rate.charged(tats.get(conversation), now, 1);
        tats.put(conversation, tat, now);
    }
}

#[cfg(test)]
mod tests;
