//! Nonces: a send becomes one message, however often it is tried and on whichever nodes.
//!
//! 1. While a send with a nonce is in flight here, another send with this nonce waits for its
//!    outcome and gets the same.
//! 2. Once the send was acknowledged, a record tells every node. Until the record is stored, the
//!    send counts as in flight: a node that asked the store earlier would not find the record.
//! 3. A send looks for the record before it gets an id. If there is none, it is a message of its
//!    own. A look-up beside the write would leave a second row for every record that it finds.
//! 4. A send whose client says `fresh` is not looked up, unless its session used the nonce lately.
//!    Where that was wrong there are two rows, and readers collapse them like those below.
//!
//! Only acknowledged sends are recorded, and only a record is ever answered with. A send whose
//! outcome is unknown has no record: its row may be stored, may become visible later, or never. To
//! treat that row, or the nonce alone, as the message would acknowledge what no watermark covers.
//! Cursors may have passed its id while it could not be read. A retry of such a send is therefore a
//! new message. If the first row becomes visible, the two share sender, nonce and content, and
//! every reader keeps the **largest id**: pages, devices, the record. A retry is issued later than
//! the send that it repeats, so the largest id is the one acknowledged last. A device that never
//! receives the other row agrees with that.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use ahash::AHashMap;
use tokio::sync::Notify;

use super::SendOrder;
use crate::domain::{Message, MessageId, SendContent, UserId};
use crate::protocol::{Code, ErrorReply};
use crate::services::Services;
use crate::store::IdempotencyKey;

/// Sends with nonces in flight on one worker: those of a thousand sessions with all their sends in
/// flight. Further ones are refused.
const UNDER_WAY_MAX: usize = 16 * 1024;

/// The same for one user: as many as 64 sessions send. Without it one user could take all of them.
const USER_UNDER_WAY_MAX: usize = 1024;

/// The outcome of a send.
type Outcome = Result<Arc<Message>, ErrorReply>;

/// A send in flight, as seen by the sends that wait for its outcome.
#[derive(Debug)]
pub(super) struct Flight {
    content: SendContent,
    outcome: OnceCell<Outcome>,
    over: Notify,
}

/// The sends with nonces in flight on one worker. All sends of a user on a node are on one worker.
#[derive(Debug, Default)]
pub struct Nonces {
    flights: RefCell<Flights>,
}

/// By user and nonce. A user without any is not listed.
#[derive(Debug, Default)]
struct Flights {
    users: AHashMap<UserId, AHashMap<Box<str>, Rc<Flight>>>,
    len: usize,
}

/// The role of a send with a nonce.
#[derive(Debug)]
pub(super) enum NonceEntry {
    /// It is the only one in flight.
    First(First),
    /// It repeats one that is in flight.
    Repeat(Rc<Flight>),
}

/// The right to send with a nonce, given up when it is dropped.
#[derive(Debug)]
pub(super) struct First {
    nonces: Rc<Nonces>,
    user: UserId,
    nonce: Box<str>,
    flight: Rc<Flight>,
}

impl Nonces {
    /// Enters a send. Refuses it if a send with the same nonce and other content is in flight.
    pub(super) fn enter(
        self: &Rc<Self>,
        user: &UserId,
        nonce: &str,
        content: SendContent,
    ) -> Result<NonceEntry, ErrorReply> {
        let mut flights = self.flights.borrow_mut();
        if let Some(flight) = flights.get(user, nonce) {
            let same = flight.content == content;
            return if same { Ok(NonceEntry::Repeat(Rc::clone(flight))) } else { Err(reused()) };
        }
        flights.must_have_room_for(user)?;
        let flight = Rc::new(Flight { content, outcome: OnceCell::new(), over: Notify::new() });
        flights.insert(user, nonce, &flight);
        let (nonces, user, nonce) = (Rc::clone(self), user.clone(), nonce.into());
        Ok(NonceEntry::First(First { nonces, user, nonce, flight }))
    }
}

impl Flights {
    fn get(&self, user: &UserId, nonce: &str) -> Option<&Rc<Flight>> {
        self.users.get(user)?.get(nonce)
    }

    /// Refuses a send above the user's bound, then one above the worker's.
    fn must_have_room_for(&self, user: &UserId) -> Result<(), ErrorReply> {
        if self.users.get(user).is_some_and(|held| held.len() >= USER_UNDER_WAY_MAX) {
            let message = format!(
                "{USER_UNDER_WAY_MAX} marked sends of the user are in flight, no more are allowed"
            );
            return Err(ErrorReply::new(Code::LimitReached, message));
        }
        if self.len >= UNDER_WAY_MAX {
            let message =
                format!("{UNDER_WAY_MAX} marked sends are in flight, no more are allowed");
            return Err(ErrorReply::new(Code::Unavailable, message));
        }
        Ok(())
    }

    fn insert(&mut self, user: &UserId, nonce: &str, flight: &Rc<Flight>) {
        self.users.entry(user.clone()).or_default().insert(nonce.into(), Rc::clone(flight));
        self.len += 1;
    }

    fn remove(&mut self, user: &UserId, nonce: &str) {
        let Some(held) = self.users.get_mut(user) else { return };
        self.len -= usize::from(held.remove(nonce).is_some());
        if held.is_empty() {
            self.users.remove(user);
        }
    }
}

impl First {
    /// Reports the outcome to the sends that wait for it. The first report counts.
    pub(super) fn tell(&self, outcome: Outcome) {
        // Only `drop` reports twice, and its report must not replace the outcome.
        let _told = self.flight.outcome.set(outcome);
        self.flight.over.notify_waiters();
    }
}

