//! What a user's conversations hold above an id: the reads that resumes, repairs and audits share.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use super::fair_queue::BudgetFull;
use super::read_budget::ReadPermit;
use super::{Pacer, ReadBudget, Router};
use crate::clock::{IDS_AHEAD_MAX, WallClock};
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, RoomId, UserId};
use crate::hub::{Hub, Session};
use crate::protocol::CloseReason;
use crate::store::{
    ACTIVITY_KEPT, Activity, Day, HistoryRange, Page, PageLimit, Pending, ReadError, Store,
};
use crate::telemetry::Metrics;

/// Days of activity that are looked through: as long as its rows are kept. No cursor is that old; a
/// node that was not told a time yet has a watermark that is.
pub(super) const ACTIVITY_DAYS: u32 = (ACTIVITY_KEPT.as_secs() / (24 * 60 * 60)) as u32;

/// Rows of a user's activity that are read of one day: beyond it something may be missing.
pub(super) const ACTIVITY_MAX: usize = 2000;

/// How far ahead of this node's time an id may lie: what one of a right node may, and twice the 5 s
/// that the proof allows a time to be off.
pub(super) const AHEAD: Duration = IDS_AHEAD_MAX.saturating_add(Duration::from_secs(10));

/// Messages in one read of a repair.
const PAGE: usize = 200;

/// How long a read that failed is waited with.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Which conversations of a user changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Those that have something above, the recently active first.
    pub(super) conversations: Vec<Conversation>,
    /// Whether these are all.
    pub(super) whole: bool,
}

/// What paces a reader.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turns<'a> {
    /// The pace of rounds or audits, which the node makes one after the other.
    Node(&'a Pacer),
    /// The budget of resumes, which users share fairly: the turns of this user.
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

/// For whom something is read. Nothing is read for those who are gone.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recipient<'a> {
    /// Whoever is there.
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

/// What to read with.
pub(super) struct RecoveryReader<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) wall: &'a WallClock,
    pub(super) metrics: &'a Metrics,
    pub(super) turns: Turns<'a>,
    /// How long one read may take.
    pub(super) bound: Duration,
    /// Bytes of a page.
    pub(super) bytes: usize,
    /// How often a read that fails is tried; each time costs [`READ_AGAIN`].
    pub(super) tries: u32,
    /// For whom it reads.
    pub(super) recipient: Recipient<'a>,
}

impl Router {
    /// A reader for a session, paced by the budget of resumes.
    pub(super) fn session_reader<'a>(
        &'a self,
        session: &'a Session,
        tries: u32,
    ) -> RecoveryReader<'a> {
        self.reader(Turns::User(&self.resumes, &session.user), tries, Recipient::Session(session))
    }

    /// A reader for all sessions of a user, paced by the budget of resumes.
    pub(super) fn user_reader<'a>(&'a self, user: &'a UserId, tries: u32) -> RecoveryReader<'a> {
        self.reader(Turns::User(&self.resumes, user), tries, Recipient::User(&self.hub, user))
    }

    /// A reader for anybody.
    pub(super) fn reader<'a>(
        &'a self,
        turns: Turns<'a>,
        tries: u32,
        recipient: Recipient<'a>,
    ) -> RecoveryReader<'a> {
        let services = &self.services;
        RecoveryReader {
            store: &*services.store,
            wall: &services.wall,
            metrics: &services.metrics,
            turns,
            bound: services.waits.store,
            bytes: services.history_bytes,
            tries,
            recipient,
        }
    }
}

