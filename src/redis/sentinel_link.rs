//! A connection to a sentinel.

use std::sync::Arc;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::{AsyncConnectionConfig, PushInfo, cmd};
use tokio::sync::Notify;

use super::address::RedisAddress;
use super::error::ConnectError;
use super::options::ConnectOptions;
use super::sentinel_answer::{AnswerError, NamedPrimary, question, read};

/// The channel on which a sentinel tells that a failover has ended, of any of its masters.
const SWITCHES: &str = "+switch-master";

/// Why a sentinel names no primary. No text holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum SentinelError {
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Answer(#[from] AnswerError),
}

/// A connection to a sentinel.
pub(super) struct SentinelLink {
    commands: MultiplexedConnection,
    pushed: Arc<Notify>,
}

impl SentinelLink {
    /// Connects. That, and each answer later, may take [`ConnectOptions::connect`].
    pub(super) async fn open(
        sentinel: &RedisAddress,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let pushed = Arc::new(Notify::new());
        let notify = Arc::clone(&pushed);
        let sender = move |_push: PushInfo| -> Result<(), ()> {
            notify.notify_one();
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect))
            .set_response_timeout(Some(options.connect))
            .set_push_sender(sender);
        let attempt = async {
            let client = sentinel.resolve(options).await?;
            sentinel.open(&client, options, config).await
        };
        match tokio::time::timeout(options.connect, attempt).await {
            Err(_elapsed) => Err(sentinel.late(options.connect)),
            Ok(commands) => commands.map(|commands| Self { commands, pushed }),
        }
    }

    /// Asks which server is the primary of a master.
    pub(super) async fn ask(&mut self, master: &str) -> Result<NamedPrimary, SentinelError> {
        let question = question(master);
        let answers = self.commands.req_packed_commands(&question, 0, question.len()).await;
        Ok(read(master, &answers.map_err(ConnectError::from)?)?)
    }

    /// Asks to be told of failovers. A sentinel that refuses is asked again and again instead.
    pub(super) async fn subscribe(&mut self) {
        if let Err(error) = cmd("SUBSCRIBE").arg(SWITCHES).exec_async(&mut self.commands).await {
            tracing::debug!(%error, "a sentinel does not tell of failovers");
        }
    }

    /// Resolves when the sentinel tells of a failover, or the connection is gone.
    pub(super) async fn pushed(&self) {
        self.pushed.notified().await;
    }
}
