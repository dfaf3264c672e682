//! A send that was tried several times: rows that turn up late, two that are acknowledged, devices
//! that are offline at any moment. In the end all devices and history have the same messages in the
//! same order.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::domain::{Conversation, Message, Micros, UserId};
use crate::ops::collapse;
use crate::protocol::DedupKey;

/// The outcome of one try.
#[derive(Debug, Clone, Copy)]
struct Try {
    /// Whether its row is in the store in the end.
    stored: bool,
    /// Whether the devices that are online receive it.
    published: bool,
}

const ACKED: Try = Try { stored: true, published: true };

/// Tries one after the other. All but the last end unknown, and those that are stored may or may
/// not be published. Each has a larger id than the one before.
fn in_turn() -> impl Strategy<Value = Vec<Try>> {
    let unknown = (any::<bool>(), any::<bool>())
        .prop_map(|(stored, late)| Try { stored, published: stored && late });
    prop::collection::vec(unknown, 0..3).prop_map(|mut tries| {
        tries.push(ACKED);
        tries
    })
}

/// Two first tries at once, through live nodes: at least one is acknowledged, and if the other is
/// stored its node publishes it.
fn at_once() -> impl Strategy<Value = Vec<Try>> {
    let other = any::<bool>().prop_map(|stored| Try { stored, published: stored });
    (other, any::<bool>()).prop_map(
        |(other, first)| {
            if first { vec![ACKED, other] } else { vec![other, ACKED] }
        },
    )
}

/// What a device does: it is online from a message to another one, reads the store when it
/// reconnects, and may load history in between.
#[derive(Debug, Clone)]
struct Stay {
    order: Vec<usize>,
    here: Vec<bool>,
    loads: bool,
}

#[derive(Debug, Clone)]
struct Case {
    sends: Vec<Vec<Try>>,
    devices: Vec<Stay>,
}

/// Most messages of a case.
const MESSAGES: usize = 12;

fn case() -> impl Strategy<Value = Case> {
    let stay = (
        Just((0..MESSAGES).collect::<Vec<_>>()).prop_shuffle(),
        prop::collection::vec(any::<bool>(), MESSAGES),
        any::<bool>(),
    )
        .prop_map(|(order, here, loads)| Stay { order, here, loads });
    let send = prop_oneof![in_turn(), at_once()];
    (prop::collection::vec(send, 1..5), prop::collection::vec(stay, 1..5))
        .prop_map(|(sends, devices)| Case { sends, devices })
}

/// A row, and whether the devices that are online receive it. Tries of several sends are mixed.
fn rows(sends: &[Vec<Try>]) -> Vec<(Message, bool)> {
    let [alice, bob] = ["alice", "bob"].map(|user| UserId::parse(user).unwrap());
    let mut rows = Vec::new();
    for (number, tries) in sends.iter().enumerate() {
        for (which, it) in tries.iter().enumerate().filter(|(_, it)| it.stored) {
            let time = Micros(1_000_000 + (which * 10 + number) as u64);
            let message = Message {
                id: MessageId::first_of(time),
                conversation: Conversation::between(&alice, &bob),
                from: alice.clone(),
                nonce: Some(number.to_string().into()),
                body: "1".into(),
            };
            rows.push((message, it.published));
        }
    }
    rows.sort_by_key(|(message, _)| message.id);
    rows.truncate(MESSAGES);
    rows
}

fn shown(message: &Message) -> Shown {
    Shown {
        id: message.id,
        conversation: message.conversation.to_string(),
        from: message.from.to_string(),
        dedup: DedupKey::of_store(&[7; 32]).dedup(message).map(Into::into),
        body: 1.into(),
    }
}

/// The messages that an application shows, in their order.
#[derive(Debug, Default)]
struct Screen {
    recall: Dedup,
    ids: std::collections::BTreeSet<MessageId>,
}

impl Screen {
    fn show(&mut self, message: &Message) {
        match self.recall.show(&shown(message)) {
            Showing::New => {}
            Showing::InPlaceOf(earlier) => assert!(self.ids.remove(&earlier), "it was shown"),
            Showing::Repeat => return,
        }
        self.ids.insert(message.id);
    }
}

type Keep = fn(Vec<Message>) -> Vec<Message>;

/// Whether all devices and history agree, if pages keep what `keep` does.
fn agree(case: &Case, keep: Keep) -> bool {
    let rows = rows(&case.sends);
    let all = || rows.iter().map(|(message, _)| message.clone()).collect::<Vec<_>>();
    let history: Vec<MessageId> = keep(all()).iter().map(|message| message.id).collect();
    case.devices.iter().all(|stay| {
        let mut screen = Screen::default();
        let heard = stay.order.iter().filter_map(|at| Some((rows.get(*at)?, stay.here[*at])));
        for ((message, published), here) in heard {
            if *published && here {
                screen.show(message);
            }
        }
        if stay.loads {
            keep(all()).iter().for_each(|message| screen.show(message));
        }
        // A device that was offline reconnects with its cursor, and gets what is stored.
        if stay.here.contains(&false) {
            all().iter().for_each(|message| screen.show(message));
        }
        screen.ids.iter().copied().eq(history.iter().copied())
    })
}

proptest! {
    #[test]
    fn all_devices_and_history_agree_in_the_end(case in case()) {
        prop_assert!(agree(&case, collapse));
    }
}

/// The smallest id, which live devices may never have received.
fn smallest(messages: Vec<Message>) -> Vec<Message> {
    let mut seen = AHashSet::new();
    messages.into_iter().filter(|message| seen.insert(message.nonce.clone())).collect()
}

#[test]
fn a_page_that_keeps_the_smallest_id_parts_history_from_devices() {
    let mut runner = TestRunner::deterministic();
    let found = runner.run(&case(), |case| {
        prop_assert!(agree(&case, smallest));
        Ok(())
    });
    assert!(found.is_err());
}
