//! Ranges of a conversation's history, and the pages that they are read in.

use crate::domain::{Conversation, Message, MessageId};
use crate::protocol::MessageText;

/// Which messages to read and from which end. Bounds are exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRange {
    /// Messages below an id, or all: the newest first.
    Before(Option<MessageId>),
    /// Messages above an id, or all: the oldest first.
    After(Option<MessageId>),
}

impl HistoryRange {
    /// What is left of the range beyond the last message of a page.
    #[must_use]
    pub const fn beyond(self, last: MessageId) -> Self {
        match self {
            Self::Before(_) => Self::Before(Some(last)),
            Self::After(_) => Self::After(Some(last)),
        }
    }
}

/// Asks for a page of a conversation's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// The conversation.
    pub conversation: Conversation,
    /// Which of its messages.
    pub range: HistoryRange,
    /// The limits of the page.
    pub limit: PageLimit,
}

/// The limits of a page. A page holds one message if there is any: zero counts as one, and a
/// message larger than `bytes` comes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of their text, as [`MessageText::bytes_at_most`] counts them.
    pub bytes: usize,
}

/// Consecutive messages of one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The messages, in the order of the range.
    pub messages: Vec<Message>,
    /// The bound that the next page begins at; none if nothing is beyond this one.
    pub next: Option<MessageId>,
    /// Requests that it took, to servers where there are any. The reader is charged for them.
    pub reads: usize,
}

impl Page {
    /// Fills a page from rows in the order of the range. Takes one row more than fits, to know
    /// whether there is a next page; an error of that row is left to the next page. It counts as
    /// one read.
    pub(super) fn fill<E>(
        rows: impl Iterator<Item = Result<Message, E>>,
        limit: PageLimit,
    ) -> Result<Self, E> {
        let mut page = Self { reads: 1, ..Self::default() };
        let mut bytes = 0;
        for row in rows {
            if page.messages.len() >= limit.messages.max(1) {
                return Ok(page.continued());
            }
            let message = row?;
            bytes += MessageText::bytes_at_most(&message);
            if bytes > limit.bytes && !page.messages.is_empty() {
                return Ok(page.continued());
            }
            page.messages.push(message);
        }
        Ok(page)
    }

    fn continued(self) -> Self {
        Self { next: self.messages.last().map(|message| message.id), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Micros, UserId};

    fn message(time: u64, body: &'static str) -> Message {
        let me = UserId::parse("me").unwrap();
        Message {
            id: MessageId::first_of(Micros(time)),
            conversation: Conversation::between(&me, &me),
            from: me,
            nonce: None,
            body: body.into(),
        }
    }

    /// With room for the bytes of so many bodies, and for what surrounds so many.
    fn fill(
        bodies: &[&'static str],
        messages: usize,
        (bytes, around): (usize, usize),
    ) -> (usize, Option<u64>) {
        let bytes = bytes + around * MessageText::bytes_at_most(&message(0, ""));
        let rows = bodies.iter().enumerate().map(|(at, body)| Ok(message(at as u64, body)));
        let page = Page::fill::<()>(rows, PageLimit { messages, bytes }).unwrap();
        (page.messages.len(), page.next.map(|id| id.time().0))
    }

    #[test]
    fn a_page_ends_at_either_bound() {
        assert_eq!(fill(&["12", "34", "56"], 2, (100, 9)), (2, Some(1)));
        assert_eq!(fill(&["12", "34", "56"], 9, (5, 3)), (2, Some(1)));
        assert_eq!(fill(&["12", "34", "56"], 9, (50, 2)), (2, Some(1)), "names are text too");
        assert_eq!(fill(&["12", "34", "56"], 3, (6, 3)), (3, None), "exactly full is the end");
    }

    #[test]
    fn a_page_holds_one_message_whatever_the_bounds() {
        assert_eq!(fill(&["12345", "6"], 0, (0, 0)), (1, Some(0)));
        assert_eq!(fill(&["12345"], 1, (1, 0)), (1, None));
        assert_eq!(fill(&[], 1, (1, 1)), (0, None));
    }

    #[test]
    fn an_error_beyond_a_full_page_is_left_to_the_next() {
        let limit = PageLimit { messages: 1, bytes: 9 };
        let page = Page::fill([Ok(message(7, "1")), Err("bad")].into_iter(), limit).unwrap();
        assert_eq!((page.messages.len(), page.next), (1, Some(page.messages[0].id)));
        assert_eq!(Page::fill([Err("bad")].into_iter(), limit), Err("bad"));
    }
}
