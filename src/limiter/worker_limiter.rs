//! The limits that the calls of a worker's users pass.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::keyed_gcra::KeyedGcra;
use super::member_shares::{MemberShare, MemberShares};
use super::tat_cache::TatCache;
use super::user_concurrency::{UserConcurrency, UserPermit};
use super::{
    LimitDecision, LimitedCall, Limiter, LimiterOutage, Local, RateLimit, RateLimited, UserRate,
};
use crate::config::{Rates, UserRates};
use crate::domain::{Conversation, UserId};
use crate::telemetry::{Limited, Metrics};

/// Policies of a user that are counted in memory without debts: sends, events.
const USER_POLICIES: usize = 2;

/// How many caches of `rates.remembered` entries a worker's limiter has: those policies, reads,
/// refusals, and both kinds of conversations.
pub const SHELVES: usize = USER_POLICIES + 4;

/// How far a conversation may be in debt. All nodes may let a message in at the same time, and what
/// they sent while the bus was slow is received at once. At one message per second this is what 600
/// nodes let in together. It bounds how long a conversation is silent afterwards.
pub(super) const CONVERSATION_DEBT: Duration = Duration::from_mins(10);

/// How far the reads of a user may be in debt. What a page took is known once it was read, and a
/// page of an inbox of 5,000 rooms takes minutes of the rate. No user waits for longer than this.
const READS_DEBT: Duration = Duration::from_secs(30);

/// What is limited of a direct conversation, and of one member while the other is refused.
const DM_LIMITS: [&str; 2] = [
    "messages of a direct conversation",
    "messages of one user of a direct conversation while the other one waits",
];

/// What is limited of a room, and of one member while another one is refused.
const ROOM_LIMITS: [&str; 2] =
    ["messages of a room", "messages of one member of a room while another one waits"];

/// Pages of history and inbox of one user that are read at once, over all sessions and requests. An
/// inbox has 16 reads under way, so 8 have 128: half of `store.reads_in_flight` by default. The
/// store refuses what is above its bound, and would refuse other users.
const PAGES_AT_ONCE: usize = 8;

/// Messages of one user that are stored at once. It is a quarter of `store.writes_in_flight` by
/// default, and as many as four sessions send.
const SENDS_AT_ONCE: usize = 64;

/// The inputs of a worker's limiter.
#[derive(Debug, Clone)]
pub struct WorkerLimiterOptions {
    /// The configured rates.
    pub rates: Rates,
    /// The count of sends that all nodes share. None if there is none.
    pub shared: Option<Arc<dyn Limiter>>,
    /// How many nodes live.
    pub nodes: Arc<AtomicU32>,
    /// Shares of contested conversations, for all workers of the node.
    pub shares: Arc<MemberShares>,
    /// What is logged when the shared count fails, for all workers of the node.
    pub outage: Arc<LimiterOutage>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
}

/// The limits that the calls of a worker's users pass. All sessions of a user are on one worker, so
/// this counts all calls of the user on this node.
#[derive(Debug)]
pub struct WorkerLimiter {
    users: Option<Users>,
    dms: ConversationRate,
    rooms: ConversationRate,
    shares: Arc<MemberShares>,
    page_reads: UserConcurrency,
    stored_sends: UserConcurrency,
    since: Instant,
    nodes: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

/// The limit of each conversation of a kind, and what one member may have of it.
#[derive(Debug)]
struct ConversationRate {
    shelf: KeyedGcra<Conversation>,
    share: MemberShare,
}

#[derive(Debug)]
struct Users {
    sends: RateLimit,
    events: RateLimit,
    reads: KeyedGcra<UserId>,
    items: KeyedGcra<UserId>,
    shared: Option<Arc<dyn Limiter>>,
    here: Local,
    /// Until when the sends of a user are refused without asking. Until then a refusal costs no
    /// round trip.
    refused: RefCell<TatCache<UserId>>,
    outage: Arc<LimiterOutage>,
}

impl WorkerLimiter {
    /// Starts with nothing charged.
    pub fn new(plan: WorkerLimiterOptions) -> Self {
        let WorkerLimiterOptions { rates, shared, nodes, shares, outage, metrics } = plan;
        let rate = |[name, share]: [&'static str; 2], rate| {
            let policy = RateLimit::new(name, rate);
            let shelf = KeyedGcra::new(policy, CONVERSATION_DEBT, rates.remembered);
            ConversationRate { shelf, share: MemberShare::half_of(share, &policy) }
        };
        Self {
            users: rates
                .of_users()
                .map(|users| Users::new(users, (shared, outage), rates.remembered)),
            dms: rate(DM_LIMITS, rates.dm),
            rooms: rate(ROOM_LIMITS, rates.room),
            shares,
            page_reads: UserConcurrency::new(PAGES_AT_ONCE),
            stored_sends: UserConcurrency::new(SENDS_AT_ONCE),
            since: Instant::now(),
            nodes,
            metrics,
        }
    }

