//! What was shown lately, so that nothing is shown twice.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashSet;

use super::frame::Shown;
use crate::domain::MessageId;

/// Messages remembered. A node repeats what it is not sure to have delivered: what one resume
/// brings (1,000 messages at most) and some 20 s of live ones.
const REMEMBERED_MAX: usize = 8192;

/// A send as its recipients know it: conversation, sender, nonce.
type Mark = Arc<(String, String, Box<str>)>;

/// What was shown lately.
#[derive(Debug, Default)]
pub(super) struct Recall {
    ids: AHashSet<MessageId>,
    marks: AHashSet<Mark>,
    order: VecDeque<(MessageId, Option<Mark>)>,
    newest: Option<MessageId>,
    repeats: u64,
}

impl Recall {
    /// Remembers a message: whether it is to be shown. A repeat is one by its id, or another try
    /// of a send that was shown.
    pub(super) fn show(&mut self, message: &Shown) -> bool {
        self.newest = self.newest.max(Some(message.id));
        let mark = mark(message);
        let known = |mark: &Mark| self.marks.contains(mark);
        if self.ids.contains(&message.id) || mark.as_ref().is_some_and(known) {
            self.repeats += 1;
            return false;
        }
        self.remember(message.id, mark);
        true
    }

    fn remember(&mut self, id: MessageId, mark: Option<Mark>) {
        if self.order.len() == REMEMBERED_MAX {
            self.forget_oldest();
        }
        self.ids.insert(id);
        self.marks.extend(mark.clone());
        self.order.push_back((id, mark));
    }

    fn forget_oldest(&mut self) {
        if let Some((id, mark)) = self.order.pop_front() {
            self.ids.remove(&id);
            mark.map(|mark| self.marks.remove(&mark));
        }
    }

    /// The newest id of all.
    pub(super) const fn newest(&self) -> Option<MessageId> {
        self.newest
    }

    /// How many repeats were kept back.
    pub(super) const fn repeats(&self) -> u64 {
        self.repeats
    }
}

fn mark(message: &Shown) -> Option<Mark> {
    let Shown { conversation, from, nonce, .. } = message;
    let nonce = nonce.as_ref()?.as_str().into();
    Some(Arc::new((conversation.clone(), from.clone(), nonce)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::client::Nonce;
    use crate::domain::Micros;

    fn message(number: u64, nonce: Option<u8>) -> Shown {
        Shown {
            id: MessageId::new(Micros(1_000_000 + number), 0),
            conversation: "dm.a.b".into(),
            from: "a".into(),
            nonce: nonce.map(|nonce| Nonce::new(&nonce.to_string())),
            body: Value::Null,
        }
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_oldest() {
        let mut recall = Recall::default();
        let all = || (0..=REMEMBERED_MAX as u64).map(|number| message(number, None));
        assert!(all().all(|message| recall.show(&message)));
        assert!(all().skip(1).all(|message| !recall.show(&message)), "these are remembered");
        assert_eq!(recall.repeats(), REMEMBERED_MAX as u64);
        assert!(recall.show(&message(0, None)), "the oldest one is forgotten");
        assert_eq!((recall.ids.len(), recall.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }

    #[test]
    fn another_try_is_not_shown_but_another_sender_is() {
        let mut recall = Recall::default();
        assert!(recall.show(&message(5, Some(1))));
        assert!(!recall.show(&message(9, Some(1))));
        assert_eq!(recall.newest(), Some(message(9, None).id), "it is seen nevertheless");
        assert!(recall.show(&Shown { from: "b".into(), ..message(10, Some(1)) }));
    }

    proptest! {
        #[test]
        fn shows_what_a_boundless_memory_would(
            given in prop::collection::vec((0..40u64, prop::option::of(0..20u8)), 0..200),
        ) {
            let (mut ids, mut nonces) = (HashSet::new(), HashSet::new());
            let mut recall = Recall::default();
            for (number, nonce) in given {
                let fresh = !ids.contains(&number) && !nonce.is_some_and(|n| nonces.contains(&n));
                prop_assert_eq!(recall.show(&message(number, nonce)), fresh);
                if fresh {
                    ids.insert(number);
                    nonces.extend(nonce);
                }
            }
        }
    }
}
