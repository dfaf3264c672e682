//! `history`: a page of a conversation.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::Router;
use crate::domain::Conversation;
use crate::hub::Session;
use crate::protocol::{Code, History, MessageText, Refusal, RequestId, ServerFrame, Side};
use crate::store::{HistoryRange, Page, PageLimit};

impl Router {
    /// Reads a page and answers when the store has.
    pub(super) fn history(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        history: &History<'_>,
    ) -> Result<(), Refusal> {
        let conversation = self
            .member_of(session, &history.conversation)
            .map_err(|refusal| refusal.of_op("history"))?;
        if !session.begin_read() {
            let max = session.bounds().reads_in_flight;
            let message = format!("history: {max} reads are unanswered, no more are allowed");
            return Err(Refusal::new(Code::LimitReached, message));
        }
        let range = match history.side {
            Side::Before(before) => HistoryRange::Before(before),
            Side::After(after) => HistoryRange::After(Some(after)),
        };
        let limit = PageLimit { messages: history.limit, bytes: self.services.history_bytes };
        let page = Rc::clone(self).page(Rc::clone(session), id, conversation, range, limit);
        tokio::task::spawn_local(page);
        Ok(())
    }

    async fn page(
        self: Rc<Self>,
        session: Rc<Session>,
        id: Option<RequestId>,
        conversation: Conversation,
        range: HistoryRange,
        limit: PageLimit,
    ) {
        let bound = self.services.waits.store;
        let read = self.services.store.history(&conversation, range, limit);
        let read = tokio::time::timeout(bound, read).await;
        session.end_read();
        match read {
            Ok(Ok(page)) => self.reply_page(&session, id.as_ref(), &conversation, &page),
            Ok(Err(error)) => {
                let refusal = Refusal::new(Code::Unavailable, format!("history: {error}"));
                self.refuse(&session, id.as_ref(), &refusal);
            }
            Err(_elapsed) => {
                let message = format!("history: the store did not answer within {bound:?}");
                self.refuse(&session, id.as_ref(), &Refusal::new(Code::Unavailable, message));
            }
        }
    }

    fn reply_page(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        conversation: &Conversation,
        page: &Page,
    ) {
        if let Some(newest) = page.messages.iter().map(|message| message.id.time()).max() {
            self.services.observe(newest);
        }
        let texts: Vec<MessageText> = page.messages.iter().map(MessageText::new).collect();
        let messages: Vec<&RawValue> = texts.iter().map(MessageText::as_raw).collect();
        let frame = ServerFrame::History {
            id,
            conversation: &conversation.to_string(),
            messages: &messages,
            next: page.next.map(|next| next.to_string()),
        };
        self.reply(session, &frame);
    }
}
