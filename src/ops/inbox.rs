//! `inbox`: a user's conversations, the recently active first, then the dormant by name.

use std::rc::Rc;

use ahash::AHashMap;

use super::Router;
use super::bounded_concurrency::at_once;
use super::inbox_order::{DIRECTS_MAX, InboxLine, InboxOrder};
use super::inbox_place::InboxCursor;
use super::start::Start;
use crate::domain::{Conversation, Membership, MessageId, Room, RoomId, UserId};
use crate::hub::Session;
use crate::protocol::{
    ErrorReply, INBOX_LIMIT_MAX, InboxItem, InboxRequest, MessageText, RequestId, ServerFrame,
    stored_json,
};
use crate::recovery::{ACTIVITY_DAYS, ACTIVITY_MAX, AHEAD};
use crate::send::MEMBERSHIPS_MAX;
use crate::services::{Services, hidden_upto, within};
use crate::store::{
    ActivityQuery, Day, DirectsQuery, HistoryQuery, HistoryRange, MembershipsQuery, PageLimit,
    Participant,
};

/// Reads per conversation that is shown: its newest message, its read mark, and a third. The third
/// is the row of a room, or the list of windows in which a message is found.
const ENTRY_READS: usize = 3;

/// One conversation of an inbox.
#[derive(Debug)]
pub struct InboxEntry {
    /// The conversation.
    pub conversation: Conversation,
    /// The raw id of the other user; a room has none.
    pub peer: Option<Box<str>>,
    /// The room's title; a direct conversation has none.
    pub title: Option<Box<str>>,
    /// The room's data, as JSON; a direct conversation has none.
    pub data: Option<Box<str>>,
    /// The newest message that the user is shown.
    pub last: Option<MessageText>,
    /// Up to which message the user has read it.
    pub read: Option<MessageId>,
}

/// A page of an inbox.
#[derive(Debug)]
pub struct InboxPage {
    /// The recently active first. A room without messages counts as active when the user joined.
    /// Direct conversations that were not active within [`ACTIVITY_KEPT`](crate::store::ACTIVITY_KEPT)
    /// come last, by name.
    pub entries: Vec<InboxEntry>,
    /// The token of the next page; `None` at the end. A page may have fewer entries than its limit,
    /// or none, and still have a next page.
    pub next: Option<String>,
}

/// The rooms that a user is in.
type Rooms = AHashMap<RoomId, Membership>;

impl Router {
    /// Reads a page, and answers once the store has answered.
    pub(super) fn inbox(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        inbox: &InboxRequest<'_>,
        start: Start,
    ) {
        let (next, limit) = (inbox.page.as_deref().map(str::to_owned), inbox.limit);
        let (router, session) = (Rc::clone(self), Rc::clone(session));
        tokio::task::spawn_local(async move {
            let read = Rc::clone(&router).read_inbox(session.user.clone(), next, limit).await;
            match read {
                Ok(page) => router.reply_inbox(&session, id.as_ref(), &page),
                Err(refusal) => {
                    router.sessions.refuse(&session, id.as_ref(), &refusal.of_op("inbox"));
                }
            }
            drop(start);
        });
    }

    /// Reads a page of a user's inbox: 1 to 100 conversations, fewer if their last messages fill
    /// the bytes of a page. `next` is the token of an earlier page.
    pub async fn inbox_for(
        self: Rc<Self>,
        user: UserId,
        next: Option<String>,
        limit: usize,
    ) -> Result<InboxPage, ErrorReply> {
        self.limiter.read(&user).map_err(|refused| refused.refusal())?;
        self.read_inbox(user, next, limit).await
    }

    /// Reads a page. The user was charged its first read.
    async fn read_inbox(
        self: Rc<Self>,
        user: UserId,
        next: Option<String>,
        limit: usize,
    ) -> Result<InboxPage, ErrorReply> {
        let limit = limit.clamp(1, INBOX_LIMIT_MAX);
        let behind = next.map(|token| InboxCursor::read(&token, &user)).transpose()?;
        let services = &self.services;
        let reader = InboxReader(services);
        let _permit = self.limiter.page_permit(&user).await;
        let rooms = Rc::new(reader.rooms(&user).await?);
        self.limiter.read_on(&user).map_err(|refused| refused.refusal())?;
        self.limiter.owe_reads(&user, rooms.len());
        let mut order = InboxOrder::new(behind, limit);
        order.rooms(reader.active_rooms(&rooms).await?);
        let reads = reader.add_direct(&user, &mut order).await?;
        let InboxLine { places, next } = order.line();
        let shown: Vec<Conversation> =
            places.iter().map(|place| place.conversation.clone()).collect();
        self.limiter.owe_reads(&user, reads + ENTRY_READS * shown.len());
        let entries = at_once(shown, |conversation| {
            let (router, rooms, user) = (Rc::clone(&self), Rc::clone(&rooms), user.clone());
            async move { InboxReader(&router.services).entry(&user, &rooms, conversation).await }
        });
        let entries = entries.await?;
        let fits = fitting(&entries, services.config.limits.history_bytes);
        let next = if fits < entries.len() { places.get(fits - 1) } else { next.as_ref() };
        let next = next.map(InboxCursor::token);
        let mut entries = kept(entries.into_iter().zip(places).take(fits));
        entries.retain_mut(|entry| self.still_shows(entry, &rooms));
        Ok(InboxPage { entries, next })
    }

