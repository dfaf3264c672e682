//! A connection that subscribes.
//!
//! The server confirms a command once per channel, and the client takes *every* confirmation as the
//! answer to its oldest command. So there is one command at a time, and it is answered when all its
//! confirmations have come. Otherwise the rest of them would answer the next command.

use std::sync::Arc;

use ::redis::{PushInfo, PushKind, Value, cmd};
use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use super::BusError;
use crate::bus::{PendingReply, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{Channel, ConnectError, ConnectOptions, RedisConnection, ServerInfo};

pub(super) struct RedisSubscription {
    connection: RedisConnection,
    turn: Mutex<()>,
    /// Confirmations so far.
    confirmations: watch::Receiver<u64>,
}

pub(super) async fn connect(
    url: &str,
    options: &ConnectOptions,
    shard: ShardIndex,
    sink: Arc<dyn PushSink>,
) -> Result<RedisSubscription, ConnectError> {
    let (confirmed, confirmations) = watch::channel(0);
    let on_push = move |info: PushInfo| match info.kind {
        PushKind::SSubscribe | PushKind::SUnsubscribe => confirmed.send_modify(|seen| *seen += 1),
        _ => {
            if let Some((channel, payload)) = message(info) {
                sink.push(shard, &channel, payload);
            }
        }
    };
    let connection = crate::redis::connect(url, options, on_push).await?;
    Ok(RedisSubscription { connection, turn: Mutex::new(()), confirmations })
}

/// The channel and payload of a push that is a message.
fn message(info: PushInfo) -> Option<(Vec<u8>, Bytes)> {
    if info.kind != PushKind::SMessage {
        return None;
    }
    let mut data = info.data.into_iter();
    match (data.next(), data.next()) {
        (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) => {
            Some((channel, payload.into()))
        }
        _ => None,
    }
}

impl RedisSubscription {
    async fn command(&self, name: &str, channels: &[Channel]) -> Result<(), BusError> {
        let mut command = cmd(name);
        for channel in channels {
            command.arg(channel.as_str());
        }
        let _turn = self.turn.lock().await;
        let mut confirmations = self.confirmations.clone();
        let due = *confirmations.borrow() + channels.len() as u64;
        let mut connection = self.connection.commands.clone();
        command.query_async::<Value>(&mut connection).await?;
        tokio::select! {
            confirmed = confirmations.wait_for(|seen| *seen >= due) => {
                confirmed.map(|_seen| ()).map_err(|_gone| BusError::Closed)
            }
            () = self.connection.closed.cancelled() => Err(BusError::Closed),
        }
    }
}

impl Subscription for RedisSubscription {
    fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(self.command("SSUBSCRIBE", channels))
    }

    fn unsubscribe<'a>(
        &'a self,
        channels: &'a [Channel],
    ) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(self.command("SUNSUBSCRIBE", channels))
    }

    fn closed(&self) -> PendingReply<'_, ()> {
        Box::pin(self.connection.closed.cancelled())
    }
}
