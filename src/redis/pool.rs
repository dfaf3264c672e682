//! A pool of connections for commands other than publish and subscribe.

use crate::clock::Readable;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::{
    ErrorKind, FromRedisValue, Pipeline, RedisError, ServerError, ServerErrorKind, Value, cmd, pipe,
};
use bb8::ManageConnection;

use super::error::ConnectError;
use super::options::ConnectOptions;
use super::shard_address::{CommandConnection, ShardAddress};

/// Connections a pool holds at most: commands are pipelined, so few are enough.
pub const POOL_CONNECTIONS_MAX: u32 = 4;

/// How long a connection may be unused.
const IDLE_MAX: Duration = Duration::from_mins(1);

/// The error of a replica that gets a write.
const DEMOTED: ErrorKind = ErrorKind::Server(ServerErrorKind::ReadOnly);

fn demotion(answer: &Value) -> Option<ServerError> {
    match answer {
        Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly) => {
            Some(error.clone())
        }
        _ => None,
    }
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No connection was free, or could be made, in time.
    #[error("no connection within {}", Readable(*.0))]
    Exhausted(Duration),
    /// The answer did not come in time; the command may have taken effect.
    #[error("no answer within {}", Readable(*.0))]
    Timeout(Duration),
    /// There is no connection.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The server or the network refused.
    #[error("{0}")]
    Redis(#[from] RedisError),
}

/// Asks the address at every connection, and knows which are broken. The stock manager has one
/// address for good, and holds no connection broken: a dead one would be reused until it has been
/// idle for minutes, unless each check-out paid a round trip.
#[derive(Debug)]
struct Manager {
    address: ShardAddress,
    options: ConnectOptions,
    reply: Duration,
}

struct Pooled {
    connection: CommandConnection,
    broken: Arc<AtomicBool>,
}

impl Pooled {
    fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed) || self.connection.is_outdated()
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = PoolError;

    async fn connect(&self) -> Result<Pooled, PoolError> {
        let mut connection = self.address.connect_for_commands(&self.options).await?;
        connection.commands.set_response_timeout(self.reply);
        Ok(Pooled { connection, broken: Arc::default() })
    }

    async fn is_valid(&self, pooled: &mut Pooled) -> Result<(), PoolError> {
        Ok(cmd("PING").exec_async(&mut pooled.connection.commands).await?)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.is_broken()
    }
}

/// Connections to one shard.
#[derive(Clone)]
pub struct Pool {
    inner: bb8::Pool<Manager>,
    reply: Duration,
    connect: Duration,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("state", &self.inner.state()).finish_non_exhaustive()
    }
}

impl Pool {
    /// Makes a pool that connects on its first use.
    pub fn new(address: ShardAddress, options: &ConnectOptions, reply: Duration) -> Self {
        let inner = bb8::Pool::builder()
            .max_size(POOL_CONNECTIONS_MAX)
            .test_on_check_out(false)
            .connection_timeout(options.connect)
            .idle_timeout(Some(IDLE_MAX))
            .build_unchecked(Manager { address, options: *options, reply });
        Self { inner, reply, connect: options.connect }
    }

    /// Sends a pipeline and waits for its answers. The connection is shared while it waits: the
    /// check-out ends as soon as the connection is known.
    pub async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, PoolError> {
        self.exchange(async |connection| pipeline.query_async(connection).await).await
    }

    /// As [`Pool::query`], but each command has an answer of its own, which may be an error of the
    /// server. So a refused command takes nothing from the others. Only a replica's error fails the
    /// whole pipeline. Its connection is then closed, and resolving the name again finds the
    /// primary.
    pub async fn answers(&self, pipeline: &Pipeline) -> Result<Vec<Value>, PoolError> {
        let ask = async |connection: &mut MultiplexedConnection| {
            let answers = connection.req_packed_commands(pipeline, 0, pipeline.len()).await?;
            match answers.iter().find_map(demotion) {
                Some(error) => Err(error.into()),
                None => Ok(answers),
            }
        };
        self.exchange(ask).await
    }

    async fn exchange<T>(
        &self,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, PoolError> {
        let (mut connection, broken) = self.check_out().await?;
        let answer = tokio::time::timeout(self.reply, ask(&mut connection)).await;
        let result = match answer {
            Err(_elapsed) => Err(PoolError::Timeout(self.reply)),
            Ok(answer) => answer.map_err(PoolError::Redis),
        };
        let lost = match &result {
            Err(PoolError::Redis(error)) => {
                error.is_unrecoverable_error() || error.is_timeout() || error.kind() == DEMOTED
            }
            Err(_) => true,
            Ok(_) => false,
        };
        broken.fetch_or(lost, Ordering::Relaxed);
        result
    }

    /// Closes every connection that is subscribed, as Redis itself does with one that is too slow.
    pub async fn kill_subscribers(&self) -> Result<(), PoolError> {
        let kill = pipe().cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").clone();
        self.query::<(u64,)>(&kill).await.map(|_killed| ())
    }

    /// The CPU time that the server has used, user and system, in seconds.
    pub async fn cpu_seconds(&self) -> Result<f64, PoolError> {
        let (text,): (String,) = self.query(pipe().cmd("INFO").arg("cpu")).await?;
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or_default()
        };
        Ok(field("used_cpu_user") + field("used_cpu_sys"))
    }

    async fn check_out(&self) -> Result<(MultiplexedConnection, Arc<AtomicBool>), PoolError> {
        loop {
            match self.inner.get().await {
                // It broke after it was given back, so it is dropped.
                Ok(pooled) if pooled.is_broken() => {}
                Ok(pooled) => {
                    return Ok((pooled.connection.commands.clone(), Arc::clone(&pooled.broken)));
                }
                Err(bb8::RunError::User(error)) => return Err(error),
                Err(bb8::RunError::TimedOut) => return Err(PoolError::Exhausted(self.connect)),
            }
        }
    }
}
