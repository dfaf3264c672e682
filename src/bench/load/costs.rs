//! What a load costs the servers and its generator.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::bench::error::BenchError;
use crate::bench::usage::{ProcessUsage, RedisServers};

/// A process whose costs are reported, as `LABEL=PID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedProcess {
    /// What it is called in the report.
    pub label: String,
    /// Its number.
    pub pid: u32,
}

impl FromStr for WatchedProcess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(label, _)| !label.is_empty());
        let (label, pid) = parts.ok_or("it must be LABEL=PID")?;
        let pid = pid.parse().map_err(|_| format!("`{pid}` is no number of a process"))?;
        Ok(Self { label: label.to_owned(), pid })
    }
}

/// What a process cost over the load.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessCost {
    /// What it is called.
    pub label: String,
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Memory that was resident at the end, in bytes.
    pub rss_bytes: u64,
}

/// What the load cost. A part that was not watched is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadCosts {
    /// CPU time of this process.
    pub generator_cpu_s: f64,
    /// CPU time of the processes that were watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_cpu_s: Option<f64>,
    /// CPU time of Redis, as it states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_cpu_s: Option<f64>,
    /// The generator's CPU time beside that of the processes and of Redis: 1 is as much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_share: Option<f64>,
    /// Each process.
    pub processes: Vec<ProcessCost>,
}

/// Reads the costs from the beginning on. A process that ends keeps what it had used by then.
#[derive(Debug)]
pub(super) struct CostMeter {
    watched: Vec<WatchedProcess>,
    redis: RedisServers,
    own: Duration,
    first: Vec<ProcessUsage>,
    last: Vec<ProcessUsage>,
    redis_first: Duration,
    redis_last: Duration,
}

impl CostMeter {
    /// Checks that each process and each Redis can be read.
    pub(super) async fn new(
        watched: Vec<WatchedProcess>,
        redis: &[String],
    ) -> Result<Self, BenchError> {
        let redis =
            RedisServers::new(redis).map_err(|error| BenchError::Input(error.to_string()))?;
        let usage = |process: &WatchedProcess| {
            ProcessUsage::of(process.pid)
                .map_err(|error| BenchError::Input(format!("--pid {}: {error}", process.label)))
        };
        let first = watched.iter().map(usage).collect::<Result<Vec<_>, _>>()?;
        let redis_first = redis.cpu().await?;
        Ok(Self {
            watched,
            redis,
            own: Duration::ZERO,
            last: first.clone(),
            first,
            redis_first,
            redis_last: redis_first,
        })
    }

    /// Begins to count here.
    pub(super) async fn begin(&mut self) -> Result<(), BenchError> {
        self.read();
        self.read_redis().await;
        self.own = ProcessUsage::of_this_process()?.cpu;
        self.first.clone_from(&self.last);
        self.redis_first = self.redis_last;
        Ok(())
    }

    /// Reads the processes that are there.
    pub(super) fn read(&mut self) {
        for (last, process) in self.last.iter_mut().zip(&self.watched) {
            if let Ok(usage) = ProcessUsage::of(process.pid) {
                *last = usage;
            }
        }
    }

    async fn read_redis(&mut self) {
        // One that was started again counts from zero, and one that is away keeps its last count.
        if let Ok(cpu) = self.redis.cpu().await {
            self.redis_last = cpu.max(self.redis_last);
        }
    }

    /// Ends it.
    pub(super) async fn end(mut self) -> Result<LoadCosts, BenchError> {
        let own = ProcessUsage::of_this_process()?.cpu.saturating_sub(self.own);
        self.read();
        self.read_redis().await;
        let costs = self.watched.iter().zip(self.first.iter().zip(&self.last));
        let cost = |(process, (first, last)): (&WatchedProcess, (&ProcessUsage, &ProcessUsage))| {
            ProcessCost {
                label: process.label.clone(),
                cpu_s: last.cpu.saturating_sub(first.cpu).as_secs_f64(),
                rss_bytes: last.resident_bytes,
            }
        };
        let processes: Vec<_> = costs.map(cost).collect();
        let redis = self.redis_last.saturating_sub(self.redis_first).as_secs_f64();
        let redis_cpu_s = (self.redis.count() > 0).then_some(redis);
        let servers = processes.iter().map(|process| process.cpu_s).sum::<f64>();
        let servers_cpu_s = (!processes.is_empty()).then_some(servers);
        let all = servers + redis;
        let share = (servers_cpu_s.is_some() && all > 0.0).then(|| own.as_secs_f64() / all);
        Ok(LoadCosts {
            generator_cpu_s: own.as_secs_f64(),
            servers_cpu_s,
            redis_cpu_s,
            generator_share: share,
            processes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_label() {
        let process: WatchedProcess = "node=7".parse().unwrap();
        assert_eq!((&*process.label, process.pid), ("node", 7));
        for wrong in ["", "7", "=7", "node=", "node=x", "node=-1"] {
            assert!(wrong.parse::<WatchedProcess>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_named() {
        let gone = WatchedProcess { label: "node".into(), pid: 0 };
        let error = CostMeter::new(vec![gone], &[]).await.unwrap_err().to_string();
        assert!(error.starts_with("--pid node: process 0: "), "{error}");
    }
}
