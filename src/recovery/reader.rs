//! Reads what a user's conversations hold above an id; resumes, repairs and audits share it.

mod pager;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use super::fair_queue::BudgetFull;
use super::read_budget::ReadPermit;
use super::{Pacer, ReadBudget, Recovery};
use crate::clock::{IDS_AHEAD_MAX, WallClock};
use crate::domain::{Conversation, Membership, MessageId, Micros, RoomId, UserId};
use crate::hub::{Hub, Session};
use crate::protocol::CloseReason;
use crate::store::{
    ACTIVITY_KEPT, Activity, ActivityQuery, Day, HistoryQuery, HistoryRange, MembershipsQuery,
    Page, PageLimit, PendingRead, Store,
};
use crate::telemetry::Metrics;

/// Days of activity that are looked through: as long as its rows are kept. No cursor is that old;
/// the watermark of a node that has no verified time yet may be.
pub const ACTIVITY_DAYS: u32 = (ACTIVITY_KEPT.as_secs() / (24 * 60 * 60)) as u32;

/// Rows of a user's activity that are read per day. A full read may miss some.
pub const ACTIVITY_MAX: usize = 2000;

/// How far ahead of this node's time an id may be. It is the lead that the ids of a correct node
/// may have, and twice the 5 s that the watermark allows a clock to be off.
pub const AHEAD: Duration = IDS_AHEAD_MAX.saturating_add(Duration::from_secs(10));

/// How long to wait before a failed read is tried again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// The conversations of a user that changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Those that have messages above the time, the recently active first.
    pub(super) conversations: Vec<Conversation>,
    /// Whether the list is complete.
    pub(super) whole: bool,
}

/// What limits the rate of a reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turns<'a> {
    /// The pace of rounds or audits, which the node runs one after the other.
    Node(&'a Pacer),
    /// The budget of resumes, which users share fairly; the turns are this user's.
    User(&'a Rc<ReadBudget>, &'a UserId),
}

impl Turns<'_> {
    /// Waits until a read may begin. Only a user's read needs a permit.
    async fn next(&self) -> Result<Option<ReadPermit>, BudgetFull> {
        match self {
            Self::Node(pacer) => {
                pacer.turn().await;
                Ok(None)
            }
            Self::User(budget, user) => budget.turn(user).await.map(Some),
        }
    }
}

/// For whom a reader reads. It stops reading once its recipient is gone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recipient<'a> {
    /// For no session in particular; such a read goes on.
    Anybody,
    /// One session.
    Session(&'a Session),
    /// All sessions of a user.
    User(&'a RefCell<Hub>, &'a UserId),
}

impl Recipient<'_> {
    fn is_gone(&self) -> bool {
        match self {
            Self::Anybody => false,
            Self::Session(session) => !session.link().is_open(),
            Self::User(hub, user) => hub.borrow().user_rooms(user).is_none(),
        }
    }
}

/// The reads of recovery, with their pace and their bounds.
pub(super) struct RecoveryReader<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) wall: &'a WallClock,
    pub(super) metrics: &'a Metrics,
    pub(super) turns: Turns<'a>,
    /// How long one read may take.
    pub(super) bound: Duration,
    /// Bytes per page.
    pub(super) bytes: usize,
    /// How often a failing read is tried; each try costs [`READ_AGAIN`].
    pub(super) tries: u32,
    /// For whom it reads.
    pub(super) recipient: Recipient<'a>,
}

impl Recovery {
    /// Returns a reader for a session, paced by the budget of resumes.
    pub(super) fn session_reader<'a>(
        &'a self,
        session: &'a Session,
        tries: u32,
    ) -> RecoveryReader<'a> {
        self.reader(Turns::User(&self.resumes, &session.user), tries, Recipient::Session(session))
    }

    /// Returns a reader for all sessions of a user, paced by the budget of resumes.
    pub(super) fn user_reader<'a>(&'a self, user: &'a UserId, tries: u32) -> RecoveryReader<'a> {
        self.reader(
            Turns::User(&self.resumes, user),
            tries,
            Recipient::User(&self.sessions.hub, user),
        )
    }

    /// Returns a reader with its pace, its tries and its recipient.
    pub(super) fn reader<'a>(
        &'a self,
        turns: Turns<'a>,
        tries: u32,
        recipient: Recipient<'a>,
    ) -> RecoveryReader<'a> {
        let services = &self.services;
        RecoveryReader {
            store: &*services.store,
            wall: &services.clocks.wall,
            metrics: &services.metrics,
            turns,
            bound: services.config.timeouts.store,
            bytes: services.config.limits.history_bytes,
            tries,
            recipient,
        }
    }
}

