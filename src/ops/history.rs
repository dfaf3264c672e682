//! `history`: a page of a conversation.

use std::rc::Rc;

use ahash::{AHashMap, AHashSet};
use serde_json::value::RawValue;

use super::Router;
use super::start::Start;
use crate::domain::{Conversation, Message, MessageId, SendContent, UserId};
use crate::hub::Session;
use crate::protocol::{ErrorReply, History, HistorySide, MessageText, RequestId, ServerFrame};
use crate::services::Visibility;
use crate::store::{HistoryQuery, HistoryRange, Page, PageLimit};

impl Router {
    /// Reads a page, and answers once the store has answered.
    pub(super) fn history(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        history: &History<'_>,
        start: Start,
    ) -> Result<(), ErrorReply> {
        let conversation = self.sessions.conversation_of(session, &history.conversation)?;
        let (side, limit) = (history.side, history.limit);
        let (router, session) = (Rc::clone(self), Rc::clone(session));
        tokio::task::spawn_local(async move {
            let read = router.read_page(Some(&session.user), &conversation, side, limit).await;
            match read {
                Ok(page) => router.reply_page(&session, id.as_ref(), &conversation, (side, &page)),
                Err(refusal) => {
                    router.sessions.refuse(&session, id.as_ref(), &refusal.of_op("history"));
                }
            }
            drop(start);
        });
        Ok(())
    }

    /// Reads a page of a conversation: at most `limit` messages, and at most the bytes of a page.
    /// It is for a user who is in the conversation, or for a service if `caller_user` is `None`.
    pub async fn history_for(
        self: Rc<Self>,
        caller_user: Option<UserId>,
        conversation: Conversation,
        side: HistorySide,
        limit: usize,
    ) -> Result<Page, ErrorReply> {
        if let Some(user) = &caller_user {
            self.limiter.read(user).map_err(|refused| refused.refusal())?;
        }
        self.read_page(caller_user.as_ref(), &conversation, side, limit).await
    }

    /// Reads a page. The user was charged its first read.
    async fn read_page(
        &self,
        user: Option<&UserId>,
        conversation: &Conversation,
        side: HistorySide,
        limit: usize,
    ) -> Result<Page, ErrorReply> {
        let services = &self.services;
        let _permit = match user {
            Some(user) => Some(self.limiter.page_permit(user).await),
            None => None,
        };
        let visibility = match user {
            Some(user) => services.visibility(user, conversation).await?,
            None => Visibility::default(),
        };
        let limit = PageLimit { messages: limit, bytes: services.config.limits.history_bytes };
        let range = range(side, visibility.hidden);
        let query = HistoryQuery { conversation: conversation.clone(), range, limit };
        let page = services.answer(services.store.history(query)).await?;
        if let Some(user) = user {
            self.limiter
                .owe_reads(user, page.reads.saturating_sub(1) + reads_of_place(conversation));
        }
        let page = shown(page, self.sessions.still_hidden(&visibility)?);
        if let Some(newest) = page.messages.iter().map(|message| message.id.time()).max() {
            services.clocks.observe(newest);
        }
        Ok(Page { messages: collapse(page.messages), ..page })
    }

    fn reply_page(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        conversation: &Conversation,
        (side, page): (HistorySide, &Page),
    ) {
        let key = &self.services.identity.dedup_key;
        let texts: Vec<MessageText> =
            page.messages.iter().map(|message| MessageText::new(message, key)).collect();
        let messages: Vec<&RawValue> = texts.iter().map(MessageText::as_raw).collect();
        let frame = ServerFrame::History {
            id,
            conversation: &conversation.to_string(),
            messages: &messages,
            next: page.next.map(|next| side.page(next)),
        };
        self.sessions.reply(session, &frame);
    }
}

/// Returns how many reads it takes to find what a member is shown of a conversation: the membership
/// and the room's row.
const fn reads_of_place(conversation: &Conversation) -> usize {
    match conversation {
        Conversation::Dm(..) => 0,
        Conversation::Room(_) => 2,
    }
}

/// Returns what to read for a user from whom everything up to an id is hidden.
fn range(side: HistorySide, hidden: Option<MessageId>) -> HistoryRange {
    match side {
        HistorySide::Before(before) => HistoryRange::Before(before),
        HistorySide::After(after) => HistoryRange::After(Some(after).max(hidden)),
    }
}

/// Removes the hidden messages from a page. They are the oldest, so the conversation ends where a
/// backward page meets one of them.
fn shown(mut page: Page, hidden: Option<MessageId>) -> Page {
    let read = page.messages.len();
    page.messages.retain(|message| Some(message.id) > hidden);
    if page.messages.len() < read {
        page.next = None;
    }
    page
}