    /// Checks again, in the step that answers, whether an entry and its last message may still be
    /// shown. A user who was removed meanwhile is not shown the room after its `left`. A user who
    /// has rejoined is not shown the messages in between.
    fn still_shows(&self, entry: &mut InboxEntry, rooms: &Rooms) -> bool {
        let Conversation::Room(room) = &entry.conversation else { return true };
        let Some(seen) = rooms.get(room) else { return true };
        let Ok(joined) = self.sessions.still_inside(seen) else { return false };
        entry.last.take_if(|_| joined > seen.joined());
        true
    }

    fn reply_inbox(&self, session: &Rc<Session>, id: Option<&RequestId>, page: &InboxPage) {
        let conversations: Vec<InboxItem<'_>> = page.entries.iter().map(InboxEntry::item).collect();
        let next = page.next.as_deref();
        self.sessions
            .reply(session, &ServerFrame::Inbox { id, conversations: &conversations, next });
    }
}

impl InboxEntry {
    /// Returns the entry as clients see it.
    pub fn item(&self) -> InboxItem<'_> {
        InboxItem {
            conversation: self.conversation.to_string(),
            kind: self.conversation.kind(),
            peer: self.peer.as_deref(),
            title: self.title.as_deref(),
            data: self.data.as_deref().and_then(stored_json),
            last: self.last.as_ref().map(MessageText::as_raw),
            read_upto: self.read.map(|id| id.to_string()),
        }
    }
}

/// Returns the entries without dormant conversations whose messages have all expired.
fn kept(entries: impl Iterator<Item = (InboxEntry, InboxCursor)>) -> Vec<InboxEntry> {
    let kept = entries.filter(|(entry, place)| entry.last.is_some() || !place.is_dormant());
    kept.map(|(entry, _)| entry).collect()
}

/// Returns how many entries fit into `bytes` of text, at least one.
fn fitting(entries: &[InboxEntry], bytes: usize) -> usize {
    let mut left = bytes;
    let fits = entries.iter().take_while(|entry| {
        let bytes = entry.item().bytes();
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    });
    fits.count().max(1)
}

/// The reads of an inbox.
struct InboxReader<'a>(&'a Services);

