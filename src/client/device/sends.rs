//! Sends that wait for an answer.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::events::{Nonce, SendOutcomeSeen};
use crate::client::ClientError;
use crate::domain::MessageId;

/// Sends that may be unanswered at a node, by the protocol; a node may allow less.
const IN_FLIGHT_MAX: usize = 16;

/// Sends that may wait for their answer in all, written or not.
const WAITING_MAX: usize = 1024;

/// How often a send is tried again before its outcome is called unknown.
const RESENDS_MAX: u32 = 8;

#[derive(Debug)]
struct Pending {
    nonce: Nonce,
    conversation: String,
    body: Value,
    resends: u32,
}

impl Pending {
    /// The frame. The nonce is its id as well: the answer carries it.
    fn frame(&self, after: Option<MessageId>) -> String {
        let Self { nonce, conversation, body, resends } = self;
        let nonce = nonce.as_str();
        let mut frame = json!({
            "op": "send", "id": nonce, "nonce": nonce, "conversation": conversation, "body": body,
        });
        if let Some(after) = after {
            frame["seen"] = json!(after.to_string());
        }
        if *resends == 0 {
            frame["fresh"] = json!(true);
        }
        frame.to_string()
    }
}

/// Sends that wait for an answer, in their order.
#[derive(Debug)]
pub(super) struct Sends {
    /// Makes the nonces of this device different from all others.
    prefix: u64,
    made: u64,
    waiting: VecDeque<Pending>,
    in_flight: Vec<Pending>,
    bound: usize,
    resend: bool,
}

impl Sends {
    pub(super) const fn new(prefix: u64, resend: bool) -> Self {
        Self {
            prefix,
            made: 0,
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            bound: IN_FLIGHT_MAX,
            resend,
        }
    }

    /// Queues a send.
    pub(super) fn push(&mut self, conversation: &str, body: Value) -> Result<Nonce, ClientError> {
        let waiting = self.waiting.len() + self.in_flight.len();
        if waiting >= WAITING_MAX {
            return Err(ClientError::SendsWaiting(waiting));
        }
        let nonce = Nonce::new(&format!("{:016x}-{}", self.prefix, self.made));
        self.made += 1;
        let conversation = conversation.to_owned();
        self.waiting.push_back(Pending { nonce: nonce.clone(), conversation, body, resends: 0 });
        Ok(nonce)
    }

    /// Sets how many may be unanswered at this node.
    pub(super) fn bound(&mut self, of_node: usize) {
        self.bound = of_node.clamp(1, IN_FLIGHT_MAX);
    }

    /// Returns the next frame to be written, if one more may be unanswered; `after` is the newest
    /// id seen.
    pub(super) fn write(&mut self, after: Option<MessageId>) -> Option<String> {
        if self.in_flight.len() >= self.bound {
            return None;
        }
        let pending = self.waiting.pop_front()?;
        let frame = pending.frame(after);
        self.in_flight.push(pending);
        Some(frame)
    }

    /// Ends a send that was answered, and returns its nonce if it is one of ours.
    pub(super) fn answered(&mut self, id: &str) -> Option<Nonce> {
        self.take(id).map(|pending| pending.nonce)
    }

    /// Handles an error as answer, and returns the outcome. None means that it is not one of ours,
    /// or is tried again. A refusal of a further try says nothing about the earlier ones: their
    /// outcome stays unknown.
    pub(super) fn failed(
        &mut self,
        id: &str,
        code: String,
        message: String,
    ) -> Option<(Nonce, SendOutcomeSeen)> {
        const OUTCOME_UNKNOWN: &str = "outcome_unknown";
        let pending = self.take(id)?;
        if code == OUTCOME_UNKNOWN {
            return self.again(pending).map(|nonce| (nonce, SendOutcomeSeen::Unknown));
        }
        let first = pending.resends == 0;
        let outcome = if first {
            SendOutcomeSeen::Refused { code, message }
        } else {
            SendOutcomeSeen::Unknown
        };
        Some((pending.nonce, outcome))
    }

