//! The in-memory twin: joins nodes of one process. It carries bytes like the real one, and can be
//! cut, made to drop and made to delay.

mod listeners;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::listeners::Listeners;
use super::{Bus, BusError, OutboundPublish, PendingReply, Publisher, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{Channel, ServerInfo};

/// A number of shards in this process.
#[derive(Debug, Clone)]
pub struct MemoryBus {
    shards: Arc<[Arc<Shard>]>,
}

#[derive(Debug)]
struct Shard {
    index: ShardIndex,
    state: Mutex<State>,
}

struct State {
    /// The run of the imagined server; a cut begins another one.
    run: u32,
    server: ServerInfo,
    reachable: bool,
    next_connection: u32,
    listeners: Listeners,
    /// Where the pushes of a connection go.
    sinks: AHashMap<u32, Arc<dyn PushSink>>,
    closed: CancellationToken,
    drops: u64,
    delay: Duration,
    delayed: VecDeque<(Instant, Delivery)>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("run", &self.run).finish_non_exhaustive()
    }
}

struct Delivery {
    sinks: Vec<Arc<dyn PushSink>>,
    publish: OutboundPublish,
}

impl Delivery {
    fn deliver(self, shard: ShardIndex) {
        for sink in &self.sinks {
            sink.push(
                shard,
                self.publish.channel.as_str().as_bytes(),
                self.publish.payload.clone(),
            );
        }
    }
}

impl MemoryBus {
    /// A bus of `shards` shards.
    pub fn new(shards: u32) -> Self {
        Self { shards: (0..shards).map(|index| Arc::new(Shard::new(ShardIndex(index)))).collect() }
    }

    fn shard(&self, shard: ShardIndex) -> &Arc<Shard> {
        &self.shards[shard.0 as usize]
    }

    /// Cuts every connection to a shard and refuses new ones until [`Self::heal`].
    pub fn cut(&self, shard: ShardIndex) {
        let mut state = self.shard(shard).state.lock();
        let run = state.run + 1;
        state.closed.cancel();
        *state = State { reachable: false, ..State::new(shard, run) };
    }

    /// Accepts connections again, to a server that has no memory of earlier ones.
    pub fn heal(&self, shard: ShardIndex) {
        self.shard(shard).state.lock().reachable = true;
    }

    /// Loses the next `publishes` publishes to a shard after they were answered.
    pub fn drop_next(&self, shard: ShardIndex, publishes: u64) {
        self.shard(shard).state.lock().drops = publishes;
    }

    /// Delays every publish to a shard, in order.
    pub fn delay(&self, shard: ShardIndex, delay: Duration) {
        self.shard(shard).state.lock().delay = delay;
    }
}

/// The server of a shard in memory has no version.
fn server_in_memory(shard: ShardIndex, run: u32) -> ServerInfo {
    ServerInfo::in_memory(&format!("memory-{}-{run}", shard.0))
}

impl State {
    fn new(shard: ShardIndex, run: u32) -> Self {
        Self {
            run,
            server: server_in_memory(shard, run),
            reachable: true,
            next_connection: 0,
            listeners: Listeners::new(),
            sinks: AHashMap::new(),
            closed: CancellationToken::new(),
            drops: 0,
            delay: Duration::ZERO,
            delayed: VecDeque::new(),
        }
    }

    fn delivery(&self, publish: &OutboundPublish) -> Delivery {
        let connections = self.listeners.of(&publish.channel);
        let sinks = connections.filter_map(|number| self.sinks.get(&number)).cloned().collect();
        Delivery { sinks, publish: publish.clone() }
    }
}

impl Shard {
    fn new(index: ShardIndex) -> Self {
        Self { index, state: Mutex::new(State::new(index, 0)) }
    }

    /// Returns a connection to the shard, if it can be reached.
    fn connect(self: &Arc<Self>) -> Result<Connection, BusError> {
        let mut state = self.state.lock();
        if !state.reachable {
            return Err(BusError::Unreachable("the shard is cut off".into()));
        }
        state.next_connection += 1;
        Ok(Connection {
            shard: Arc::clone(self),
            number: state.next_connection,
            server: state.server.clone(),
            closed: state.closed.clone(),
        })
    }