impl InboxReader<'_> {
    async fn rooms(&self, user: &UserId) -> Result<Rooms, ErrorReply> {
        let query = MembershipsQuery { user: user.clone(), limit: MEMBERSHIPS_MAX };
        let rows = self.0.answer(self.0.store.memberships(query)).await?;
        let inside = rows.into_iter().filter(Membership::is_inside);
        Ok(inside.map(|membership| (membership.room.clone(), membership)).collect())
    }

    /// Returns when rooms were last active: at their newest message, or when the user joined.
    async fn active_rooms(&self, rooms: &Rooms) -> Result<Vec<InboxCursor>, ErrorReply> {
        let heads = rooms.values().map(|member| (member.room.clone(), member.joined()));
        let read = |(room, joined): (RoomId, MessageId)| {
            let head = self.0.store.head(room.clone());
            let bound = self.0.config.timeouts.store;
            async move {
                let head = within(bound, head).await?;
                let active = head.map_or(joined, |head| head.max(joined));
                Ok(InboxCursor::new(active.time(), Conversation::Room(room)))
            }
        };
        at_once(heads.collect(), read).await
    }

    /// Adds direct conversations, day by day backwards, until the page is certain, and then the
    /// dormant ones. Returns how many reads it took.
    async fn add_direct(&self, user: &UserId, order: &mut InboxOrder) -> Result<usize, ErrorReply> {
        let last = Day::of(self.0.clocks.wall.now() + AHEAD).0;
        let mut reads = 0;
        for day in (last.saturating_sub(ACTIVITY_DAYS)..=last).rev().map(Day) {
            let query = ActivityQuery { user: user.clone(), day, limit: ACTIVITY_MAX };
            let rows = self.0.answer(self.0.store.activity(query)).await?;
            reads += 1;
            if order.day(day, rows) {
                break;
            }
        }
        if !order.is_full() {
            let (user, after) = (user.clone(), order.behind_dormant().cloned());
            let query = DirectsQuery { user, after, limit: DIRECTS_MAX };
            let rows = self.0.answer(self.0.store.directs(query)).await?;
            reads += 1;
            order.directs(rows, DIRECTS_MAX);
        }
        Ok(reads)
    }

    async fn entry(
        &self,
        user: &UserId,
        rooms: &Rooms,
        conversation: Conversation,
    ) -> Result<InboxEntry, ErrorReply> {
        let (room, hidden) = match &conversation {
            Conversation::Room(room) => self.room_shown(room, rooms.get(room)).await?,
            Conversation::Dm(..) => (None, None),
        };
        let (title, data) = room.map_or((None, None), |room| (room.title, room.data));
        let query = HistoryQuery {
            conversation: conversation.clone(),
            range: HistoryRange::Before(None),
            limit: PageLimit { messages: 1, bytes: self.0.config.limits.history_bytes },
        };
        let newest = self.0.answer(self.0.store.history(query)).await?.messages.pop();
        let last = newest.filter(|newest| Some(newest.id) > hidden);
        if let Some(last) = &last {
            self.0.clocks.observe(last.id.time());
        }
        let participant = Participant { user: user.clone(), conversation: conversation.clone() };
        let read = self.0.answer(self.0.store.read_mark(participant)).await?;
        let peer = conversation.peer_of(user).map(|peer| peer.raw_text().into());
        let key = &self.0.identity.dedup_key;
        let last = last.as_ref().map(|message| MessageText::new(message, key));
        Ok(InboxEntry { conversation, peer, title, data, last, read })
    }

    /// Returns a room, and up to which id its history is hidden from a member.
    async fn room_shown(
        &self,
        room: &RoomId,
        membership: Option<&Membership>,
    ) -> Result<(Option<Room>, Option<MessageId>), ErrorReply> {
        let row = self.0.answer(self.0.store.room(room.clone())).await?;
        let hidden =
            row.as_ref().zip(membership).and_then(|(row, member)| hidden_upto(row, member));
        Ok((row, hidden))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Message, Micros};
    use crate::protocol::DedupKey;

    fn entry(bytes: usize) -> InboxEntry {
        let me = UserId::parse("me").unwrap();
        let conversation = Conversation::between(&me, &me);
        let message = |body: String| Message {
            id: MessageId::first_of(Micros(1)),
            conversation: conversation.clone(),
            from: me.clone(),
            nonce: None,
            body: body.into(),
        };
        let entry = |body: String| InboxEntry {
            conversation: conversation.clone(),
            peer: None,
            title: None,
            data: None,
            last: Some(MessageText::new(&message(body), &DedupKey::of_store(&[7; 32]))),
            read: None,
        };
        let empty = entry("\"\"".into()).item().bytes();
        entry(format!("\"{}\"", "x".repeat(bytes - empty)))
    }

    #[test]
    fn a_page_ends_at_its_bytes_and_holds_one() {
        let entries = [entry(400), entry(400), entry(400)];
        assert_eq!([0, 399, 400, 799, 800, 1200].map(|b| fitting(&entries, b)), [1, 1, 1, 1, 2, 3]);
    }

    #[test]
    fn a_dormant_conversation_without_messages_is_left_out() {
        let expired = || InboxEntry { last: None, ..entry(400) };
        let conversation = || entry(400).conversation;
        let (active, dormant) =
            (InboxCursor::new(Micros(1), conversation()), InboxCursor::dormant(conversation()));
        let shown = |entry, place: &InboxCursor| kept([(entry, place.clone())].into_iter()).len();
        assert_eq!([shown(expired(), &active), shown(expired(), &dormant)], [1, 0]);
        assert_eq!([shown(entry(400), &active), shown(entry(400), &dormant)], [1, 1]);
    }

    #[test]
    fn what_stands_around_a_message_counts_too() {
        let titled = || InboxEntry { title: Some("t".repeat(99).into()), ..entry(400) };
        assert!(titled().item().bytes() > 490);
        assert_eq!(fitting(&[titled(), titled()], 900), 1);
    }
}
