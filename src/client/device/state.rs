//! A device without its sockets. Events and the time go in; frames to write, what the application
//! sees and when to connect come out.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::DeviceOptions;
use super::dedup::{Dedup, Showing};
use super::events::{Cursor, Nonce, Seen, SendOutcomeSeen};
use super::frame::{KnownFrame, ServerText, Shown};
use super::keepalive::{Keepalive, KeepaliveAction};
use super::reconnect::{ConnectionLoss, Reconnect};
use super::sends::Sends;
use crate::client::{CLIENT, ClientError};

#[derive(Debug)]
enum Phase {
    /// Not connected, and no connection wanted before a time.
    Away { until: Instant },
    /// A connection is being made.
    Calling,
    /// Connected, and `hello` was sent.
    Greeting(Keepalive),
    /// In a session.
    Open(Keepalive),
    /// It does not reconnect.
    Ended { code: u16, reason: String },
}

/// A device without its sockets.
#[derive(Debug)]
pub(super) struct DeviceState {
    plan: DeviceOptions,
    phase: Phase,
    comeback: Reconnect,
    recall: Dedup,
    sends: Sends,
    /// Frames to be written before any send.
    writes: VecDeque<String>,
    seen: VecDeque<Seen>,
    /// The node's last frame that answered nothing: mostly the reason why it is about to close.
    said: Option<String>,
}

impl DeviceState {
    pub(super) fn new(plan: DeviceOptions, now: Instant) -> Self {
        let sends = Sends::new(rand::random(), plan.resend);
        Self {
            plan,
            phase: Phase::Away { until: now },
            comeback: Reconnect::new(),
            recall: Dedup::default(),
            sends,
            writes: VecDeque::new(),
            seen: VecDeque::new(),
            said: None,
        }
    }

    /// The next thing for the application, as long as there is any.
    pub(super) fn next_seen(&mut self) -> Option<Seen> {
        self.seen.pop_front()
    }

    /// Why the device does not reconnect, if it does not.
    pub(super) fn end(&self) -> Option<ClientError> {
        match &self.phase {
            Phase::Ended { code, reason } => {
                Some(ClientError::Closed { code: *code, reason: reason.clone() })
            }
            _ => None,
        }
    }

    pub(super) const fn cursor(&self) -> Option<&Cursor> {
        self.plan.cursor.as_ref()
    }

    pub(super) const fn repeats(&self) -> u64 {
        self.recall.repeats()
    }

    pub(super) fn send(&mut self, conversation: &str, body: Value) -> Result<Nonce, ClientError> {
        self.sends.push(conversation, body)
    }

    /// Whether the caller must connect now.
    pub(super) fn calls(&mut self, now: Instant) -> bool {
        let due = matches!(self.phase, Phase::Away { until } if until <= now);
        if due {
            self.phase = Phase::Calling;
        }
        due
    }

