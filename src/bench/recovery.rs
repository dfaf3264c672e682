//! `bench heal`: what one delivery gap costs a node full of sessions, in reads of the store and in
//! time. Also what the node reads while nothing is wrong.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::clients::{ClientRole, LoadTokens, assemble, user_name};
use super::cpu_split::{CpuMeter, CpuSplit, ServersAre};
use super::delivery_log::DeliveryLog;
use super::error::BenchError;
use super::preflight::{check_redis, check_sockets};
use super::report::TableRow;
use crate::config::{Config, RedisTimeouts};
use crate::node::{Cluster, ClusterOptions};
use crate::redis::{Pool, RedisUrl};
use crate::telemetry::Metrics;

/// How long the repair may take.
const HEAL_TIMEOUT: Duration = Duration::from_mins(2);

/// From one check whether it is over to the next.
const POLL: Duration = Duration::from_millis(5);

/// A measurement.
#[derive(Debug, Clone)]
pub struct RecoveryBench {
    /// Sessions, each of another user, on one node.
    pub sessions: u32,
    /// A Redis shard.
    pub redis: String,
    /// How long the reads of the healthy node are counted.
    pub steady: Duration,
}

/// What a delivery gap cost.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryRow {
    /// Sessions.
    pub sessions: u32,
    /// Reads of the cluster table per second, while nothing is wrong.
    pub cluster_reads_per_s: f64,
    /// Other reads per second, while nothing is wrong: the audit's.
    pub other_reads_per_s: f64,
    /// Reads from the gap until the watermark moved again.
    pub reads: u64,
    /// Seconds from the gap until the watermark moved again.
    pub seconds: f64,
    /// CPU time from the gap until the watermark moved again.
    #[serde(flatten)]
    pub cpu: CpuSplit,
}

impl TableRow for RecoveryRow {
    const HEADERS: &'static [&'static str] = &[
        "sessions",
        "cluster reads/s",
        "other reads/s",
        "reads per gap",
        "s to heal",
        CpuSplit::HEADER,
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.sessions.to_string(),
            format!("{:.2}", self.cluster_reads_per_s),
            format!("{:.2}", self.other_reads_per_s),
            self.reads.to_string(),
            format!("{:.2}", self.seconds),
            self.cpu.cell(),
        ]
    }
}

impl RecoveryBench {
    /// Measures a healthy node, then one delivery gap: Redis closes the node's subscriber
    /// connection.
    pub async fn run(&self) -> Result<RecoveryRow, BenchError> {
        // Both ends of a socket are in this process.
        check_sockets("--sessions", self.sessions as usize * 2)?;
        check_redis(std::slice::from_ref(&self.redis)).await?;
        let plan = ClusterOptions {
            nodes: 1,
            redis: vec![self.redis.clone()],
            unlimited: true,
            ..ClusterOptions::default()
        };
        let directory = tempfile::tempdir()?;
        let cluster = Cluster::start(&plan, directory.path())?;
        cluster.ready().await?;
        let log = Arc::new(DeliveryLog::new(0));
        let members = assemble(self.roles(&cluster.url(0)), &log).await?;
        let row = self.measure(cluster.nodes[0].metrics()).await;
        drop(members);
        cluster.stop().await;
        row
    }

    async fn measure(&self, metrics: &Metrics) -> Result<RecoveryRow, BenchError> {
        until(|| metrics.watermark.frozen.get() == 0).await?;
        let (cluster, other) = (metrics.agent.cluster_reads.get(), metrics.recovery.reads.get());
        tokio::time::sleep(self.steady).await;
        let steady = |before: u64, now: u64| (now - before) as f64 / self.steady.as_secs_f64();
        let cluster_reads_per_s = steady(cluster, metrics.agent.cluster_reads.get());
        let other_reads_per_s = steady(other, metrics.recovery.reads.get());
        let (reads, rounds) = (metrics.recovery.reads.get(), metrics.recovery.rounds[0].get());
        let RedisTimeouts { connect, links, .. } = Config::default().timeouts.redis;
        let pool = Pool::new(self.redis.parse::<RedisUrl>()?.into(), &connect, links.reply);
        let cpu = CpuMeter::begin(ServersAre::Here)?;
        pool.kill_subscribers().await?;
        let began = Instant::now();
        until(|| metrics.recovery.rounds[0].get() > rounds && metrics.watermark.frozen.get() == 0)
            .await?;
        let seconds = began.elapsed().as_secs_f64();
        let reads = metrics.recovery.reads.get() - reads;
        let (sessions, cpu) = (self.sessions, cpu.end()?);
        Ok(RecoveryRow { sessions, cluster_reads_per_s, other_reads_per_s, reads, seconds, cpu })
    }

    fn roles(&self, url: &str) -> Vec<ClientRole> {
        let tokens = LoadTokens::new();
        let role = |user: u32| ClientRole {
            url: url.to_owned(),
            token: tokens.of(&user_name(user)),
            patterns: Vec::new(),
        };
        (0..self.sessions).map(role).collect()
    }
}

async fn until(is_so: impl Fn() -> bool) -> Result<(), BenchError> {
    let deadline = Instant::now() + HEAL_TIMEOUT;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(BenchError::Server("the watermark stays frozen"));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