impl RecoveryReader<'_> {
    /// The conversations of a user with messages above a time: direct ones, and those of the rooms
    /// that he is in, each with when he joined.
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
            let rows = self.read(|| self.store.activity(user, Day(day), ACTIVITY_MAX)).await?;
            whole &= rows.len() < ACTIVITY_MAX;
            // The last day counts: it has the newest.
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

    /// Those rooms of a user that have messages above a time which are his, the recently active
    /// first.
    pub(super) async fn changed_rooms(
        &self,
        rooms: &[(RoomId, MessageId)],
        above: Micros,
    ) -> Option<Vec<(MessageId, Conversation)>> {
        let mut changed = Vec::new();
        for (room, joined) in rooms {
            let head = self.read(|| self.store.head(room)).await?;
            let his = head.filter(|head| head.time() > above && head > joined);
            changed.extend(his.map(|head| (head, Conversation::Room(room.clone()))));
        }
        Some(changed)
    }

    /// Where a user stands with rooms.
    pub(super) async fn memberships(&self, user: &UserId, max: usize) -> Option<Vec<Membership>> {
        self.read(|| self.store.memberships(user, max)).await
    }

    /// A page of a conversation.
    pub(super) async fn page(
        &self,
        conversation: &Conversation,
        range: HistoryRange,
        messages: usize,
    ) -> Option<Page> {
        let limit = PageLimit { messages, bytes: self.bytes };
        self.read(|| self.store.history(conversation, range, limit)).await
    }

    /// Waits for a turn, then calls `issue`, and again as often as [`RecoveryReader::tries`] says. Returns
    /// none if all failed or the recipient is gone.
    pub(super) async fn read<T>(
        &self,
        issue: impl Fn() -> Pending<Result<T, ReadError>>,
    ) -> Option<T> {
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

    async fn attempt<T>(&self, issue: impl Fn() -> Pending<Result<T, ReadError>>) -> Option<T> {
        self.metrics.proof_reads.inc();
        match tokio::time::timeout(self.bound, issue()).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%error, "a read is tried again"),
            Err(_elapsed) => {}
        }
        None
    }

    /// Too many reads wait. Closes the session that this is for, so that the client comes back
    /// later, and returns none; other reads are tried again.
    fn refused(&self, full: BudgetFull) -> Option<()> {
        tracing::debug!(%full, "a read for a user is refused");
        let Recipient::Session(session) = self.recipient else { return Some(()) };
        if session.link().is_open() {
            self.metrics.closes(CloseReason::Overloaded.code());
            session.close(CloseReason::Overloaded);
        }
        None
    }
}

/// The newest messages of a conversation above a time, oldest first.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) messages: Vec<Message>,
    /// Whether these are all that lie above.
    pub(super) whole: bool,
}

impl RecoveryReader<'_> {
    /// At most `max` messages. It reads upwards from `above`, since what was missed is seldom more
    /// than that, and so touches nothing that was there before; only where there are more it reads
    /// again, downwards from the newest.
    pub(super) async fn newest(
        &self,
        conversation: &Conversation,
        above: Micros,
        max: usize,
    ) -> Option<Newest> {
        let mut messages = Vec::new();
        let mut after = MessageId::last_of(above);
        loop {
            // One more than fits tells whether there are more.
            let wanted = max + 1 - messages.len();
            let page = self.page(conversation, HistoryRange::After(Some(after)), wanted).await?;
            messages.extend(page.messages);
            if messages.len() > max {
                drop(messages);
                return self.last_of(conversation, above, max).await;
            }
            match page.next {
                Some(next) => after = next,
                None => return Some(Newest { messages, whole: true }),
            }
        }
    }

    /// The last `max` messages above a time, of more.
    async fn last_of(
        &self,
        conversation: &Conversation,
        above: Micros,
        max: usize,
    ) -> Option<Newest> {
        let mut messages = Vec::new();
        let mut before: Option<MessageId> = None;
        while messages.len() < max {
            let wanted = max - messages.len();
            let page = self.page(conversation, HistoryRange::Before(before), wanted).await?;
            messages.extend(page.messages);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        // Some may have expired since it was found that there are more.
        messages.retain(|message| message.id.time() > above);
        messages.reverse();
        Some(Newest { messages, whole: false })
    }

    /// Calls `take` with every message of a conversation above a time, oldest first.
    pub(super) async fn each_above(
        &self,
        conversation: &Conversation,
        above: Micros,
        mut take: impl FnMut(&Message),
    ) -> Option<()> {
        let mut after = MessageId::last_of(above);
        loop {
            let page = self.page(conversation, HistoryRange::After(Some(after)), PAGE).await?;
            page.messages.iter().for_each(&mut take);
            match page.next {
                Some(next) => after = next,
                None => return Some(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