impl RecoveryReader<'_> {
    /// Returns the conversations of a user with messages above a time: direct ones, and some of
    /// `rooms`. Each of `rooms` comes with the stamp of the user's joining.
    pub(super) async fn changed(
        &self,
        user: &UserId,
        rooms: &[(RoomId, MessageId)],
        above: Micros,
    ) -> Option<Changed> {
        let last = Day::of(self.wall.now() + AHEAD);
        let mut newest: Vec<Activity> = Vec::new();
        let mut whole = true;
        let first = Day::of(above).0.max(last.0.saturating_sub(ACTIVITY_DAYS));
        for day in first..=last.0 {
            let query = || ActivityQuery { user: user.clone(), day: Day(day), limit: ACTIVITY_MAX };
            let rows = self.read(|| self.store.activity(query())).await?;
            whole &= rows.len() < ACTIVITY_MAX;
            // The last day counts: it has the newest activity.
            newest.retain(|known| rows.iter().all(|row| row.conversation != known.conversation));
            newest.extend(rows.into_iter().filter(|row| row.last.time() > above));
        }
        let direct = newest.into_iter().map(|activity| (activity.last, activity.conversation));
        let mut changed = self.changed_rooms(rooms, above).await?;
        changed.extend(direct);
        changed.sort_by_key(|(last, _)| Reverse(*last));
        let conversations = changed.into_iter().map(|(_, conversation)| conversation).collect();
        Some(Changed { conversations, whole })
    }

    /// Returns the rooms with a message above both the time and the user's joining, in the order of
    /// `rooms`, each with its newest id.
    pub(super) async fn changed_rooms(
        &self,
        rooms: &[(RoomId, MessageId)],
        above: Micros,
    ) -> Option<Vec<(MessageId, Conversation)>> {
        let mut changed = Vec::new();
        for (room, joined) in rooms {
            let head = self.read(|| self.store.head(room.clone())).await?;
            let owed = head.filter(|head| head.time() > above && head > joined);
            changed.extend(owed.map(|head| (head, Conversation::Room(room.clone()))));
        }
        Some(changed)
    }

    /// Returns at most `max` memberships of a user.
    pub(super) async fn memberships(&self, user: &UserId, max: usize) -> Option<Vec<Membership>> {
        let query = || MembershipsQuery { user: user.clone(), limit: max };
        self.read(|| self.store.memberships(query())).await
    }

    /// Returns a page of a conversation.
    pub(super) async fn page(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        messages: usize,
    ) -> Option<Page> {
        let limit = PageLimit { messages, bytes: self.bytes };
        let query = || HistoryQuery { conversation: conversation.clone(), range, limit };
        self.read(|| self.store.history(query())).await
    }

    /// Waits for a turn, then calls `issue`, up to [`RecoveryReader::tries`] times. Returns `None`
    /// if all tries failed or the recipient is gone.
    pub(super) async fn read<T>(&self, issue: impl Fn() -> PendingRead<T>) -> Option<T> {
        for _ in 0..self.tries {
            match self.turns.next().await {
                // Dropping the permit gives the turn to another read.
                Ok(_) if self.recipient.is_gone() => return None,
                Ok(permit) => {
                    permit.into_iter().for_each(ReadPermit::spend);
                    if let Some(answer) = self.attempt(&issue).await {
                        return Some(answer);
                    }
                }
                Err(full) => self.refused(full)?,
            }
            tokio::time::sleep(READ_AGAIN).await;
        }
        None
    }

    async fn attempt<T>(&self, issue: impl Fn() -> PendingRead<T>) -> Option<T> {
        self.metrics.recovery.reads.inc();
        match tokio::time::timeout(self.bound, issue()).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%error, "a read failed and is tried again"),
            Err(_elapsed) => {}
        }
        None
    }

    /// Handles a full budget. Closes the session that the read is for, so that its client
    /// reconnects later, and returns `None`. Reads for other recipients are tried again.
    fn refused(&self, full: BudgetFull) -> Option<()> {
        tracing::debug!(%full, "too many reads wait for the store; a read for a user is refused");
        let Recipient::Session(session) = self.recipient else { return Some(()) };
        if session.link().is_open() {
            self.metrics.sessions.closes(CloseReason::Overloaded.code());
            session.close(CloseReason::Overloaded);
        }
        None
    }
}

#[cfg(test)]
mod tests;