    /// Takes a publish and pushes it on, at once or after the delay. Sinks are called under the
    /// lock, since a server has one order for everything: no push follows an unsubscribe or a cut.
    fn publish(self: &Arc<Self>, publish: &OutboundPublish) -> u64 {
        let mut state = self.state.lock();
        let delivery = state.delivery(publish);
        let receivers = delivery.sinks.len() as u64;
        if state.drops > 0 {
            state.drops -= 1;
        } else if state.delay.is_zero() && state.delayed.is_empty() {
            delivery.deliver(self.index);
        } else {
            let due = Instant::now() + state.delay;
            state.delayed.push_back((due, delivery));
            drop(state);
            let shard = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                shard.deliver_due();
            });
        }
        receivers
    }

    fn deliver_due(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        while let Some((_, delivery)) = state.delayed.pop_front_if(|(due, _)| *due <= now) {
            delivery.deliver(self.index);
        }
    }
}

struct Connection {
    shard: Arc<Shard>,
    number: u32,
    server: ServerInfo,
    closed: CancellationToken,
}

impl Connection {
    /// Runs `act` on the shard unless this connection was cut.
    fn alive<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, BusError> {
        let mut state = self.shard.state.lock();
        if self.closed.is_cancelled() { Err(BusError::Closed) } else { Ok(act(&mut state)) }
    }
}

struct MemorySubscription {
    connection: Connection,
    sink: Arc<dyn PushSink>,
}

impl MemorySubscription {
    fn leave(&self, channels: &[Channel]) -> Result<(), BusError> {
        let number = self.connection.number;
        self.connection.alive(|state| {
            channels.iter().for_each(|channel| state.listeners.leave(channel, number));
        })
    }

    fn join(&self, channels: &[Channel]) -> Result<(), BusError> {
        let number = self.connection.number;
        self.connection.alive(|state| {
            state.sinks.entry(number).or_insert_with(|| Arc::clone(&self.sink));
            channels.iter().for_each(|channel| state.listeners.join(channel, number));
        })
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        let number = self.connection.number;
        // A connection that was cut has no subscription left.
        let _cut = self.connection.alive(|state| {
            state.sinks.remove(&number);
            state.listeners.leave_all(number);
        });
    }
}

impl Subscription for MemorySubscription {
    fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(async move { self.join(channels) })
    }

    fn unsubscribe<'a>(
        &'a self,
        channels: &'a [Channel],
    ) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(async move { self.leave(channels) })
    }

    fn closed(&self) -> PendingReply<'_, ()> {
        Box::pin(self.connection.closed.cancelled())
    }
}

impl Publisher for Connection {
    fn server(&self) -> &ServerInfo {
        &self.server
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [OutboundPublish],
    ) -> PendingReply<'a, Result<Vec<Result<u64, BusError>>, BusError>> {
        Box::pin(async move {
            self.alive(|_| ())?;
            Ok(batch.iter().map(|publish| Ok(self.shard.publish(publish))).collect())
        })
    }

    fn closed(&self) -> PendingReply<'_, ()> {
        Box::pin(self.closed.cancelled())
    }
}

impl Bus for MemoryBus {
    fn subscriber(
        &self,
        shard: ShardIndex,
        sink: Arc<dyn PushSink>,
    ) -> PendingReply<'_, Result<Arc<dyn Subscription>, BusError>> {
        Box::pin(async move {
            let connection = self.shard(shard).connect()?;
            Ok(Arc::new(MemorySubscription { connection, sink }) as Arc<dyn Subscription>)
        })
    }

    fn publisher(
        &self,
        shard: ShardIndex,
    ) -> PendingReply<'_, Result<Arc<dyn Publisher>, BusError>> {
        Box::pin(async move { Ok(Arc::new(self.shard(shard).connect()?) as Arc<dyn Publisher>) })
    }
}