    /// Ends the session, and returns the sends whose outcome stays unknown.
    pub(super) fn lost(&mut self) -> Vec<Nonce> {
        let in_flight = std::mem::take(&mut self.in_flight);
        let mut unknown: Vec<Nonce> =
            in_flight.into_iter().rev().filter_map(|pending| self.again(pending)).collect();
        unknown.reverse();
        unknown
    }

    /// Returns all sends without an answer, since none will come.
    pub(super) fn ended(&mut self) -> Vec<Nonce> {
        let all = self.in_flight.drain(..).chain(self.waiting.drain(..));
        all.map(|pending| pending.nonce).collect()
    }

    fn take(&mut self, id: &str) -> Option<Pending> {
        let place = self.in_flight.iter().position(|pending| pending.nonce.as_str() == id)?;
        Some(self.in_flight.remove(place))
    }

    /// Tries a send again before those that were not written yet. Returns its nonce if it has no
    /// tries left.
    fn again(&mut self, mut pending: Pending) -> Option<Nonce> {
        if !self.resend || pending.resends >= RESENDS_MAX {
            return Some(pending.nonce);
        }
        pending.resends += 1;
        self.waiting.push_front(pending);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(frame: &str) -> Value {
        serde_json::from_str(frame).unwrap()
    }

    /// Writes all that may be written: their ids.
    fn write_all(sends: &mut Sends) -> Vec<String> {
        let frames = std::iter::from_fn(|| sends.write(None));
        frames.map(|frame| read(&frame)["id"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn as_many_are_in_flight_as_the_node_allows_and_no_more_than_the_protocol() {
        for (of_node, allowed) in [(0, 1), (3, 3), (16, 16), (1000, 16)] {
            let mut sends = Sends::new(1, true);
            (0..40).for_each(|body| drop(sends.push("user.bob", json!(body)).unwrap()));
            sends.bound(of_node);
            let written = write_all(&mut sends);
            assert_eq!(written.len(), allowed, "{of_node}");
            assert!(sends.answered(&written[0]).is_some());
            assert_eq!(write_all(&mut sends).len(), 1);
        }
    }

    #[test]
    fn a_lost_send_goes_again_first_and_is_not_fresh() {
        let mut sends = Sends::new(7, true);
        for body in 0..3 {
            sends.push("user.bob", json!(body)).unwrap();
        }
        sends.bound(2);
        let first = write_all(&mut sends);
        assert_eq!(sends.lost(), []);
        sends.bound(16);
        let frames: Vec<Value> =
            std::iter::from_fn(|| sends.write(None)).map(|f| read(&f)).collect();
        let bodies: Vec<&Value> = frames.iter().map(|frame| &frame["body"]).collect();
        assert_eq!(bodies, [0, 1, 2]);
        assert_eq!(frames[0]["nonce"], first[0]);
        let fresh: Vec<Option<&Value>> = frames.iter().map(|frame| frame.get("fresh")).collect();
        assert_eq!(fresh, [None, None, Some(&json!(true))], "the last one is a first try");
    }

    #[test]
    fn without_resends_a_lost_send_is_unknown() {
        let mut sends = Sends::new(7, false);
        let nonces = [0, 1, 2].map(|body| sends.push("user.bob", json!(body)).unwrap());
        sends.bound(2);
        write_all(&mut sends);
        assert_eq!(sends.lost(), nonces[..2]);
        assert_eq!(write_all(&mut sends), [nonces[2].as_str()], "it was not written before");
    }

    #[test]
    fn tries_end() {
        let mut sends = Sends::new(7, true);
        let nonce = sends.push("user.bob", json!(0)).unwrap();
        let unknown = || ("outcome_unknown".to_owned(), String::new());
        for _ in 0..RESENDS_MAX {
            write_all(&mut sends);
            let (code, message) = unknown();
            assert_eq!(sends.failed(nonce.as_str(), code, message), None);
        }
        write_all(&mut sends);
        let (code, message) = unknown();
        let last = sends.failed(nonce.as_str(), code, message);
        assert_eq!(last, Some((nonce, SendOutcomeSeen::Unknown)));
    }

    #[test]
    fn a_refused_further_try_leaves_the_outcome_unknown() {
        for tries in [1, 2] {
            let mut sends = Sends::new(7, true);
            let nonce = sends.push("user.bob", json!(0)).unwrap();
            for _ in 1..tries {
                write_all(&mut sends);
                assert_eq!(sends.lost(), []);
            }
            write_all(&mut sends);
            let refused = sends.failed(nonce.as_str(), "unavailable".into(), String::new());
            let refusal =
                SendOutcomeSeen::Refused { code: "unavailable".into(), message: String::new() };
            let outcome = if tries == 1 { refusal } else { SendOutcomeSeen::Unknown };
            assert_eq!(refused, Some((nonce, outcome)), "{tries} tries");
        }
    }

    #[test]
    fn too_many_are_refused() {
        let mut sends = Sends::new(7, true);
        (0..WAITING_MAX).for_each(|body| drop(sends.push("user.bob", json!(body)).unwrap()));
        let error = sends.push("user.bob", json!(0)).unwrap_err();
        assert!(matches!(error, ClientError::SendsWaiting(WAITING_MAX)), "{error}");
    }

    #[derive(Debug, Clone, Copy)]
    enum ConnectionStep {
        Push,
        Write,
        Answer(usize),
        Refuse(usize),
        Unknown(usize),
        Lose,
    }

    fn step() -> impl Strategy<Value = ConnectionStep> {
        prop_oneof![
            3 => Just(ConnectionStep::Push),
            3 => Just(ConnectionStep::Write),
            2 => (0..20usize).prop_map(ConnectionStep::Answer),
            1 => (0..20usize).prop_map(ConnectionStep::Refuse),
            1 => (0..20usize).prop_map(ConnectionStep::Unknown),
            1 => Just(ConnectionStep::Lose),
        ]
    }

    proptest! {
        #[test]
        fn every_send_has_one_outcome(
            steps in prop::collection::vec(step(), 0..200), resend: bool,
        ) {
            let mut sends = Sends::new(3, resend);
            let mut pushed = Vec::new();
            let mut outcomes = BTreeMap::<Nonce, u32>::new();
            let mut settle = |nonce: Nonce| *outcomes.entry(nonce).or_default() += 1;
            for step in steps {
                let id = |n: usize| pushed.get(n).map_or("foreign", Nonce::as_str).to_owned();
                let fail = |code: &str| (code.to_owned(), String::new());
                match step {
                    ConnectionStep::Push => pushed.push(sends.push("user.bob", json!(1)).unwrap()),
                    ConnectionStep::Write => drop(sends.write(None)),
                    ConnectionStep::Answer(n) => sends.answered(&id(n)).into_iter().for_each(&mut settle),
                    ConnectionStep::Refuse(n) | ConnectionStep::Unknown(n) => {
                        let refuse = matches!(step, ConnectionStep::Refuse(_));
                        let code = if refuse { "forbidden" } else { "outcome_unknown" };
                        let (code, message) = fail(code);
                        let failed = sends.failed(&id(n), code, message);
                        failed.into_iter().for_each(|(nonce, _)| settle(nonce));
                    }
                    ConnectionStep::Lose => sends.lost().into_iter().for_each(&mut settle),
                }
                prop_assert!(sends.in_flight.len() <= IN_FLIGHT_MAX);
            }
            sends.ended().into_iter().for_each(&mut settle);
            prop_assert_eq!(outcomes.len(), pushed.len());
            prop_assert!(outcomes.values().all(|count| *count == 1));
        }
    }
}