    /// Lets a user send a message to a conversation. Both limits are checked before either is
    /// charged. Sends that are checked at the same time may overrun the conversation's limit by as
    /// many. A partition has room for that.
    pub async fn send(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), RateLimited> {
        self.cached(user)?;
        let judged = self.decide_send(user, conversation).await;
        self.counted(judged)
    }

    /// Does the same without counting the decision: the caller may wait and ask again, and counts
    /// the last one.
    pub async fn ask_send(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), RateLimited> {
        match self.users.as_ref().and_then(|users| users.cached(user, self.now())) {
            Some(refused) => Err(refused),
            None => self.decide_send(user, conversation).await,
        }
    }

    /// Lets a user change a room, or its members. It counts as one of the user's sends.
    pub async fn change(&self, user: &UserId) -> Result<(), RateLimited> {
        let Some(users) = &self.users else { return Ok(()) };
        self.cached(user)?;
        let verdict = users.decide_send(user, self).await;
        self.counted(judged(verdict))
    }

    /// Lets a session start an op, or says how long it has to wait. What waits is not counted. A send
    /// may always start: it is limited by [`Self::ask_send`].
    pub fn start(&self, user: &UserId, rate: UserRate) -> Result<(), RateLimited> {
        let Some(users) = &self.users else { return Ok(()) };
        match rate {
            UserRate::Sends => return Ok(()),
            UserRate::Events => {
                judged(users.here.decide(&LimitedCall::one(user, users.events, 1), 1))?;
            }
            UserRate::Reads => {
                users.reads.check(user, self.now(), 1)?;
                users.reads.charge(user, self.now(), 1);
            }
        }
        self.counted(Ok(()))
    }

    /// Lets a user publish so many events at once: all are charged, or none.
    pub fn events(&self, user: &UserId, count: u32) -> Result<(), RateLimited> {
        let Some(users) = &self.users else { return Ok(()) };
        self.counted(judged(users.here.decide(&LimitedCall::one(user, users.events, count), 1)))
    }

    /// Lets a user start something that reads the store, and charges one read. Further reads are
    /// owed ([`Self::owe_reads`]) as soon as they are known.
    pub fn read(&self, user: &UserId) -> Result<(), RateLimited> {
        let Some(users) = &self.users else { return Ok(()) };
        let checked = users.reads.check(user, self.now(), 1);
        if checked.is_ok() {
            users.reads.charge(user, self.now(), 1);
        }
        self.counted(checked)
    }

    /// Charges the items that a user names in a list: patterns, events, members. All are charged
    /// before anything is done with them, or none.
    pub fn items(&self, user: &UserId, count: usize) -> Result<(), RateLimited> {
        let Some(users) = self.users.as_ref().filter(|_| count > 0) else { return Ok(()) };
        let (now, count) = (self.now(), u32::try_from(count).unwrap_or(u32::MAX));
        let checked = users.items.check(user, now, count);
        if checked.is_ok() {
            users.items.charge(user, now, count);
        }
        self.counted(checked)
    }

    /// Refuses a user who is in debt by now, before the expensive part of a call that was let in.
    /// Otherwise a user who asks for many things at once would get them all before any is charged.
    pub fn read_on(&self, user: &UserId) -> Result<(), RateLimited> {
        let Some(users) = &self.users else { return Ok(()) };
        let checked = users.reads.check(user, self.now(), 0);
        if checked.is_ok() { checked } else { self.counted(checked) }
    }

    /// Charges a user the further reads of a call that was let in. The user's next calls wait for
    /// it.
    pub fn owe_reads(&self, user: &UserId, units: usize) {
        if let Some(users) = &self.users {
            let units = u32::try_from(units).unwrap_or(u32::MAX);
            users.reads.charge(user, self.now(), units);
        }
    }

    /// Waits while `PAGES_AT_ONCE` pages are read for a user. The call is charged already.
    pub async fn page_permit(&self, user: &UserId) -> UserPermit<'_> {
        self.page_reads.acquire(user).await
    }