    /// Whether the present connection is still wanted.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Greeting(_) | Phase::Open(_))
    }

    const fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Calling | Phase::Greeting(_))
    }

    /// When [`DeviceState::tick`] has something to do, unless something happens before.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Away { until } => Some(*until),
            Phase::Greeting(silence) | Phase::Open(silence) => Some(silence.deadline()),
            Phase::Calling | Phase::Ended { .. } => None,
        }
    }

    /// Handles the passage of time.
    pub(super) fn tick(&mut self, now: Instant) {
        let (Phase::Greeting(silence) | Phase::Open(silence)) = &mut self.phase else { return };
        match silence.judge(now) {
            KeepaliveAction::Alive => {}
            KeepaliveAction::Ask => self.writes.push_back(json!({"op": "ping"}).to_string()),
            KeepaliveAction::Gone => {
                self.lost(ConnectionLoss::Broke("the node is silent".into()), now);
            }
        }
    }

    /// Notes that the connection is up.
    pub(super) fn connected(&mut self, now: Instant) {
        self.phase = Phase::Greeting(Keepalive::new(now));
        self.said = None;
        self.writes.clear();
        self.writes.push_back(self.hello());
    }

    fn hello(&self) -> String {
        let DeviceOptions { token, device, cursor, subscribe, .. } = &self.plan;
        let mut hello = json!({"op": "hello", "token": token, "device": device, "client": CLIENT});
        if let Some(cursor) = cursor {
            hello["cursor"] = json!(cursor.as_str());
        }
        if !subscribe.is_empty() {
            hello["subscribe"] = json!(subscribe);
        }
        hello.to_string()
    }

    /// The next frame to be written.
    pub(super) fn write(&mut self) -> Option<String> {
        let open = matches!(self.phase, Phase::Open(_));
        let first = self.writes.pop_front();
        first.or_else(|| open.then(|| self.sends.write(self.recall.newest())).flatten())
    }

    /// Notes that the node is alive.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Phase::Greeting(silence) | Phase::Open(silence) = &mut self.phase {
            silence.broken(now);
        }
    }

    /// Handles a frame.
    pub(super) fn text(&mut self, text: &str, now: Instant) {
        self.heard(now);
        match ServerText::read(text) {
            Ok(ServerText::Known(known)) => self.known(known, now),
            Ok(ServerText::Other(value)) => self.seen.push_back(Seen::Event(value)),
            Err(error) => {
                self.lost(ConnectionLoss::Broke(format!("not part of the protocol: {error}")), now);
            }
        }
    }

    fn known(&mut self, known: KnownFrame, now: Instant) {
        match known {
            KnownFrame::Ready { node, ping_ms, limits } => {
                let mut silence = Keepalive::new(now);
                silence.ready(Duration::from_millis(ping_ms));
                self.phase = Phase::Open(silence);
                self.sends.bound(limits.sends_in_flight);
                self.seen.push_back(Seen::Connected { node });
            }
            KnownFrame::Cursor(text) => {
                self.comeback.succeeded();
                self.plan.cursor = Some(text.cursor.clone());
                self.seen.push_back(Seen::Cursor { resume: text.resume() });
            }
            KnownFrame::Message { message } => self.message(message),
            KnownFrame::Sent { nonce, message } => self.sent(nonce.as_ref(), &message),
            KnownFrame::Error { id, code, detail } => self.error(id.as_ref(), code, detail),
            KnownFrame::Pong {} => {}
        }
    }

    fn message(&mut self, message: Shown) {
        let replaces = match self.recall.show(&message) {
            Showing::New => None,
            Showing::InPlaceOf(earlier) => Some(earlier),
            Showing::Repeat => return,
        };
        let Shown { id, conversation, from, dedup, body } = message;
        self.seen.push_back(Seen::Message { id, replaces, conversation, from, dedup, body });
    }

    /// The application knows what it sent: no copy of it is shown.
    fn sent(&mut self, nonce: Option<&Nonce>, message: &Shown) {
        self.recall.show(message);
        let nonce = nonce.and_then(|nonce| self.sends.answered(nonce.as_str()));
        let outcome = SendOutcomeSeen::Sent { id: message.id };
        self.seen.extend(nonce.map(|nonce| Seen::Answered { nonce, outcome }));
    }

    fn error(&mut self, id: Option<&Value>, code: String, message: String) {
        match id.and_then(Value::as_str) {
            Some(id) => {
                let failed = self.sends.failed(id, code, message);
                self.seen.extend(failed.map(|(nonce, outcome)| Seen::Answered { nonce, outcome }));
            }
            None => self.said = Some(message),
        }
    }

    /// Notes that the connection could not be made.
    pub(super) fn failed(&mut self, error: &ClientError, now: Instant) {
        self.lost(ConnectionLoss::Broke(error.to_string()), now);
    }

    /// Notes that the connection, or the wait for one, is over.
    pub(super) fn lost(&mut self, loss: ConnectionLoss, now: Instant) {
        if self.end().is_some() {
            return;
        }
        let had_session = matches!(self.phase, Phase::Open(_));
        if had_session {
            self.seen.push_back(Seen::Lost { why: loss.to_string() });
        }
        let is_refused = self.is_connecting() && loss != ConnectionLoss::Left;
        match self.comeback.after(&loss, had_session, now) {
            Some(until) => {
                if is_refused {
                    self.seen.push_back(Seen::Refused { why: loss.to_string() });
                }
                self.phase = Phase::Away { until };
                let unknown = self.sends.lost();
                self.are_unknown(unknown);
            }
            None => self.ended(loss),
        }
    }

    fn ended(&mut self, loss: ConnectionLoss) {
        if let ConnectionLoss::Closed { code, reason } = loss {
            let reason = self.said.take().unwrap_or(reason);
            self.phase = Phase::Ended { code, reason };
        }
        let unanswered = self.sends.ended();
        self.are_unknown(unanswered);
    }

    fn are_unknown(&mut self, nonces: Vec<Nonce>) {
        let unknown = |nonce| Seen::Answered { nonce, outcome: SendOutcomeSeen::Unknown };
        self.seen.extend(nonces.into_iter().map(unknown));
    }
}

#[cfg(test)]
mod tests;
