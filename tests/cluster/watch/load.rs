//! Users with several devices each who write to each other.

use std::time::Duration;

use narrowcast::client::{ClientError, Device, DeviceOptions, Seen, SendOutcomeSeen};
use narrowcast::domain::{Conversation, UserId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::judge::Judge;
use super::log::{Claim, DeviceId, Fact, SharedLog};
use crate::cluster::shards::name_on;
use crate::harness::{PATIENCE, eventually, token};

/// Pairs who write to each other.
const PAIRS: usize = 3;

/// Devices of a user, on nodes of different halves.
const DEVICES: usize = 2;

/// Between two sends, of all devices together: some 30 a second.
const SEND_PAUSE: Duration = Duration::from_millis(33);

/// Between two devices that go to another node.
const WANDER_PAUSE: Duration = Duration::from_millis(250);

/// How long it is away between the two.
const AWAY: Duration = Duration::from_millis(700);

/// Orders that wait for a device, which takes them at once.
const ORDERS_MAX: usize = 64;

/// How long it may take, after the last send, until everything is everywhere.
pub const HEAL_PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at whether it is.
const HEAL_POLL: Duration = Duration::from_millis(200);

/// Somebody who writes to somebody.
#[derive(Clone)]
pub struct User {
    pub name: String,
    pub token: String,
    conversation: String,
}

/// Pairs of users; of each pair one's bucket is on the first of two shards, the other's on the
/// second.
pub fn cast() -> Vec<User> {
    let pair = |number: usize| {
        let names = [0, 1].map(|shard| name_on(shard, "user", &format!("pair{number}-{shard}")));
        let [a, b] = names.each_ref().map(|name| UserId::parse(name).expect("a name"));
        let conversation = Conversation::between(&a, &b).to_string();
        names.map(|name| User { token: token(&name), name, conversation: conversation.clone() })
    };
    (0..PAIRS).flat_map(pair).collect()
}

/// Where a device of a user begins.
const fn home(user: usize, place: usize, nodes: usize) -> usize {
    user + place * nodes / DEVICES
}

enum Order {
    Send { conversation: String, body: Value },
    Move { node: usize },
}

/// The devices of a cast, and those who make them write.
pub struct Load {
    pub log: SharedLog,
    nodes: usize,
    orders: Vec<mpsc::Sender<Order>>,
    devices: Vec<JoinHandle<u64>>,
    /// Who writes in which conversation.
    writers: Vec<String>,
    sending: Option<DropGuard>,
    wandering: Option<DropGuard>,
}

impl Load {
    /// Connects the devices and lets them write, once each is in a session.
    pub async fn start(users: &[User], urls: &[String], log: SharedLog, seed: u64) -> Self {
        let (orders, devices, writers) = Default::default();
        let (sending, wandering) = (None, None);
        let nodes = urls.len();
        let mut load = Self { log, nodes, orders, devices, writers, sending, wandering };
        for (number, user) in users.iter().enumerate() {
            for place in 0..DEVICES {
                load.add_device(user, urls, home(number, place, nodes));
            }
        }
        let log = &load.log;
        eventually("everybody is in", || log.lock().greeted() == load.devices.len()).await;
        load.sending = Some(load.keep_sending(seed));
        load
    }

    fn add_device(&mut self, user: &User, urls: &[String], node: usize) {
        let id = self.log.lock().add_device(&user.name);
        let plan = DeviceOptions::new(urls.to_vec(), user.token.clone(), format!("d{}", id.0));
        // Each send is tried once. A second try may become a second message: the record of the
        // first may not be stored yet.
        let mut device = Device::new(DeviceOptions { resend: false, ..plan }).expect("addresses");
        device.reconnect(node);
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let witness = Witness { device, id, log: self.log.clone(), away_until: Instant::now() };
        self.devices.push(tokio::spawn(witness.live(taken)));
        self.orders.push(orders);
        self.writers.push(user.conversation.clone());
    }

    /// Somebody sends, again and again, until the guard is dropped.
    fn keep_sending(&self, seed: u64) -> DropGuard {
        let (orders, writers) = (self.orders.clone(), self.writers.clone());
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sent = 0;
        keep_on(SEND_PAUSE, move || {
            let writer = rng.random_range(0..orders.len());
            let (conversation, body) = (writers[writer].clone(), json!(sent));
            sent += 1;
            give(&orders[writer], Order::Send { conversation, body });
        })
    }

    /// Every device goes to the node where it began.
    pub fn go_home(&self) {
        for (number, orders) in self.orders.iter().enumerate() {
            let node = home(number / DEVICES, number % DEVICES, self.nodes) % self.nodes;
            give(orders, Order::Move { node });
        }
    }

    /// From here on some device goes to another node, again and again.
    pub fn wander(&mut self, seed: u64) {
        let (orders, nodes) = (self.orders.clone(), self.nodes);
        let mut rng = StdRng::seed_from_u64(seed);
        self.wandering = Some(keep_on(WANDER_PAUSE, move || {
            let device = rng.random_range(0..orders.len());
            give(&orders[device], Order::Move { node: rng.random_range(0..nodes) });
        }));
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.orders.len()
    }

    /// Waits until so many more sends are acknowledged.
    pub async fn more(&self, count: usize) {
        let goal = self.log.lock().acked() + count;
        eventually("sends are acknowledged", || self.log.lock().acked() >= goal).await;
    }

    /// Ends the writing and the wandering, and waits until every send has its outcome and what
    /// was acknowledged is everywhere, or until it has been long enough.
    pub async fn settle(&mut self) {
        (self.sending, self.wandering) = (None, None);
        let until = Instant::now() + HEAL_PATIENCE;
        while !self.is_settled() && Instant::now() < until {
            tokio::time::sleep(HEAL_POLL).await;
        }
        let unanswered = self.log.lock().unanswered();
        assert_eq!(unanswered, 0, "sends have no outcome within {HEAL_PATIENCE:?}");
    }

    fn is_settled(&self) -> bool {
        let log = self.log.lock();
        log.unanswered() == 0 && Judge::new(&log).is_whole()
    }

    /// Lets the devices go.
    pub async fn end(self) {
        drop(self.orders);
        for device in self.devices {
            let repeats = device.await.expect("it did not panic");
            self.log.lock().repeats += repeats;
        }
    }
}

fn give(device: &mpsc::Sender<Order>, order: Order) {
    // A device that is not wanted back takes none: that is in the log.
    let _gone = device.try_send(order);
}

/// Does something again and again, until the guard is dropped.
fn keep_on(pause: Duration, mut act: impl FnMut() + Send + 'static) -> DropGuard {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            act();
        }
    });
    stop.drop_guard()
}

