//! The address of a shard: a server, or the sentinels that name one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ::redis::PushInfo;
use ::redis::aio::MultiplexedConnection;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::address::RedisAddress;
use super::connect::connect;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::primary_watch::PrimaryWatch;
use super::sentinel_group::{PrimaryChange, SentinelGroup, SentinelOptions};
use super::server::ServerInfo;
use super::url::RedisUrl;

/// The address of a shard. Copies of it share what they learn from sentinels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardAddress {
    /// Always this server.
    Server(RedisAddress),
    /// The primary that sentinels name.
    Sentinels(Arc<SentinelGroup>),
}

/// A live connection to a shard.
#[derive(Debug, Clone)]
pub struct ShardConnection {
    /// Sends commands.
    pub commands: MultiplexedConnection,
    /// The server that answered, read on this very connection.
    pub server: ServerInfo,
    gone: CancellationToken,
    change: Option<PrimaryChange>,
}

impl ShardConnection {
    /// Resolves once the connection is gone, or leads to a server that is no longer the primary.
    pub async fn closed(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.outdated() => {}
        }
    }

    /// Resolves once the connection leads to a server that is no longer the primary. That one may be
    /// frozen, so an answer of it is not worth waiting for.
    pub async fn outdated(&self) {
        match &self.change {
            None => std::future::pending().await,
            Some(change) => change.happened().await,
        }
    }
}

/// A connection for commands, without what is told of its server.
pub(super) struct CommandConnection {
    pub(super) commands: MultiplexedConnection,
    change: Option<PrimaryChange>,
}

impl CommandConnection {
    /// Whether it leads to a server that is no longer the primary.
    pub(super) fn is_outdated(&self) -> bool {
        self.change.as_ref().is_some_and(PrimaryChange::has_happened)
    }
}

impl ShardAddress {
    /// Returns how many sentinels there are.
    pub fn sentinels(&self) -> usize {
        match self {
            Self::Server(_) => 0,
            Self::Sentinels(group) => group.options().sentinels.len(),
        }
    }

    /// Connects by RESP3. `on_push` is called on the connection's own task with every push but
    /// disconnections: it must not block.
    ///
    /// There is no timeout per reply. Each caller sets its own, so that a batch needs one timer and
    /// not one per command.
    pub async fn connect(
        &self,
        options: &ConnectOptions,
        on_push: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<ShardConnection, ConnectError> {
        let (connection, change) = match self {
            Self::Server(address) => (connect(address, options, on_push).await?, None),
            Self::Sentinels(group) => {
                let (connection, change) = group.connect(options, on_push).await?;
                (connection, Some(change))
            }
        };
        let (commands, server) = (connection.commands, connection.server);
        Ok(ShardConnection { commands, server, gone: connection.closed, change })
    }

    /// Connects for commands alone.
    pub(super) async fn connect_for_commands(
        &self,
        options: &ConnectOptions,
    ) -> Result<CommandConnection, ConnectError> {
        match self {
            Self::Server(address) => {
                let attempt = async {
                    let client = address.resolve(options).await?;
                    address.open_for_commands(&client, options).await
                };
                let late = |_elapsed| address.late(options.connect);
                let commands = timeout(options.connect, attempt).await.map_err(late)??;
                Ok(CommandConnection { commands, change: None })
            }
            Self::Sentinels(group) => {
                let (connection, change) = group.connect(options, |_push| ()).await?;
                Ok(CommandConnection { commands: connection.commands, change: Some(change) })
            }
        }
    }

    /// Follows failovers until the value is dropped; none if there are no sentinels. The connections
    /// to a primary that is replaced close.
    pub fn watch(&self, options: &ConnectOptions) -> Option<PrimaryWatch> {
        match self {
            Self::Server(_) => None,
            Self::Sentinels(group) => Some(PrimaryWatch::start(group, options)),
        }
    }

    /// The servers that the address means, without user and database: publish/subscribe ignores
    /// both. Two addresses that have one of these in common are one shard.
    pub fn servers(&self) -> BTreeSet<String> {
        match self {
            Self::Server(address) => BTreeSet::from([address.server()]),
            Self::Sentinels(group) => {
                let SentinelOptions { master, sentinels, .. } = group.options();
                sentinels.iter().map(|sentinel| format!("{master} at {sentinel}")).collect()
            }
        }
    }

    /// What of the address is secret, as its configuration spells it. How to get into what sentinels
    /// name is spelled in keys of its own.
    pub fn secret(&self) -> Option<&[u8]> {
        match self {
            Self::Server(address) => address.secret(),
            Self::Sentinels(_) => None,
        }
    }
}

impl From<RedisAddress> for ShardAddress {
    fn from(address: RedisAddress) -> Self {
        Self::Server(address)
    }
}

impl From<RedisUrl> for ShardAddress {
    fn from(url: RedisUrl) -> Self {
        Self::Server(url.into())
    }
}

impl From<SentinelOptions> for ShardAddress {
    fn from(options: SentinelOptions) -> Self {
        Self::Sentinels(Arc::new(SentinelGroup::new(options)))
    }
}

/// As it is configured, with its passwords masked.
impl fmt::Display for ShardAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(address) => fmt::Display::fmt(address, f),
            Self::Sentinels(group) => fmt::Display::fmt(group.options(), f),
        }
    }
}
