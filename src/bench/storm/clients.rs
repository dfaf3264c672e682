//! The clients of a storm: devices, as the protocol's page tells clients to come back.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::log::StormLog;
use crate::bench::clients::LoadTokens;
use crate::bench::error::BenchError;
use crate::bench::timer::ExactTimer;
use crate::client::{Device, DeviceOptions, Nonce, Seen, SendOutcomeSeen};

/// Clients that connect at once before the storm.
const CONNECTING_MAX: usize = 64;

/// What all clients of a storm share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) log: Arc<Mutex<StormLog>>,
    /// Marks the messages of this run.
    run: u64,
    places: Arc<Semaphore>,
    tokens: Arc<LoadTokens>,
}

/// A device, and which session of the log it is.
pub(super) struct StormClient {
    device: Device,
    session: usize,
    user: String,
    shared: Shared,
}

/// Where a sender's messages go, in turn, and how often it sends.
#[derive(Debug)]
pub(super) struct Course {
    /// Sessions, and their users.
    pub(super) to: Vec<(usize, String)>,
    /// Whether they are the bystanders' own.
    pub(super) is_probe: bool,
    pub(super) every: Duration,
    pub(super) timer: ExactTimer,
    /// Ends the sends.
    pub(super) stop: CancellationToken,
}

impl Shared {
    pub(super) fn new(log: StormLog) -> Self {
        Self {
            log: Arc::new(Mutex::new(log)),
            run: rand::random::<u32>().into(),
            places: Arc::new(Semaphore::new(CONNECTING_MAX)),
            tokens: Arc::new(LoadTokens::new()),
        }
    }

    /// The user of a session.
    pub(super) fn user(&self, session: usize) -> String {
        format!("storm-{:08x}-{session}", self.run)
    }

    /// The number of a message of this run.
    fn number_of(&self, body: &Value) -> Option<u64> {
        (body["storm"] == self.run).then(|| body["message"].as_u64()).flatten()
    }
}

impl StormClient {
    pub(super) fn new(
        session: usize,
        urls: Vec<String>,
        shared: &Shared,
    ) -> Result<Self, BenchError> {
        let user = shared.user(session);
        let token = shared.tokens.of(&user);
        let device = Device::new(DeviceOptions::new(urls, token, "storm".into()))?;
        Ok(Self { device, session, user, shared: shared.clone() })
    }

    /// Connects when it is its turn, and listens without end.
    pub(super) async fn listen(mut self) {
        let places = Arc::clone(&self.shared.places);
        let mut place = places.acquire().await.ok();
        let end = loop {
            match self.device.next().await {
                Ok(seen) => {
                    if matches!(seen, Seen::Cursor { .. }) {
                        place = None;
                    }
                    self.see(seen);
                }
                Err(end) => break end,
            }
        };
        drop(place);
        self.shared.log.lock().refused(&end.to_string());
    }

    /// Sends as well: each message at its intended time, without waiting for earlier answers.
    pub(super) async fn send(mut self, mut course: Course) {
        let mut waiting: AHashMap<Nonce, usize> = AHashMap::new();
        let mut turns = course.to.iter().cycle();
        let mut due = Instant::now();
        loop {
            let may_send = !course.stop.is_cancelled();
            let wait = due.saturating_duration_since(Instant::now());
            tokio::select! {
                seen = self.device.next() => match seen {
                    Ok(Seen::Answered { nonce, outcome }) => {
                        if let Some(message) = waiting.remove(&nonce) {
                            self.shared.log.lock().answered(message, outcome);
                        }
                    }
                    Ok(seen) => self.see(seen),
                    Err(_end) => return,
                },
                slept = course.timer.sleep(wait), if may_send => {
                    if let Err(error) = slept {
                        return self.shared.log.lock().refused(&error.to_string());
                    }
                    if let Some((to, user)) = turns.next() {
                        self.send_one((*to, user), course.is_probe, due, &mut waiting);
                    }
                    due += course.every;
                }
                () = course.stop.cancelled(), if may_send => {}
            }
        }
    }

    fn send_one(
        &mut self,
        (to, user): (usize, &str),
        is_probe: bool,
        intended: Instant,
        waiting: &mut AHashMap<Nonce, usize>,
    ) {
        let mut log = self.shared.log.lock();
        let message = log.sending(to, is_probe, intended);
        let body = json!({"storm": self.shared.run, "message": message});
        match self.device.send(&format!("user.{user}"), body) {
            Ok(nonce) => drop(waiting.insert(nonce, message)),
            Err(error) => {
                let (code, message_text) = ("generator".to_owned(), error.to_string());
                let refused = SendOutcomeSeen::Refused { code, message: message_text };
                log.answered(message, refused);
            }
        }
    }

    fn see(&self, seen: Seen) {
        let (now, mut log) = (Instant::now(), self.shared.log.lock());
        match seen {
            Seen::Connected { .. } => log.connected(),
            Seen::Refused { why } => log.refused(&why),
            Seen::Lost { .. } => log.lost(self.session, now),
            Seen::Cursor { resume } => log.cursor(self.session, resume, now),
            // A sender that comes back may be shown what it sent before.
            Seen::Message { from, .. } if from == self.user => {}
            Seen::Message { body, replaces, .. } => {
                if let Some(message) = self.shared.number_of(&body) {
                    log.arrived(self.session, message, replaces.is_some(), now);
                }
            }
            Seen::Event(_) | Seen::Answered { .. } => {}
        }
    }
}
