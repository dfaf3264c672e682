//! Shares of a conversation's rate while several members want more than it allows.
//!
//! The rate of a conversation is served first come, first served, so one member who sends without a
//! pause takes all of it. A member who was refused makes the conversation *contested* for one
//! window; until then each other member gets at most half of the rate in that window. A
//! conversation that refuses no member costs one atomic load.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{RateLimit, RateLimited};
use crate::domain::{Conversation, UserId};

/// Conversations that may be contested at once. Beyond it a new one is served first come, first
/// served: it takes this many rates used up by others within one window.
const CONTESTED_MAX: usize = 4096;

/// Members of a contested conversation that are counted in one window. More cannot each have a
/// large part of the rate.
const COUNTED_MAX: usize = 64;

/// The shortest window, and the time for which a refusal makes a conversation contested.
const WINDOW_MIN_MICROS: u64 = 1_000_000;

/// How many contested conversations are checked for having calmed down each time one is added. It is
/// more than are added, so that the memory shrinks when it can.
const RELEASED_AN_ADD: usize = 2;

/// The shares of one node, for all its workers.
#[derive(Debug)]
pub struct MemberShares {
    since: Instant,
    /// No conversation is contested from here on, in microseconds since `since`.
    calm_from: AtomicU64,
    contests: Mutex<Contests>,
}

/// What one member may have of a contested conversation: `sends` in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MemberShare {
    rate: RateLimit,
    window_micros: u64,
    sends: u32,
}

impl MemberShare {
    /// Half of a rate. Where that is less than one message a second, the window is long enough
    /// for one.
    pub(super) fn half_of(name: &'static str, rate: &RateLimit) -> Self {
        let per_s = u64::from(rate.per_s);
        let window_micros = (2 * WINDOW_MIN_MICROS / per_s).max(WINDOW_MIN_MICROS);
        let sends = (per_s * window_micros / WINDOW_MIN_MICROS / 2) as u32;
        let per_s = (rate.per_s / 2).max(1);
        Self { rate: RateLimit { name, burst: sends, per_s }, window_micros, sends }
    }
}

impl Default for MemberShares {
    fn default() -> Self {
        let (calm_from, contests) = (AtomicU64::default(), Mutex::default());
        Self { since: Instant::now(), calm_from, contests }
    }
}

impl MemberShares {
    /// Refuses a member who has a whole share while another wants to send.
    pub(super) fn check(
        &self,
        share: &MemberShare,
        conversation: &Conversation,
        user: &UserId,
    ) -> Result<(), RateLimited> {
        let Some(now) = self.contested_at() else { return Ok(()) };
        let wait = self.contests.lock().wait(share, conversation, user, now);
        wait.map_or(Ok(()), |wait| Err(RateLimited::after_micros(share.rate, wait)))
    }

    /// Counts a message that was let in.
    pub(super) fn charge(&self, share: &MemberShare, conversation: &Conversation, user: &UserId) {
        if let Some(now) = self.contested_at() {
            self.contests.lock().charge(share, conversation, user, now);
        }
    }

    /// A member was refused, so the others have a share each for a window.
    pub(super) fn contest(&self, share: &MemberShare, conversation: &Conversation, user: &UserId) {
        let now = self.now();
        self.contests.lock().contest(share, conversation, user, now);
        self.calm_from.fetch_max(now + share.window_micros, Ordering::Relaxed);
    }

    /// The time, while any conversation may be contested. The clock is read only after a refusal.
    fn contested_at(&self) -> Option<u64> {
        let calm_from = self.calm_from.load(Ordering::Relaxed);
        (calm_from > 0).then(|| self.now()).filter(|now| calm_from > *now)
    }

    fn now(&self) -> u64 {
        self.since.elapsed().as_micros() as u64
    }
}

/// The arithmetic. Times are microseconds of one monotonic clock.
#[derive(Debug, Default)]
struct Contests {
    contested: AHashMap<Conversation, Contest>,
    /// Each conversation of `contested` once.
    order: VecDeque<Conversation>,
}

#[derive(Debug)]
struct Contest {
    /// The latest refusals of two different members: one of them is another's than the one who asks.
    refused: SmallVec<[(UserId, u64); 2]>,
    window_begin: u64,
    /// What was let in since then.
    sent: SmallVec<[(UserId, u32); 2]>,
    ends: u64,
}

impl Contests {
    /// How long a member with a whole share has to wait; none if the member may send.
    fn wait(
        &self,
        share: &MemberShare,
        conversation: &Conversation,
        user: &UserId,
        now: u64,
    ) -> Option<u64> {
        let contest = self.contested.get(conversation)?;
        let window_end = contest.window_begin + share.window_micros;
        let sent = contest.sent.iter().find(|(sender, _)| sender == user).map_or(0, |one| one.1);
        let is_used_up = sent >= share.sends && window_end > now;
        (is_used_up && contest.is_wanted_by_another(share, user, now)).then(|| window_end - now)
    }

    fn charge(
        &mut self,
        share: &MemberShare,
        conversation: &Conversation,
        user: &UserId,
        now: u64,
    ) {
        let Some(contest) = self.contested.get_mut(conversation) else { return };
        if contest.window_begin + share.window_micros <= now {
            contest.window_begin = now;
            contest.sent.clear();
        }
        if let Some((_, sent)) = contest.sent.iter_mut().find(|(sender, _)| sender == user) {
            *sent += 1;
        } else if contest.sent.len() < COUNTED_MAX {
            contest.sent.push((user.clone(), 1));
        }
    }

    fn contest(
        &mut self,
        share: &MemberShare,
        conversation: &Conversation,
        user: &UserId,
        now: u64,
    ) {
        if !self.contested.contains_key(conversation) {
            self.release(now);
            if self.contested.len() >= CONTESTED_MAX {
                return;
            }
            self.order.push_back(conversation.clone());
        }
        let contest = self.contested.entry(conversation.clone()).or_insert_with(|| Contest {
            refused: SmallVec::new(),
            window_begin: now,
            sent: SmallVec::new(),
            ends: 0,
        });
        contest.refused.retain(|(refused, _)| refused != user);
        contest.refused.truncate(1);
        contest.refused.insert(0, (user.clone(), now));
        contest.ends = now + share.window_micros;
    }

    /// Forgets some of those that have calmed down.
    fn release(&mut self, now: u64) {
        for _ in 0..RELEASED_AN_ADD {
            let Some(oldest) = self.order.pop_front() else { return };
            if self.contested.get(&oldest).is_some_and(|contest| contest.ends > now) {
                self.order.push_back(oldest);
            } else {
                self.contested.remove(&oldest);
            }
        }
    }
}

impl Contest {
    fn is_wanted_by_another(&self, share: &MemberShare, user: &UserId, now: u64) -> bool {
        let is_recent = |at: u64| at + share.window_micros > now;
        self.refused.iter().any(|(refused, at)| refused != user && is_recent(*at))
    }
}

#[cfg(test)]
mod tests;
