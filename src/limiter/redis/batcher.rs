//! Brings a worker's calls to one shard.

use std::pin::pin;
use std::time::Duration;

use ::redis::{Pipeline, Value};
use smallvec::SmallVec;
use tokio::sync::{mpsc, oneshot};

use super::{Answered, answer, script};
use crate::domain::UserId;
use crate::limiter::{KeyedPermit, LimitedCall, LimiterError};
use crate::redis::{Pool, PoolError};

/// Calls in one pipeline. It takes a millisecond of the shard, during which other clients wait.
const BATCH_MAX: usize = 256;

/// Between two checks whether a shard that failed is back.
const PROBE_PAUSE: Duration = Duration::from_millis(250);

/// A call, and the receiver of its decision.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) call: LimitedCall,
    /// The key of each policy.
    pub(super) keys: SmallVec<[String; 1]>,
    pub(super) reply: oneshot::Sender<Answered>,
    /// Its user's share of the queue.
    pub(super) _permit: KeyedPermit<UserId>,
}

impl Ask {
    fn answer(self, answered: Answered) {
        // The receiver is gone if it waited too long.
        let _gone = self.reply.send(answered);
    }
}

/// The task that brings calls to one shard, one pipeline at a time.
#[derive(Debug)]
pub(super) struct ScriptBatcher {
    pub(super) pool: Pool,
    pub(super) asks: mpsc::Receiver<Ask>,
}

impl ScriptBatcher {
    /// Runs until all senders of calls are gone.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.asks.recv_many(&mut batch, BATCH_MAX).await > 0 {
            // If no receiver waits for a call any more, it was decided elsewhere.
            batch.retain(|ask| !ask.reply.is_closed());
            let mut asks = std::mem::take(&mut batch);
            if let Err(error) = serve(&self.pool, &mut asks).await {
                tracing::debug!(%error, "a shard does not decide calls");
                asks.into_iter().for_each(|ask| ask.answer(Err(LimiterError::Unavailable)));
                self.recover().await;
            }
        }
    }

    /// Answers every call with an error until the shard answers again.
    async fn recover(&mut self) {
        let mut back = pin!(answers_again(&self.pool));
        loop {
            tokio::select! {
                () = &mut back => return,
                ask = self.asks.recv() => match ask {
                    Some(ask) => ask.answer(Err(LimiterError::Unavailable)),
                    None => return,
                },
            }
        }
    }
}

/// Sends all calls to the shard. Those whose script it did not know are sent again: they were not
/// run, so nothing is counted twice. What is left in `asks` after an error was not answered.
async fn serve(pool: &Pool, asks: &mut Vec<Ask>) -> Result<(), PoolError> {
    if asks.is_empty() {
        return Ok(());
    }
    let mut pipeline = Pipeline::with_capacity(asks.len());
    for ask in &*asks {
        pipeline.add_command(script::run(&ask.call, &ask.keys));
    }
    let answers = pool.answers(&pipeline).await?;
    let (mut unknown, mut reload) = (Vec::new(), Pipeline::new());
    reload.add_command(script::load());
    for (ask, told) in asks.drain(..).zip(answers) {
        if answer::is_unknown_script(&told) {
            reload.add_command(script::run(&ask.call, &ask.keys));
            unknown.push(ask);
        } else {
            settle(ask, &told);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    *asks = unknown;
    let answers = pool.answers(&reload).await?;
    asks.drain(..).zip(answers.iter().skip(1)).for_each(|(ask, told)| settle(ask, told));
    Ok(())
}

fn settle(ask: Ask, told: &Value) {
    let verdict = answer::verdict(&ask.call, told);
    ask.answer(verdict);
}

async fn answers_again(pool: &Pool) {
    let mut probe = Pipeline::new();
    probe.add_command(script::load());
    loop {
        tokio::time::sleep(PROBE_PAUSE).await;
        if pool.answers(&probe).await.is_ok() {
            return;
        }
    }
}
