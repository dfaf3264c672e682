//! The messages of a conversation in a range, page by page.

use super::RecoveryReader;
use crate::domain::{Conversation, Message, MessageId, Micros};
use crate::store::HistoryRange;

/// Messages per read of a repair.
pub(super) const PAGE: usize = 200;

/// Reads a range of a conversation from one end to the other.
struct Pager<'a> {
    reader: &'a RecoveryReader<'a>,
    conversation: &'a Conversation,
    /// What is not read yet; none at the end.
    rest: Option<HistoryRange>,
}

impl Pager<'_> {
    const fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }

    /// Returns the next messages, at most so many. Returns `None` if they cannot be read.
    async fn next(&mut self, messages: usize) -> Option<Vec<Message>> {
        let Some(range) = self.rest else { return Some(Vec::new()) };
        let page = self.reader.page(self.conversation, range, messages).await?;
        self.rest = page.next.map(|last| range.beyond(last));
        Some(page.messages)
    }

    /// Returns the first messages of the range, at most so many.
    async fn first(mut self, messages: usize) -> Option<Vec<Message>> {
        let mut found = Vec::new();
        while found.len() < messages && !self.is_at_end() {
            found.extend(self.next(messages - found.len()).await?);
        }
        Some(found)
    }
}

/// The newest messages of a conversation above a time, oldest first.
#[derive(Debug, Default)]
pub(in crate::recovery) struct Newest {
    pub(in crate::recovery) messages: Vec<Message>,
    /// Whether these are all messages above the time.
    pub(in crate::recovery) whole: bool,
}

impl RecoveryReader<'_> {
    fn pager<'a>(&'a self, conversation: &'a Conversation, range: HistoryRange) -> Pager<'a> {
        Pager { reader: self, conversation, rest: Some(range) }
    }

    /// Returns at most `max` messages above a time. It reads upwards from `above`, since a session
    /// seldom missed more than that, and so reads no older message. Only if there are more, it
    /// reads again, downwards from the newest.
    pub(in crate::recovery) async fn newest(
        &self,
        conversation: &Conversation,
        above: Micros,
        max: usize,
    ) -> Option<Newest> {
        // Asks for one more than fits, to see whether there are more.
        let oldest_first = self.pager(conversation, messages_above(above));
        let messages = oldest_first.first(max + 1).await?;
        if messages.len() <= max {
            return Some(Newest { messages, whole: true });
        }
        drop(messages);
        self.last_of(conversation, above, max).await
    }

    /// Returns the last `max` messages above a time, of more.
    async fn last_of(
        &self,
        conversation: &Conversation,
        above: Micros,
        max: usize,
    ) -> Option<Newest> {
        let newest_first = self.pager(conversation, HistoryRange::Before(None));
        let mut messages = newest_first.first(max).await?;
        // Some may have expired since it was found that there are more.
        messages.retain(|message| message.id.time() > above);
        messages.reverse();
        Some(Newest { messages, whole: false })
    }

    /// Calls `take` with every message of a conversation above a time, oldest first.
    pub(in crate::recovery) async fn each_above(
        &self,
        conversation: &Conversation,
        above: Micros,
        mut take: impl FnMut(&Message),
    ) -> Option<()> {
        let mut pager = self.pager(conversation, messages_above(above));
        while !pager.is_at_end() {
            pager.next(PAGE).await?.iter().for_each(&mut take);
        }
        Some(())
    }
}

const fn messages_above(time: Micros) -> HistoryRange {
    HistoryRange::After(Some(MessageId::last_of(time)))
}
