//! A connection that hears.
//!
//! It carries nothing but subscribes and signs of life: the client takes every confirmation for
//! the answer to its oldest command, so an unasked-for one would answer somebody else's.

use std::sync::Arc;

use ::redis::{PushInfo, PushKind, Value, cmd};
use bytes::Bytes;

use super::BusError;
use crate::bus::{Pending, Sink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{Channel, ConnectError, ConnectOptions, Connection, RunId};

pub(super) struct RedisSubscription {
    connection: Connection,
}

pub(super) async fn connect(
    url: &str,
    options: &ConnectOptions,
    shard: ShardIndex,
    sink: Arc<dyn Sink>,
) -> Result<RedisSubscription, ConnectError> {
    let on_push = move |info: PushInfo| {
        if let Some((channel, payload)) = message(info) {
            sink.push(shard, &channel, payload);
        }
    };
    Ok(RedisSubscription { connection: crate::redis::connect(url, options, on_push).await? })
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
        let mut connection = self.connection.commands.clone();
        command.query_async::<Value>(&mut connection).await?;
        Ok(())
    }
}

impl Subscription for RedisSubscription {
    fn run_id(&self) -> &RunId {
        &self.connection.server.run_id
    }

    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> Pending<'a, Result<(), BusError>> {
        Box::pin(self.command("SSUBSCRIBE", channels))
    }

    fn unsubscribe<'a>(&'a self, channels: &'a [Channel]) -> Pending<'a, Result<(), BusError>> {
        Box::pin(self.command("SUNSUBSCRIBE", channels))
    }

    fn ping(&self) -> Pending<'_, Result<(), BusError>> {
        Box::pin(self.command("PING", &[]))
    }

    fn closed(&self) -> Pending<'_, ()> {
        Box::pin(self.connection.closed.cancelled())
    }
}