    /// Waits while `SENDS_AT_ONCE` messages of a user are stored. The call is charged already.
    pub async fn send_permit(&self, user: &UserId) -> UserPermit<'_> {
        self.stored_sends.acquire(user).await
    }

    /// Charges a message of a conversation that came from another node or another worker. It is
    /// never refused.
    pub fn charge_received(&self, conversation: &Conversation) {
        self.rate_of(conversation).shelf.charge(conversation, self.now(), 1);
    }

    /// Refuses a user who was refused by the shared count, until the wait is over.
    fn cached(&self, user: &UserId) -> Result<(), RateLimited> {
        let refused = self.users.as_ref().and_then(|users| users.cached(user, self.now()));
        let Some(refused) = refused else { return Ok(()) };
        self.metrics.limits.count(Limited::Cached);
        self.metrics.limits.refused(refused.policy.name);
        Err(refused)
    }

    async fn decide_send(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), RateLimited> {
        let ConversationRate { shelf, share } = self.rate_of(conversation);
        self.check_conversation(user, conversation)?;
        if let Some(users) = &self.users {
            let verdict = users.decide_send(user, self).await;
            judged(verdict)?;
        }
        shelf.charge(conversation, self.now(), 1);
        self.shares.charge(share, conversation, user);
        Ok(())
    }

    /// Refuses a message for which a conversation's rate has no room. Also refuses a member who has
    /// a whole share of it while another one wants to send.
    fn check_conversation(
        &self,
        user: &UserId,
        conversation: &Conversation,
    ) -> Result<(), RateLimited> {
        let ConversationRate { shelf, share } = self.rate_of(conversation);
        let checked = shelf
            .check(conversation, self.now(), 1)
            .and_then(|()| self.shares.check(share, conversation, user));
        if checked.is_err() {
            self.shares.contest(share, conversation, user);
        }
        checked
    }

    /// Counts a decision.
    pub fn counted(&self, judged: Result<(), RateLimited>) -> Result<(), RateLimited> {
        let verdict = if judged.is_ok() { Limited::Allowed } else { Limited::Refused };
        self.metrics.limits.count(verdict);
        if let Err(refused) = &judged {
            self.metrics.limits.refused(refused.policy.name);
        }
        judged
    }

    /// Counts a refusal that follows from an earlier one of the same rate.
    pub fn count_repeated_refusal(&self, rate: UserRate) {
        self.metrics.limits.count(Limited::Cached);
        self.metrics.limits.refused(rate.name());
    }

    const fn rate_of(&self, conversation: &Conversation) -> &ConversationRate {
        match conversation {
            Conversation::Dm(..) => &self.dms,
            Conversation::Room(_) => &self.rooms,
        }
    }

    /// Microseconds since the limiter was made.
    fn now(&self) -> u64 {
        self.since.elapsed().as_micros() as u64
    }
}

fn judged(verdict: LimitDecision) -> Result<(), RateLimited> {
    match verdict {
        LimitDecision::Allowed { .. } => Ok(()),
        LimitDecision::Refused(refused) => Err(refused),
    }
}

impl Users {
    fn new(
        rates: UserRates,
        (shared, outage): (Option<Arc<dyn Limiter>>, Arc<LimiterOutage>),
        remembered: usize,
    ) -> Self {
        Self {
            sends: RateLimit::new(UserRate::Sends.name(), rates.sends),
            events: RateLimit::new(UserRate::Events.name(), rates.events),
            reads: KeyedGcra::new(
                RateLimit::new(UserRate::Reads.name(), rates.reads),
                READS_DEBT,
                remembered,
            ),
            items: KeyedGcra::new(
                RateLimit::new("list items", rates.items),
                Duration::ZERO,
                remembered,
            ),
            shared,
            here: Local::new(remembered * USER_POLICIES),
            refused: RefCell::new(TatCache::new(remembered)),
            outage,
        }
    }

    /// Returns the refusal of a user whose wait is not over.
    fn cached(&self, user: &UserId, now: u64) -> Option<RateLimited> {
        let left = self.refused.borrow().get(user).saturating_sub(now);
        (left > 0).then(|| RateLimited::after_micros(self.sends, left))
    }

    /// Decides by the shared count, or else by this node's share.
    async fn decide_send(&self, user: &UserId, gate: &WorkerLimiter) -> LimitDecision {
        let call = LimitedCall::one(user, self.sends, 1);
        let Some(shared) = &self.shared else {
            return self.here.decide(&call, gate.nodes.load(Ordering::Relaxed));
        };
        match shared.check(call.clone()).await {
            Ok(verdict) => {
                self.outage.answered();
                self.remember(user, verdict, gate.now());
                verdict
            }
            Err(error) => {
                gate.metrics.limits.unshared.inc();
                self.outage.failed(&error);
                self.here.decide(&call, gate.nodes.load(Ordering::Relaxed))
            }
        }
    }

    fn remember(&self, user: &UserId, verdict: LimitDecision, now: u64) {
        if let LimitDecision::Refused(RateLimited { retry_after: Some(wait), .. }) = verdict {
            self.refused.borrow_mut().put(user, now + wait.as_micros() as u64, now);
        }
    }
}

#[cfg(test)]
mod tests;
