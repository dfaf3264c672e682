//! A connection that subscribes.
//!
//! The server confirms a command once per channel, and the client takes *every* confirmation as the
//! answer to its oldest command. So there is one command at a time, and it is answered when all its
//! confirmations have come. Otherwise the rest of them would answer the next command.

use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, PushInfo, PushKind, RedisError, Value, cmd};
use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use super::BusError;
use crate::bus::{PendingReply, PushSink, Subscription};
use crate::layout::ShardIndex;
use crate::redis::{
    Channel, ConnectError, ConnectOptions, MissingRights, PrimaryWatch, RightsTrial, ServerInfo,
    ShardAddress, ShardConnection, UnfitServer,
};

pub(super) struct RedisSubscription {
    connection: ShardConnection,
    turn: Mutex<()>,
    confirmations: watch::Receiver<Confirmations>,
    /// Follows failovers of the shard, for all connections of the node.
    _watch: Option<PrimaryWatch>,
}

/// What the server has confirmed.
#[derive(Debug, Default)]
struct Confirmations {
    count: u64,
    /// Whether one came by the name of another command.
    is_misnamed: bool,
}

/// Why a command is not carried out.
#[derive(Debug)]
enum CommandError {
    Redis(RedisError),
    Closed,
    Misnamed,
}

impl From<CommandError> for BusError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Redis(error) => error.into(),
            CommandError::Closed => Self::Closed,
            CommandError::Misnamed => Self::Refused(UnfitServer::Misnaming.to_string()),
        }
    }
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
    pub(super) async fn connect(
        address: &ShardAddress,
        options: &ConnectOptions,
        shard: ShardIndex,
        sink: Arc<dyn PushSink>,
    ) -> Result<Self, ConnectError> {
        let (confirmed, confirmations) = watch::channel(Confirmations::default());
        let on_push = move |info: PushInfo| match info.kind {
            PushKind::SSubscribe | PushKind::SUnsubscribe => {
                confirmed.send_modify(|seen| seen.count += 1);
            }
            PushKind::Subscribe | PushKind::Unsubscribe => {
                confirmed.send_modify(|seen| seen.is_misnamed = true);
            }
            _ => {
                if let Some((channel, payload)) = message(info) {
                    sink.push(shard, &channel, payload);
                }
            }
        };
        let connection = address.connect(options, on_push).await?;
        let turn = Mutex::new(());
        Ok(Self { connection, turn, confirmations, _watch: address.watch(options) })
    }

    pub(super) const fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    /// Tries what the node is going to do on the shard, within `bound`. Returns every right that
    /// its user lacks in one error.
    pub(super) async fn try_rights(
        &self,
        trial: &RightsTrial,
        bound: Duration,
    ) -> Result<(), BusError> {
        let late = |_elapsed| ConnectError::Timeout(bound);
        let refusals = tokio::time::timeout(bound, self.refusals(trial)).await.map_err(late)??;
        let missing = MissingRights::of_all(&refusals);
        missing.map_or(Ok(()), |missing| Err(ConnectError::Rights(missing).into()))
    }

    async fn refusals(&self, trial: &RightsTrial) -> Result<Vec<RedisError>, BusError> {
        let mut refusals = trial.commands(&mut self.connection.commands.clone()).await?;
        for name in ["SSUBSCRIBE", "SUNSUBSCRIBE"] {
            match self.command(name, std::slice::from_ref(&trial.channel)).await {
                Err(CommandError::Redis(error)) if !error.is_unrecoverable_error() => {
                    refusals.push(error);
                }
                answer => answer?,
            }
        }
        Ok(refusals)
    }

    async fn command(&self, name: &str, channels: &[Channel]) -> Result<(), CommandError> {
        let mut command = cmd(name);
        for channel in channels {
            command.arg(channel.as_str());
        }
        let _turn = self.turn.lock().await;
        tokio::select! {
            biased;
            carried_out = self.carry_out(&command, channels.len()) => carried_out,
            // A primary that was replaced may be frozen: its answer is not worth waiting for.
            () = self.connection.closed() => Err(CommandError::Closed),
        }
    }

    /// Sends a command, and waits until each of so many channels is confirmed.
    async fn carry_out(&self, command: &Cmd, channels: usize) -> Result<(), CommandError> {
        let mut confirmations = self.confirmations.clone();
        let due = confirmations.borrow().count + channels as u64;
        let mut connection = self.connection.commands.clone();
        command.query_async::<Value>(&mut connection).await.map_err(CommandError::Redis)?;
        let is_settled = |seen: &Confirmations| seen.is_misnamed || seen.count >= due;
        match confirmations.wait_for(is_settled).await {
            Ok(seen) if seen.is_misnamed => Err(CommandError::Misnamed),
            Ok(_) => Ok(()),
            Err(_gone) => Err(CommandError::Closed),
        }
    }
}

impl Subscription for RedisSubscription {
    fn server(&self) -> &ServerInfo {
        &self.connection.server
    }

    fn subscribe<'a>(&'a self, channels: &'a [Channel]) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(async { Ok(self.command("SSUBSCRIBE", channels).await?) })
    }

    fn unsubscribe<'a>(
        &'a self,
        channels: &'a [Channel],
    ) -> PendingReply<'a, Result<(), BusError>> {
        Box::pin(async { Ok(self.command("SUNSUBSCRIBE", channels).await?) })
    }

    fn closed(&self) -> PendingReply<'_, ()> {
        Box::pin(self.connection.closed())
    }
}
