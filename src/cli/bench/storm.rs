//! `bench storm`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::failure;
use crate::bench::{RunningNode, Storm, StormFault, StormPlace, StormReport};
use crate::cli::CliFailure;
use crate::cli::output::print_line;

/// How long are the users of a node away when it ends, and what does their return cost others?
///
/// Sessions are spread over nodes. One node is killed or drained, and all its sessions come back at
/// once, as the protocol asks of clients: with their cursors, at the next node, after back-off with
/// jitter where the close code says so. The report has the time until each had a cursor again, reads
/// of the store, refused handshakes, and what two users of another node noticed. What was sent
/// meanwhile to the sessions that were away has to arrive.
///
/// The nodes are processes of their own: `--nodes` of them on a CQL server and Redis (`--cql`,
/// `--redis`), or one on an embedded store that is started again where it was (`--restart`), or
/// those that run already (`--node`, with the development key; the first one is ended, by `--pid`).
/// With one node the senders and bystanders are struck as well, so refused and unknown sends are no
/// failure there. A drain is by `timeouts.lame_duck_ms` and
/// `timeouts.drain_timeout_ms`, which own nodes take from the environment.
#[derive(Debug, Args)]
pub(in crate::cli) struct StormArguments {
    #[command(flatten)]
    place: StormPlaceArguments,
    /// What happens to the first node.
    #[arg(long, default_value = "kill")]
    fault: FaultName,
    /// Sessions on all nodes, each of another user.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// Messages a second to the sessions of the first node, and as many between the bystanders.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// How long the load runs before the fault, and after all sessions are back.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Seconds in which all sessions have to come back.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=600))]
    within: u64,
    /// Seconds that the last answers and deliveries may take behind the load.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    settle: u64,
    /// The most that the load generator may be late, at the 99th percentile, in milliseconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    lag_ms: u64,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Where the sessions are.
#[derive(Debug, Args)]
struct StormPlaceArguments {
    /// Own nodes on this CQL server, as `HOST:PORT`, in a keyspace that is dropped at the end.
    #[arg(long, requires = "redis", conflicts_with_all = ["restart", "running"], value_name = "HOST:PORT")]
    cql: Option<String>,
    /// How many, with --cql.
    #[arg(long, requires = "cql", conflicts_with_all = ["restart", "running"], default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=30))]
    nodes: u32,
    /// A Redis shard of theirs; may be given several times.
    #[arg(long, requires = "cql", conflicts_with_all = ["restart", "running"])]
    redis: Vec<String>,
    /// One own node on an embedded store, which is started again.
    #[arg(long, conflicts_with = "running")]
    restart: bool,
    /// A running node, as `ws://…/v1/ws,http://…` (clients, operator); the first one is ended.
    #[arg(long = "node", requires = "pid")]
    running: Vec<RunningNode>,
    /// The process of the first one, which has to listen there.
    #[arg(long, requires = "running", conflicts_with_all = ["restart", "cql"], value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FaultName {
    /// SIGKILL.
    Kill,
    /// SIGTERM: a lame duck and a drain, as configured.
    Drain,
}

impl StormPlaceArguments {
    fn place(self) -> Result<StormPlace, CliFailure> {
        let Self { cql, nodes, redis, restart, running, pid } = self;
        match (cql, restart, pid) {
            (Some(cql), ..) => Ok(StormPlace::Cql { nodes, cql, redis }),
            (None, true, _) => Ok(StormPlace::Restart),
            (None, false, Some(pid)) => Ok(StormPlace::Running { nodes: running, pid }),
            (None, false, None) => Err(CliFailure::usage(
                "give --cql and --redis, or --restart, or --node and --pid: the nodes",
            )),
        }
    }
}

impl StormArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let storm = Storm {
            place: self.place.place()?,
            fault: match self.fault {
                FaultName::Kill => StormFault::Kill,
                FaultName::Drain => StormFault::Drain,
            },
            sessions: self.sessions,
            rate: self.rate,
            quiet: Duration::from_secs(self.seconds),
            within: Duration::from_secs(self.within),
            settle: Duration::from_secs(self.settle),
            lag: Duration::from_millis(self.lag_ms),
        };
        let report = storm.run().await.map_err(failure)?;
        print(&report, self.json)?;
        match report.verdict {
            "passed" => Ok(()),
            verdict if report.failures.is_empty() => Err(CliFailure::failed(verdict)),
            verdict => {
                Err(CliFailure::Failed(format!("{verdict}: {}", report.failures.join("; "))))
            }
        }
    }
}

fn print(report: &StormReport, json: bool) -> Result<(), CliFailure> {
    if json {
        return print_line(serde_json::to_string(report).map_err(CliFailure::failed)?);
    }
    report.lines().iter().try_for_each(print_line)
}
