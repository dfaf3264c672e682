//! A device of a user: one session after another, on any node that accepts it, as one stream of
//! what its application sees.

mod connection;
mod dedup;
mod events;
mod frame;
mod keepalive;
mod reconnect;
mod sends;
mod state;

use std::fmt;

use serde_json::Value;
use tokio::time::Instant;

use super::connect::{ClientError, Incoming, check};
use crate::auth::claimed_user;
use crate::domain::UserId;
use connection::{ConnectionStep, DeviceConnection};
use state::DeviceState;

pub use events::{Cursor, GapSeen, Nonce, ResumeSeen, Seen, SendOutcomeSeen};
pub(crate) use keepalive::{Keepalive, KeepaliveAction};
pub(crate) use reconnect::{ConnectionLoss, Reconnect};

/// What a device is made from.
#[derive(Clone)]
pub struct DeviceOptions {
    /// Addresses of nodes, such as `ws://127.0.0.1:8080/v1/ws`: it tries them in turn.
    pub urls: Vec<String>,
    /// The user's token.
    pub token: String,
    /// The device's name.
    pub device: String,
    /// The cursor at which an earlier session ended.
    pub cursor: Option<Cursor>,
    /// Patterns of events.
    pub subscribe: Vec<String>,
    /// Whether a send is repeated under its nonce on the next session, if it got no answer or its
    /// outcome is unknown. It may then be stored twice, and devices show it once.
    pub resend: bool,
}

impl DeviceOptions {
    /// Plans a device without a past and without patterns, which repeats sends.
    pub const fn new(urls: Vec<String>, token: String, device: String) -> Self {
        Self { urls, token, device, cursor: None, subscribe: Vec::new(), resend: true }
    }
}

impl fmt::Debug for DeviceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plan = f.debug_struct("DevicePlan");
        plan.field("urls", &self.urls).field("device", &self.device).finish_non_exhaustive()
    }
}

/// A device. It runs in [`Device::next`] and does nothing while no caller waits there: it has no
/// task and no thread of its own.
///
/// It connects, sends `hello` with the newest cursor that it was given, and reconnects when the
/// session ends. It does so at once where the node asks for that (close codes 4200-4299), and never
/// after 4000-4099. Otherwise it waits from 0.1 s to 10 s, doubling, with jitter. If a node is
/// silent for its `ping_ms` and 10 s more, the device pings it, and leaves it 10 s later.
pub struct Device {
    urls: Vec<String>,
    /// The user of its token, for a balancer.
    user: Option<UserId>,
    at: usize,
    machine: DeviceState,
    line: DeviceConnection,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Device {
    /// Makes a device that connects to its first node when it is first waited for. It fails with
    /// the first malformed address; an empty list counts as an empty address.
    pub fn new(mut plan: DeviceOptions) -> Result<Self, ClientError> {
        let urls = std::mem::take(&mut plan.urls);
        if urls.is_empty() {
            return Err(ClientError::Url(String::new()));
        }
        urls.iter().try_for_each(|url| check(url))?;
        Ok(Self {
            urls,
            user: claimed_user(&plan.token),
            at: 0,
            machine: DeviceState::new(plan, Instant::now()),
            line: DeviceConnection::Down,
        })
    }

    /// Returns the next thing to be seen. Cancel-safe: a dropped future loses nothing. An error is
    /// the end, and is returned again by further calls: the node does not accept the device as it
    /// is.
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

    /// Queues a message and returns its mark, under which [`Seen::Answered`] reports the outcome.
    /// Sends are written in their order, up to 16 unanswered ones, each with the newest id that the
    /// device has seen by then. It fails if 1,024 wait already.
    pub fn send(&mut self, conversation: &str, body: Value) -> Result<Nonce, ClientError> {
        self.machine.send(conversation, body)
    }

    /// Drops the present connection without a close, and goes on at once at another node, by its
    /// index in the plan.
    pub fn reconnect(&mut self, node: usize) {
        self.at = node;
        self.line = DeviceConnection::Down;
        self.machine.lost(ConnectionLoss::Left, Instant::now());
    }

    /// The newest cursor: after [`Seen::Cursor`] the one that came with it.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.machine.cursor()
    }

    /// How many repeats of messages were not shown.
    pub const fn repeats(&self) -> u64 {
        self.machine.repeats()
    }

    /// Connects or disconnects as the state machine asks.
    fn prepare(&mut self) {
        if self.machine.calls(Instant::now()) {
            let url = self.urls[self.at % self.urls.len()].clone();
            self.line = DeviceConnection::call(url, self.user.clone());
        }
        if self.line.is_idle()
            && let Some(frame) = self.machine.write()
        {
            self.line.write(frame);
        }
    }

    fn take(&mut self, step: ConnectionStep) {
        let now = Instant::now();
        match step {
            ConnectionStep::Due => self.machine.tick(now),
            ConnectionStep::Called(Ok(up)) => {
                self.line = DeviceConnection::Up(up);
                self.machine.connected(now);
            }
            ConnectionStep::Called(Err(error)) => self.machine.failed(&error, now),
            ConnectionStep::Read(Ok(Some(Incoming::Text(text)))) => self.machine.text(&text, now),
            ConnectionStep::Read(Ok(Some(Incoming::Closed { code, reason }))) => {
                self.machine.lost(ConnectionLoss::Closed { code, reason }, now);
            }
            ConnectionStep::Read(Ok(None)) => self.machine.heard(now),
            ConnectionStep::Read(Err(error)) => {
                self.machine.lost(ConnectionLoss::Broke(error.to_string()), now);
            }
            ConnectionStep::Wrote => {}
        }
        let gone = matches!(self.line, DeviceConnection::Up(_) | DeviceConnection::Calling(_))
            && !self.machine.is_up();
        if gone {
            self.line = DeviceConnection::Down;
            self.at += 1;
        }
    }
}
