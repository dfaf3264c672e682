//! What was shown lately, so that nothing is shown twice.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::frame::Shown;
use crate::domain::MessageId;

/// Messages remembered. A node repeats what it may not have delivered: the messages of one resume
/// (1,000 at most) and some 20 s of live ones.
const REMEMBERED_MAX: usize = 8192;

/// A send as its recipients identify it: the `dedup` that all its tries share.
type Mark = Arc<str>;

/// How a message is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Showing {
    /// It was not shown.
    New,
    /// It replaces an earlier one: both are one send, whose largest id counts.
    InPlaceOf(MessageId),
    /// It was shown already, or another try of the same send was, with a larger id.
    Repeat,
}

/// What was shown lately.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    ids: AHashSet<MessageId>,
    /// The largest id of each send.
    marks: AHashMap<Mark, MessageId>,
    order: VecDeque<(MessageId, Option<Mark>)>,
    newest: Option<MessageId>,
    repeats: u64,
}

impl Dedup {
    /// Remembers a message, and returns whether and how it is to be shown.
    pub(super) fn show(&mut self, message: &Shown) -> Showing {
        self.newest = self.newest.max(Some(message.id));
        let mark = message.dedup.as_deref().map(Mark::from);
        let known = mark.as_ref().and_then(|mark| self.marks.get(mark).copied());
        if self.ids.contains(&message.id) || known.is_some_and(|known| known > message.id) {
            self.repeats += 1;
            return Showing::Repeat;
        }
        self.remember(message.id, mark);
        known.map_or(Showing::New, Showing::InPlaceOf)
    }

    fn remember(&mut self, id: MessageId, mark: Option<Mark>) {
        if self.order.len() == REMEMBERED_MAX {
            self.forget_oldest();
        }
        self.ids.insert(id);
        self.marks.extend(mark.clone().map(|mark| (mark, id)));
        self.order.push_back((id, mark));
    }

    fn forget_oldest(&mut self) {
        if let Some((id, mark)) = self.order.pop_front() {
            self.ids.remove(&id);
            // A later try of the send has an entry of its own.
            if let Some(mark) = mark.filter(|mark| self.marks.get(mark) == Some(&id)) {
                self.marks.remove(&mark);
            }
        }
    }

    /// The newest id of all.
    pub(super) const fn newest(&self) -> Option<MessageId> {
        self.newest
    }

    /// How many repeats were not shown.
    pub(super) const fn repeats(&self) -> u64 {
        self.repeats
    }
}

#[cfg(test)]
mod retried_sends;

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::domain::Micros;

    fn message(number: u64, send: Option<u8>) -> Shown {
        Shown {
            id: MessageId::new(Micros(1_000_000 + number), 0),
            conversation: "dm.a.b".into(),
            from: "a".into(),
            dedup: send.map(|send| send.to_string().into()),
            body: Value::Null,
        }
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let mut recall = Dedup::default();
        let all = || (0..=REMEMBERED_MAX as u64).map(|number| message(number, None));
        assert!(all().all(|message| recall.show(&message) == Showing::New));
        assert!(all().skip(1).all(|message| recall.show(&message) == Showing::Repeat));
        assert_eq!(recall.repeats(), REMEMBERED_MAX as u64);
        assert_eq!(recall.show(&message(0, None)), Showing::New, "the oldest one is forgotten");
        assert_eq!((recall.ids.len(), recall.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }

    #[test]
    fn of_the_tries_of_a_send_the_largest_id_is_shown() {
        let mut recall = Dedup::default();
        let mut show = |message: &Shown| recall.show(message);
        assert_eq!(show(&message(5, Some(1))), Showing::New);
        assert_eq!(show(&message(9, Some(1))), Showing::InPlaceOf(message(5, None).id));
        assert_eq!(show(&message(7, Some(1))), Showing::Repeat, "a larger one was shown");
        assert_eq!(show(&message(9, Some(1))), Showing::Repeat);
        assert_eq!(show(&message(11, Some(2))), Showing::New, "another send");
        assert_eq!(recall.newest(), Some(message(11, None).id));
    }

    proptest! {
        #[test]
        fn shows_what_a_boundless_memory_would(
            given in prop::collection::vec((0..40u64, prop::option::of(0..20u8)), 0..200),
        ) {
            let (mut ids, mut sends) = (HashSet::new(), HashMap::new());
            let mut recall = Dedup::default();
            for (number, send) in given {
                let known = send.and_then(|send| sends.get(&send).copied());
                let expected = match known {
                    _ if ids.contains(&number) => Showing::Repeat,
                    Some(known) if known > number => Showing::Repeat,
                    Some(known) => Showing::InPlaceOf(message(known, None).id),
                    None => Showing::New,
                };
                prop_assert_eq!(recall.show(&message(number, send)), expected);
                if expected != Showing::Repeat {
                    ids.insert(number);
                    sends.extend(send.map(|send| (send, number)));
                }
            }
        }
    }
}
