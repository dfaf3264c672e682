//! Random conversations and ranges, against a sorted `Vec`.

use std::ops::Range;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::queries::page_of;
use super::{
    Arc, Conversation, HistoryRange, Message, MessageId, PageLimit, START, Store, fresh_dm,
    fresh_room, message, store_all,
};
use crate::domain::Micros;
use crate::protocol::MessageText;

const CASES: usize = 48;
const CONVERSATIONS: Range<usize> = 0..3;
const THREE_DAYS: Range<u64> = 0..3 * 86_400_000_000;

/// A message to be: its conversation, its time after the start, the bytes of its body.
type Sent = (usize, u64, usize);

#[derive(Debug, Clone)]
struct Query {
    conversation: usize,
    newest_first: bool,
    bound: Option<Pivot>,
    limit: PageLimit,
}

/// Where a range begins: at a message, or at a time.
#[derive(Debug, Clone)]
enum Pivot {
    At(prop::sample::Index),
    FirstOf(u64),
    LastOf(u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    (CONVERSATIONS, THREE_DAYS, 0..60usize)
}

fn pivot() -> impl Strategy<Value = Pivot> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Pivot::At),
        THREE_DAYS.prop_map(Pivot::FirstOf),
        THREE_DAYS.prop_map(Pivot::LastOf),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let limit =
        (0..6usize, 0..1500usize).prop_map(|(messages, bytes)| PageLimit { messages, bytes });
    (CONVERSATIONS, any::<bool>(), prop::option::of(pivot()), limit).prop_map(
        |(conversation, newest_first, bound, limit)| Query {
            conversation,
            newest_first,
            bound,
            limit,
        },
    )
}

impl Pivot {
    fn id(&self, messages: &[Arc<Message>]) -> MessageId {
        let at = |offset: u64| Micros(START.0 + offset);
        match self {
            Self::At(index) => index.get(messages).id,
            Self::FirstOf(offset) => MessageId::first_of(at(*offset)),
            Self::LastOf(offset) => MessageId::last_of(at(*offset)),
        }
    }
}

impl Query {
    fn range(&self, messages: &[Arc<Message>]) -> HistoryRange {
        let bound = self.bound.as_ref().map(|pivot| pivot.id(messages));
        if self.newest_first { HistoryRange::Before(bound) } else { HistoryRange::After(bound) }
    }
}

/// What a store must answer, worked out the slow way.
fn expected(
    messages: &[Arc<Message>],
    conversation: &Conversation,
    range: HistoryRange,
    limit: PageLimit,
) -> (Vec<Message>, Option<MessageId>) {
    let mut within: Vec<_> = messages
        .iter()
        .filter(|message| message.conversation == *conversation)
        .filter(|message| match range {
            HistoryRange::Before(bound) => bound.is_none_or(|bound| message.id < bound),
            HistoryRange::After(bound) => bound.is_none_or(|bound| message.id > bound),
        })
        .map(|message| Message::clone(message))
        .collect();
    within.sort_by_key(|message| message.id);
    if matches!(range, HistoryRange::Before(_)) {
        within.reverse();
    }
    let bytes = |count: usize| within[..count].iter().map(MessageText::bytes_at_most).sum();
    let fits = |count: &usize| *count <= limit.messages && limit.bytes >= bytes(*count);
    let count = (1..=within.len()).take_while(fits).last().unwrap_or(1).min(within.len());
    let is_all = count == within.len();
    within.truncate(count);
    let next = within.last().filter(|_| !is_all).map(|last| last.id);
    (within, next)
}

pub(crate) async fn pages_agree_with_a_model(store: Arc<dyn Store>) {
    let mut runner = TestRunner::default();
    let cases = (prop::collection::vec(sent(), 1..30), prop::collection::vec(query(), 1..20));
    for _ in 0..CASES {
        let (sent, queries) = cases.new_tree(&mut runner).unwrap().current();
        check(&*store, &sent, &queries).await;
    }
}

async fn check(store: &dyn Store, sent: &[Sent], queries: &[Query]) {
    let conversations = [fresh_dm(), fresh_room(), fresh_dm()];
    let messages: Vec<_> = sent
        .iter()
        .map(|&(to, offset, bytes)| {
            message(&conversations[to], Micros(START.0 + offset), &"7".repeat(bytes))
        })
        .collect();
    store_all(store, &messages).await;
    for query in queries {
        let (conversation, range) = (&conversations[query.conversation], query.range(&messages));
        let page = store.history(page_of(conversation, range, query.limit)).await.unwrap();
        let expected = expected(&messages, conversation, range, query.limit);
        assert!(page.reads >= 1);
        assert_eq!((page.messages, page.next), expected, "{query:?} of {sent:?}");
    }
}