/// Keeps one message of those that one send became: the one with the largest id, in its place. A
/// send may have become several if several nodes received it, or if its outcome was unknown. They
/// share conversation, sender, nonce and body; a nonce with another body is another message.
///
/// A page may become shorter by that, but never empty: one message of each send stays. Its `next`
/// is that of all that was read, so nothing is read twice. Copies of one send on two pages are left
/// to the client, which has both pages.
pub(crate) fn collapse(messages: Vec<Message>) -> Vec<Message> {
    if !repeats_a_nonce(&messages) {
        return messages;
    }
    let send = |message: &Message| {
        let nonce = message.nonce.clone()?;
        let content = SendContent::of(&message.conversation, &message.body).0;
        Some((message.from.clone(), nonce, content))
    };
    let sends: Vec<_> = messages.iter().map(send).collect();
    let mut largest = AHashMap::new();
    for (message, send) in messages.iter().zip(&sends) {
        if let Some(send) = send {
            let id = largest.entry(send).or_insert(message.id);
            *id = message.id.max(*id);
        }
    }
    let stays = sends.iter().zip(&messages).map(|(send, message)| {
        send.as_ref().is_none_or(|send| largest.get(send) == Some(&message.id))
    });
    let stays: Vec<bool> = stays.collect();
    messages
        .into_iter()
        .zip(stays)
        .filter_map(|(message, stays)| stays.then_some(message))
        .collect()
}

/// Returns whether a sender used one nonce twice. On most pages none did, and then no body is
/// compared.
fn repeats_a_nonce(messages: &[Message]) -> bool {
    let mut seen = AHashSet::new();
    let mut named = messages.iter().filter_map(|it| Some((&it.from, it.nonce.as_deref()?)));
    named.any(|name| !seen.insert(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::Micros;

    fn id(time: u64) -> MessageId {
        MessageId::first_of(Micros(time))
    }

    fn message(time: u64, from: bool, nonce: Option<u8>) -> Message {
        let [alice, bob] = ["alice", "bob"].map(|user| UserId::parse(user).unwrap());
        Message {
            id: id(time),
            conversation: Conversation::between(&alice, &bob),
            from: if from { alice } else { bob },
            nonce: nonce.map(|nonce| nonce.to_string().into()),
            body: "1".into(),
        }
    }

    fn page(times: &[u64], next: Option<u64>) -> Page {
        let messages = times.iter().map(|time| message(*time, true, None)).collect();
        Page { messages, next: next.map(id), reads: 1 }
    }

    #[test]
    fn what_is_hidden_ends_a_conversation() {
        assert_eq!(shown(page(&[9, 8], Some(8)), Some(id(7))), page(&[9, 8], Some(8)));
        assert_eq!(shown(page(&[9, 7], Some(7)), Some(id(7))), page(&[9], None));
        assert_eq!(shown(page(&[5, 4], Some(4)), Some(id(7))), page(&[], None));
        assert_eq!(shown(page(&[5, 4], Some(4)), None), page(&[5, 4], Some(4)));
    }

    #[test]
    fn nothing_hidden_is_asked_for_going_forwards() {
        let after =
            |after: u64, hidden: Option<u64>| range(HistorySide::After(id(after)), hidden.map(id));
        assert_eq!(after(5, Some(7)), HistoryRange::After(Some(id(7))));
        assert_eq!(after(9, Some(7)), HistoryRange::After(Some(id(9))));
        assert_eq!(after(5, None), HistoryRange::After(Some(id(5))));
        assert_eq!(range(HistorySide::Before(None), Some(id(7))), HistoryRange::Before(None));
    }

    #[test]
    fn one_send_is_one_message() {
        let messages =
            [(9, true, Some(1)), (8, false, Some(1)), (7, true, None), (6, true, Some(1))];
        let messages = messages.map(|(time, from, nonce)| message(time, from, nonce)).to_vec();
        let times: Vec<u64> = collapse(messages).iter().map(|m| m.id.time().0).collect();
        assert_eq!(times, [9, 8, 7], "another sender's nonce is another send");
        let mut other = message(5, true, Some(1));
        other.body = "2".into();
        let both = vec![message(6, true, Some(1)), other];
        assert_eq!(collapse(both.clone()), both, "another body is another message");
    }

    proptest! {
        #[test]
        fn of_each_send_the_largest_id_stays_in_its_place(
            given in prop::collection::vec((any::<bool>(), prop::option::of(0..4_u8)), 0..30),
            backwards: bool,
        ) {
            let mut messages: Vec<Message> = given
                .iter()
                .enumerate()
                .map(|(time, (from, nonce))| message(time as u64, *from, *nonce))
                .collect();
            let mut kept = BTreeMap::new();
            for (time, (from, nonce)) in given.iter().enumerate() {
                let send = nonce.map_or((time, false, None), |nonce| (0, *from, Some(nonce)));
                kept.insert(send, id(time as u64));
            }
            let mut expected: Vec<MessageId> = kept.into_values().collect();
            expected.sort_unstable();
            if backwards {
                messages.reverse();
                expected.reverse();
            }
            let empty = messages.is_empty();
            let left: Vec<MessageId> = collapse(messages).iter().map(|m| m.id).collect();
            prop_assert_eq!(left.is_empty(), empty, "a page is not empty before the end");
            prop_assert_eq!(left, expected);
        }
    }
}
