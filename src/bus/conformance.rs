//! What every bus must do, run on each backend: a function a behaviour, against `Arc<dyn Bus>`.

mod behaviours;
mod memory;
mod on_redis;
pub(crate) mod redis_server;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Bus, OutboundPublish, Publisher, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::Channel;
use crate::redis::Channels;

/// The shard that is used and, in faults, taken away.
const SHARD: ShardIndex = ShardIndex(0);

/// How long an event may take before the test gives it up.
const PATIENCE: Duration = Duration::from_secs(15);

/// A bus whose shard can be taken away and given back.
trait Rig {
    fn bus(&self) -> Arc<dyn Bus>;
    /// Breaks every connection and lets none in.
    fn take_away(&mut self);
    /// Lets connections in again, to a server that knows nothing of before.
    fn give_back(&mut self);
}

/// What was pushed: the channel and the payload.
type Heard = (String, Bytes);

/// More pushes than any behaviour waits for.
const HEARD_MAX: usize = 4096;

struct Ear(mpsc::Sender<Heard>);

impl PushSink for Ear {
    fn push(&self, shard: ShardIndex, channel: &[u8], payload: Bytes) {
        assert_eq!(shard, SHARD);
        let channel = String::from_utf8(channel.to_vec()).expect("names of channels are UTF-8");
        // A test that ended listens no longer.
        let _ended = self.0.try_send((channel, payload));
    }
}

/// A connection that subscribes, and its pushes.
struct Listener {
    subscription: Arc<dyn Subscription>,
    heard: mpsc::Receiver<Heard>,
}

impl Listener {
    async fn connect(bus: &Arc<dyn Bus>) -> Self {
        let (ear, heard) = mpsc::channel(HEARD_MAX);
        let subscription = bus.subscriber(SHARD, Arc::new(Ear(ear))).await.expect("it is there");
        Self { subscription, heard }
    }

    async fn of(bus: &Arc<dyn Bus>, channels: &[Channel]) -> Self {
        let listener = Self::connect(bus).await;
        listener.subscription.subscribe(channels).await.expect("it is confirmed");
        listener
    }

    async fn next(&mut self) -> Heard {
        let heard = timeout(PATIENCE, self.heard.recv()).await.expect("something is heard");
        heard.expect("the ear lives")
    }

    async fn expect(&mut self, channel: &Channel, payload: &str) {
        let heard = self.next().await;
        assert_eq!(heard, (channel.to_string(), Bytes::from(payload.to_owned())));
    }
}

fn channel(name: &str) -> Channel {
    Channels::new("suite").node(name)
}

async fn publisher(bus: &Arc<dyn Bus>) -> Arc<dyn Publisher> {
    bus.publisher(SHARD).await.expect("it is there")
}

/// Publishes texts in one batch: how many received each.
async fn publish(publisher: &dyn Publisher, texts: &[(&Channel, &str)]) -> Vec<u64> {
    let publish = |&(channel, text): &(&Channel, &str)| OutboundPublish {
        channel: channel.clone(),
        payload: Bytes::from(text.to_owned()),
    };
    let batch: Vec<OutboundPublish> = texts.iter().map(publish).collect();
    let answers = publisher.publish(&batch).await.expect("the connection lives");
    answers.into_iter().map(|answer| answer.expect("it is answered")).collect()
}
