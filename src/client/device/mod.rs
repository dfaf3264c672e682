//! A device of a user: one session after another, wherever a node lets it in, as one stream of
//! what its application sees.

mod comeback;
mod frame;
mod line;
mod machine;
mod recall;
mod seen;
mod sends;
mod silence;

use std::fmt;

use serde_json::Value;
use tokio::time::Instant;

use super::connect::{ClientError, Incoming, check};
use comeback::Loss;
use line::{Line, Step};
use machine::Machine;

pub use seen::{Cursor, Nonce, Outcome, Seen};

/// What a device is made from.
#[derive(Clone)]
pub struct DevicePlan {
    /// Where nodes are, `ws://127.0.0.1:8080/v1/ws`: it goes round them.
    pub urls: Vec<String>,
    /// The user's token.
    pub token: String,
    /// What the device is called.
    pub device: String,
    /// Where an earlier session ended.
    pub cursor: Option<Cursor>,
    /// Patterns of events.
    pub subscribe: Vec<String>,
    /// Whether a send that got no answer is sent again under its nonce, on the next session, and
    /// so is one whose outcome the node does not know. It may then be stored twice, and is shown
    /// once by devices.
    pub resend: bool,
}

impl DevicePlan {
    /// A device without a past and without patterns, which sends again.
    pub const fn new(urls: Vec<String>, token: String, device: String) -> Self {
        Self { urls, token, device, cursor: None, subscribe: Vec::new(), resend: true }
    }
}

impl fmt::Debug for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plan = f.debug_struct("DevicePlan");
        plan.field("urls", &self.urls).field("device", &self.device).finish_non_exhaustive()
    }
}

/// A device. It lives in [`Device::next`] and does nothing while nobody waits there: no task
/// and no thread is its own.
///
/// It connects, says `hello` with the newest cursor that it was given, and comes back when the
/// session ends: at once where the node asks for that (close codes 4200-4299), never after
/// 4000-4099, else after a wait that doubles from 0.1 s to 10 s, with jitter. A node that is
/// silent for its `ping_ms` and 10 s is asked, and left 10 s later.
pub struct Device {
    urls: Vec<String>,
    at: usize,
    machine: Machine,
    line: Line,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Device {
    /// A device that connects when it is first waited for, to its first node. An error names an
    /// address that is none; an empty list has an empty one.
    pub fn new(mut plan: DevicePlan) -> Result<Self, ClientError> {
        let urls = std::mem::take(&mut plan.urls);
        if urls.is_empty() {
            return Err(ClientError::Url(String::new()));
        }
        urls.iter().try_for_each(|url| check(url))?;
        Ok(Self { urls, at: 0, machine: Machine::new(plan, Instant::now()), line: Line::Down })
    }

    /// The next thing to be seen. Cancel-safe: nothing is lost with a future that is dropped.
    /// An error is the end, and comes again if it is asked again: the node does not want the
    /// device back as it is.
    pub async fn next(&mut self) -> Result<Seen, ClientError> {
        loop {
            if let Some(seen) = self.machine.next_seen() {
                return Ok(seen);
            }
            if let Some(end) = self.machine.end() {
                return Err(end);
            }
            self.prepare();
            let step = self.line.step(self.machine.due()).await;
            self.take(step);
        }
    }

    /// Takes a message to send: its mark, under which [`Seen::Answered`] says what became of it.
    /// Sends are written in their order, up to 16 unanswered ones, each with the newest id that
    /// the device has seen by then. An error if 1,024 wait already.
    pub fn send(&mut self, conversation: &str, body: Value) -> Result<Nonce, ClientError> {
        self.machine.send(conversation, body)
    }

    /// Leaves the connection there is without a goodbye, and goes on at another node by its place
    /// in the plan, at once.
    pub fn reconnect(&mut self, node: usize) {
        self.at = node;
        self.line = Line::Down;
        self.machine.lost(Loss::Left, Instant::now());
    }

    /// The newest cursor: after [`Seen::Cursor`] the one that came with it, unless the node had
    /// none to give.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.machine.cursor()
    }

    /// How many repeats of messages were not shown.
    pub const fn repeats(&self) -> u64 {
        self.machine.repeats()
    }

    /// Makes the line what the machine wants it to be.
    fn prepare(&mut self) {
        if self.machine.calls(Instant::now()) {
            self.line = Line::call(self.urls[self.at % self.urls.len()].clone());
        }
        if self.line.is_idle()
            && let Some(frame) = self.machine.write()
        {
            self.line.write(frame);
        }
    }

    fn take(&mut self, step: Step) {
        let now = Instant::now();
        match step {
            Step::Due => self.machine.tick(now),
            Step::Called(Ok(up)) => {
                self.line = Line::Up(up);
                self.machine.connected(now);
            }
            Step::Called(Err(error)) => self.machine.failed(&error, now),
            Step::Read(Ok(Some(Incoming::Text(text)))) => self.machine.text(&text, now),
            Step::Read(Ok(Some(Incoming::Closed { code, reason }))) => {
                self.machine.lost(Loss::Closed { code, reason }, now);
            }
            Step::Read(Ok(None)) => self.machine.heard(now),
            Step::Read(Err(error)) => self.machine.lost(Loss::Broke(error.to_string()), now),
            Step::Wrote => {}
        }
        let gone = matches!(self.line, Line::Up(_) | Line::Calling(_)) && !self.machine.is_up();
        if gone {
            self.line = Line::Down;
            self.at += 1;
        }
    }
}