/// A device that writes down what it sees.
struct Witness {
    device: Device,
    id: DeviceId,
    log: SharedLog,
    /// A device that nobody waits for does nothing: until then it has no connection.
    away_until: Instant,
}

impl Witness {
    /// Lives until there are no more orders: how many repeats the device has kept back.
    async fn live(mut self, mut orders: mpsc::Receiver<Order>) -> u64 {
        loop {
            let (device, back) = (&mut self.device, sleep_until(self.away_until));
            let seen = async move {
                back.await;
                device.next().await
            };
            tokio::select! {
                seen = seen => match seen {
                    Ok(seen) => self.see(seen),
                    Err(error) => {
                        self.end(&error);
                        return self.device.repeats();
                    }
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return self.device.repeats(),
                },
            }
        }
    }

    fn end(&self, error: &ClientError) {
        self.log.lock().note(self.id, Fact::Ended { why: error.to_string() });
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Send { conversation, body } => {
                let nonce = self.device.send(&conversation, body.clone()).expect("there is room");
                self.log.lock().note(self.id, Fact::Sending { nonce, conversation, body });
            }
            Order::Move { node } => {
                self.device.reconnect(node);
                self.away_until = Instant::now() + AWAY;
            }
        }
    }

    fn see(&self, seen: Seen) {
        let fact = match seen {
            Seen::Connected { .. } => Fact::Connected,
            Seen::Refused { .. } => return,
            Seen::Lost { .. } => Fact::Lost,
            Seen::Message { id, conversation, from, dedup, body, .. } => {
                Fact::Saw { id, conversation, from, dedup, body }
            }
            Seen::Cursor { resume } => {
                let cursor = self.device.cursor().cloned();
                Fact::Held { cursor, claim: Claim::of(resume) }
            }
            Seen::Answered { nonce, outcome: SendOutcomeSeen::Sent { id } } => {
                Fact::Acked { nonce, id }
            }
            Seen::Answered { outcome: SendOutcomeSeen::Unknown, .. } => Fact::Unknown,
            Seen::Answered { nonce, outcome: SendOutcomeSeen::Refused { code, .. } } => {
                Fact::Refused { nonce, code }
            }
            Seen::Event(event) => panic!("nobody publishes: {event}"),
        };
        self.log.lock().note(self.id, fact);
    }
}

/// Sessions of somebody who comes with a cursor, until the node says that that was all.
pub async fn come_back(plan: DeviceOptions, node: usize) -> (Claim, Vec<Seen>) {
    let mut device = Device::new(plan).expect("addresses");
    device.reconnect(node);
    let mut seen = Vec::new();
    let all = async {
        loop {
            match device.next().await.expect("the node lets it in") {
                Seen::Cursor { resume } => return Claim::of(resume),
                other => seen.push(other),
            }
        }
    };
    let claim = tokio::time::timeout(PATIENCE, all).await.expect("a resume ends in time");
    (claim, seen)
}
