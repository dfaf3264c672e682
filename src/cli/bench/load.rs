//! `bench load`.

use std::fs::File;
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::failure;

use crate::bench::{
    CostSources, LoadBench, LoadBounds, LoadMix, LoadPace, LoadPopulation, LoadReport, LoadSecond,
    LoadServers, LoadTimes, LoadUsers, RunningNode, WatchedProcess,
};
use crate::cli::CliFailure;
use crate::cli::output::print_line;

/// How late are deliveries under a mix of requests, and is anything lost, doubled or disordered?
///
/// It opens `--users` × `--devices` sockets, sends the mix, and judges each delivery. Without
/// `--url` or `--node` it starts nodes of its own, in one process, as `config/loadtest.toml` has
/// them. The fields of `--json` are those of `scripts/k6/README.md`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").args(["url", "running", "nodes"]))]
#[command(group = ArgGroup::new("pace").args(["rate", "in_flight"]))]
pub(in crate::cli) struct LoadArguments {
    #[command(flatten)]
    servers: ServerArguments,
    #[command(flatten)]
    traffic: TrafficArguments,
    #[command(flatten)]
    people: PeopleArguments,
    #[command(flatten)]
    judgement: JudgementArguments,
    /// A file for a picture: latency by percentile, and rate and latency over time.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Where it goes, and what is watched there.
#[derive(Debug, Args)]
struct ServerArguments {
    /// A running node or a balancer, as `ws://…/v1/ws`; may be given several times.
    #[arg(long, value_parser = node_url)]
    url: Vec<String>,
    /// A running node, as `ws://…/v1/ws,http://…` (clients, operator); given once per node. Its
    /// metrics are read once a second.
    #[arg(long = "node")]
    running: Vec<RunningNode>,
    /// Nodes of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    nodes: u32,
    /// A Redis whose CPU time is reported; nodes of its own take it as a shard, and are joined in
    /// memory without one. May be given several times.
    #[arg(long)]
    redis: Vec<String>,
    /// A process whose CPU time and memory are reported, as `LABEL=PID`; may be given several times.
    #[arg(long = "pid", value_name = "LABEL=PID")]
    processes: Vec<WatchedProcess>,
}

/// What is sent and when.
#[derive(Debug, Args)]
struct TrafficArguments {
    /// Kinds and weights: direct messages, room messages, events of topics, pages of history, and
    /// joins and leaves of rooms.
    #[arg(long, default_value = "dm=60,room=20,topic=15,history=4,join=1")]
    mix: LoadMix,
    /// Requests a second, at intended times, from which latency counts.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Requests that are unanswered at a time, instead of a rate: a closed loop, in which latency
    /// counts from the send.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: Option<u32>,
    /// Seconds of load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seconds of load before, which are not in the figures. Faults in them count.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    /// Seconds that what is owed may take behind the load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    settle: u64,
    /// Bytes of padding in each body.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    bytes: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sessions come back with their cursors, on the next node, and sends are tried again under
    /// their nonces.
    #[arg(long)]
    reconnect: bool,
}

/// Who sends.
#[derive(Debug, Args)]
struct PeopleArguments {
    /// Users.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Members of a room; each user is in one room.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    room_members: u32,
    /// Sessions that watch a topic; each session watches one.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    topic_watchers: u32,
    /// The output of `narrowcast token 'load-{0..9999}' --publish 'topic.>' --subscribe 'topic.>'
    /// --json`. Without it tokens are signed with the development key.
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// The output of `narrowcast token load --scope service`, which makes the rooms.
    #[arg(long, value_name = "TOKEN", requires = "users_file")]
    service: Option<String>,
}

/// What must hold.
#[derive(Debug, Args)]
struct JudgementArguments {
    /// Bound of the 99th percentile of latency, in ms.
    #[arg(long = "p99-ms", value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    p99: u64,
    /// From how many ms on a delivery counts as late.
    #[arg(long = "late-ms", value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    late: u64,
    /// Bound of the 99th percentile of the generator's own lags, in ms; beyond it the verdict is
    /// `generator saturated`.
    #[arg(long = "lag-ms", value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    lag: u64,
}

/// An address as the load takes it.
fn node_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("ws://").filter(|rest| !rest.is_empty());
    rest.map(|_| text.to_owned()).ok_or_else(|| "it must be `ws://…/v1/ws`".into())
}

fn created(path: &Path) -> Result<File, CliFailure> {
    let error = |error| CliFailure::usage(format!("--svg {}: {error}", path.display()));
    File::create(path).map_err(error)
}

impl LoadArguments {
    pub(super) async fn run(self) -> Result<(), CliFailure> {
        let (json, svg) = (self.json, self.svg.clone());
        // A picture that cannot be kept is known before the load.
        let picture = svg.map(|path| created(&path)).transpose()?;
        let report = self.load().run(Box::new(progress())).await.map_err(failure)?;
        print(&report, json)?;
        if let Some(mut picture) = picture {
            picture.write_all(report.to_svg().as_bytes()).map_err(CliFailure::failed)?;
        }
        if report.failures.is_empty() {
            return Ok(());
        }
        Err(CliFailure::Failed(format!(
            "{}: {}",
            report.verdict.words(),
            report.failures.join("; ")
        )))
    }

    fn load(self) -> LoadBench {
        let Self { servers, traffic, people, judgement, .. } = self;
        LoadBench {
            servers: if !servers.running.is_empty() {
                LoadServers::Nodes(servers.running)
            } else if servers.url.is_empty() {
                LoadServers::Own(servers.nodes)
            } else {
                LoadServers::Urls(servers.url)
            },
            users: LoadUsers { file: people.users_file, service: people.service },
            mix: traffic.mix,
            pace: traffic.in_flight.map_or(LoadPace::Rate(traffic.rate), LoadPace::InFlight),
            population: LoadPopulation {
                users: people.users,
                devices: people.devices,
                room_members: people.room_members,
                topic_watchers: people.topic_watchers,
            },
            times: LoadTimes {
                warm_up: Duration::from_secs(traffic.warm_up),
                load: Duration::from_secs(traffic.seconds),
                settle: Duration::from_secs(traffic.settle),
            },
            bytes: traffic.bytes as usize,
            comes_back: traffic.reconnect,
            seed: traffic.seed,
            bounds: LoadBounds {
                p99: Duration::from_millis(judgement.p99),
                late: Duration::from_millis(judgement.late),
                lag: Duration::from_millis(judgement.lag),
            },
            watched: CostSources { processes: servers.processes, redis: servers.redis },
        }
    }
}

fn print(report: &LoadReport, json: bool) -> Result<(), CliFailure> {
    if json {
        return print_line(serde_json::to_string(report).map_err(CliFailure::failed)?);
    }
    report.lines().into_iter().try_for_each(print_line)
}

/// A line a second on a terminal, and nothing elsewhere.
fn progress() -> impl FnMut(&LoadSecond) + Send {
    let is_shown = stderr().is_terminal();
    move |second| {
        if is_shown {
            let LoadSecond { at_s, sent, delivered, p99_us, overdue, live, .. } = second;
            let p99 = *p99_us as f64 / 1000.0;
            // A terminal that is gone ends the process by a signal.
            let _gone = writeln!(
                stderr(),
                "{at_s:>6.0} s  sent {sent}/s  delivered {delivered}/s  p99 {p99:.1} ms  \
                 overdue {overdue}  sockets {live}"
            );
        }
    }
}
