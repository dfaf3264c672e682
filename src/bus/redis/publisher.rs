//! A connection that publishes.

use ::redis::aio::ConnectionLike;
use ::redis::{Pipeline, Value, cmd};

use super::BusError;
use crate::bus::{OutboundPublish, PendingReply, Publisher};
use crate::redis::{ConnectError, ConnectOptions, ServerInfo, ShardAddress, ShardConnection};

pub(super) struct RedisPublisher {
    connection: ShardConnection,
}

pub(super) async fn connect(
    address: &ShardAddress,
    options: &ConnectOptions,
) -> Result<RedisPublisher, ConnectError> {
    let connection = address.connect(options, |_push| ()).await?;
    Ok(RedisPublisher { connection })
}

impl RedisPublisher {
    pub(super) const fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    async fn send(
        &self,
        batch: &[OutboundPublish],
    ) -> Result<Vec<Result<u64, BusError>>, BusError> {
        let mut pipeline = Pipeline::with_capacity(batch.len());
        for publish in batch {
            let mut command = cmd("SPUBLISH");
            command.arg(publish.channel.as_str()).arg(&publish.payload[..]);
            pipeline.add_command(command);
        }
        // Not `query_async`: it would turn one refused publish into a failure of the batch.
        let mut connection = self.connection.commands.clone();
        let replies = tokio::select! {
            biased;
            replies = connection.req_packed_commands(&pipeline, 0, batch.len()) => replies?,
            () = self.connection.outdated() => return Err(BusError::Closed),
        };
        Ok(replies.into_iter().map(answer).collect())
    }
}

fn answer(reply: Value) -> Result<u64, BusError> {
    match reply {
        Value::Int(receivers) => Ok(receivers.unsigned_abs()),
        Value::ServerError(error) => Err(BusError::Refused(error.to_string())),
        other => Err(BusError::Refused(format!(
            "an answer to a publish must be a number, not {other:?}"
        ))),
    }
}

impl Publisher for RedisPublisher {
    fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    fn publish<'a>(
        &'a self,
        batch: &'a [OutboundPublish],
    ) -> PendingReply<'a, Result<Vec<Result<u64, BusError>>, BusError>> {
        Box::pin(self.send(batch))
    }

    fn closed(&self) -> PendingReply<'_, ()> {
        Box::pin(self.connection.closed())
    }
}