impl Drop for First {
    /// A send that is dropped before it reported may have been stored or published, so its outcome
    /// is unknown.
    fn drop(&mut self) {
        let message = "an earlier try of this send was abandoned";
        self.tell(Err(ErrorReply::new(Code::OutcomeUnknown, message)));
        self.nonces.flights.borrow_mut().remove(&self.user, &self.nonce);
    }
}

impl Flight {
    /// Waits for the outcome of the send. The send's own deadlines bound the wait.
    pub(super) async fn outcome(&self) -> Outcome {
        loop {
            let over = self.over.notified();
            if let Some(outcome) = self.outcome.get() {
                return outcome.clone();
            }
            over.await;
        }
    }
}

/// Returns the id under which a nonce was acknowledged. If it cannot be looked up, the send
/// fails: it is certain then that nothing happened.
pub(super) async fn look_up(
    services: &Services,
    order: &SendOrder,
    nonce: &str,
    content: SendContent,
) -> Result<Option<MessageId>, ErrorReply> {
    let key = IdempotencyKey { sender: order.from.clone(), nonce: nonce.into() };
    let Some(record) = services.answer(services.store.idempotency(key)).await? else {
        return Ok(None);
    };
    let is_same = content.is_recorded_as(record.content, &order.conversation, &order.body);
    is_same.then_some(record.id).map_or_else(|| Err(reused()), |id| Ok(Some(id)))
}

fn reused() -> ErrorReply {
    let message = "`nonce` was used for another conversation or body within the last 24 hours";
    ErrorReply::new(Code::NonceReused, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, Micros};
    use tokio::task::LocalSet;

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn dm(other: &str) -> Conversation {
        Conversation::between(&user("alice"), &user(other))
    }

    fn message() -> Arc<Message> {
        let (conversation, from) = (dm("bob"), user("alice"));
        let id = MessageId::first_of(Micros(7));
        Arc::new(Message { id, conversation, from, nonce: Some("n".into()), body: "1".into() })
    }

    fn enter(nonces: &Rc<Nonces>, sender: &str, body: &[u8]) -> Result<NonceEntry, ErrorReply> {
        nonces.enter(&user(sender), "n", SendContent::of(&dm("bob"), body))
    }

    fn first(nonces: &Rc<Nonces>) -> First {
        match enter(nonces, "alice", b"1") {
            Ok(NonceEntry::First(first)) => first,
            other => panic!("{other:?}"),
        }
    }

    fn repeat(nonces: &Rc<Nonces>) -> Rc<Flight> {
        match enter(nonces, "alice", b"1") {
            Ok(NonceEntry::Repeat(flight)) => flight,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn all_who_come_meanwhile_have_the_outcome_of_the_first() {
        let nonces = Rc::new(Nonces::default());
        let first = first(&nonces);
        let local = LocalSet::new();
        let waiting: Vec<_> = (0..3)
            .map(|_| repeat(&nonces))
            .map(|flight| local.spawn_local(async move { flight.outcome().await }))
            .collect();
        local.run_until(tokio::task::yield_now()).await;
        assert!(waiting.iter().all(|one| !one.is_finished()));
        first.tell(Ok(message()));
        local
            .run_until(async {
                for one in waiting {
                    assert_eq!(one.await.unwrap(), Ok(message()));
                }
            })
            .await;
        assert_eq!(repeat(&nonces).outcome().await, Ok(message()), "until it is recorded");
        drop(first);
        assert!(matches!(enter(&nonces, "alice", b"1"), Ok(NonceEntry::First(_))));
    }

    #[test]
    fn other_content_is_refused_and_other_senders_are_not() {
        let nonces = Rc::new(Nonces::default());
        let _first = first(&nonces);
        assert_eq!(enter(&nonces, "alice", b"2").unwrap_err().code, Code::NonceReused);
        assert!(matches!(enter(&nonces, "bob", b"2"), Ok(NonceEntry::First(_))));
    }

    #[tokio::test]
    async fn who_is_given_up_leaves_nobody_waiting() {
        let nonces = Rc::new(Nonces::default());
        let first = first(&nonces);
        let flight = repeat(&nonces);
        drop(first);
        assert_eq!(flight.outcome().await.unwrap_err().code, Code::OutcomeUnknown);
    }

    #[test]
    fn as_many_are_under_way_as_may() {
        let nonces = Rc::new(Nonces::default());
        let enter = |id: &str, nonce: &str| nonces.enter(&user(id), nonce, SendContent(1));
        let mut all = Vec::new();
        for number in 0..UNDER_WAY_MAX {
            let id = format!("u{}", number / USER_UNDER_WAY_MAX);
            all.push(enter(&id, &number.to_string()).unwrap());
        }
        assert_eq!(enter("alice", "more").unwrap_err().code, Code::Unavailable);
        drop(all);
        assert!(nonces.flights.borrow().len == 0 && nonces.flights.borrow().users.is_empty());
    }

    #[test]
    fn one_user_takes_a_part_of_the_places() {
        let nonces = Rc::new(Nonces::default());
        let enter = |id: &str, nonce: &str| nonces.enter(&user(id), nonce, SendContent(1));
        let mut all: Vec<_> = (0..USER_UNDER_WAY_MAX)
            .map(|number| enter("many", &number.to_string()).unwrap())
            .collect();
        assert_eq!(enter("many", "more").unwrap_err().code, Code::LimitReached);
        assert!(matches!(enter("many", "0"), Ok(NonceEntry::Repeat(_))), "a repeat takes no slot");
        assert!(matches!(enter("bob", "1"), Ok(NonceEntry::First(_))));
        all.pop();
        assert!(matches!(enter("many", "more"), Ok(NonceEntry::First(_))), "a slot was given back");
    }
}
