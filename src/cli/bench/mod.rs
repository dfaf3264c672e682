//! `bench`: the load generator's commands.

mod crowd;
mod draw;
mod fanout;
mod fanout_load;
mod heal;
mod idle;
mod layout;
mod load;
mod relay;
mod rooms;
mod storm;

use std::pin::Pin;

use clap::Subcommand;

use self::crowd::CrowdArguments;
use self::draw::DrawArguments;
use self::fanout::FanoutArguments;
use self::heal::HealArguments;
use self::idle::IdleArguments;
use self::layout::LayoutArguments;
use self::load::LoadArguments;
use self::relay::RelayArguments;
use self::rooms::RoomsArguments;
use self::storm::StormArguments;
use super::help::example;
use super::signals::StopRequests;
use super::{CliFailure, settings};
use crate::bench::{BenchError, plain_loop};
use crate::config::Config;
use crate::layout::BucketCount;
use crate::node::ClusterError;

/// Measures. Each command answers one question.
#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// How many nodes hear a publish, beside the prediction for the layout and beside broadcast?
    #[command(after_help = example!("bench fanout --nodes 30 --placement bucket", "bench fanout --buckets 1048576 --node ws://10.0.0.1:8080/v1/ws,http://10.0.0.1:8081"))]
    Fanout(FanoutArguments),
    /// How many nodes would receive a publish, on clusters that do not fit on a machine?
    #[command(after_help = example!("bench layout --nodes 100,1000 --users 1000000"))]
    Layout(LayoutArguments),
    /// What does a message to a room cost by its size, beside a publish per member and broadcast?
    #[command(after_help = example!("bench rooms --nodes 30 --members 4,20,60"))]
    Rooms(RoomsArguments),
    /// How much CPU does a delivery cost, beside a plain loop without any broker?
    #[command(after_help = example!("bench relay --rounds 3 --redis redis://127.0.0.1:6379"))]
    Relay(RelayArguments),
    /// How late are others on its node while a very large room hears a message?
    #[command(after_help = example!("bench crowd --members 10000 --per-s 1"))]
    Crowd(CrowdArguments),
    /// How late does a mix of requests at a rate arrive, and is anything lost, doubled or out of order?
    #[command(after_help = example!(
        "bench load --rate 500 --seconds 30",
        "bench load --node ws://10.0.0.1:8080/v1/ws,http://10.0.0.1:8081 --reconnect --json"
    ))]
    Load(LoadArguments),
    /// How much memory does an idle session take, before and after large frames, or with patterns?
    #[command(after_help = example!("bench idle --sessions 5000", "bench idle --patterns 100"))]
    Idle(IdleArguments),
    /// What does one lost connection to Redis cost a node full of sessions, in reads and in time?
    #[command(after_help = example!("bench heal --sessions 2000 --redis redis://127.0.0.1:6379"))]
    Heal(HealArguments),
    /// How long are the users of a node away when it ends, and what does their return cost others?
    #[command(after_help = example!("bench storm --restart --sessions 1000", "bench storm --fault drain --cql 127.0.0.1:9042 --redis redis://127.0.0.1:6379"))]
    Storm(StormArguments),
    /// How does it look? Draws what the others printed with `--json`.
    #[command(after_help = example!("bench fanout --nodes 8 --json > rows.json", "bench layout --nodes 8 --json >> rows.json", "bench draw fanout rows.json --svg fanout.svg"))]
    Draw(DrawArguments),
    /// The plain loop that a relay is compared with.
    #[command(hide = true)]
    PlainLoop,
}

impl Bench {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        settings::begin_log(&Config { telemetry: quiet(), ..settings::load(None)? })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_name("load")
            .enable_all()
            .build()
            .map_err(CliFailure::failed)?;
        let measurement: Pin<Box<dyn Future<Output = Result<(), CliFailure>>>> = match self {
            Self::Fanout(fanout) => Box::pin(fanout.run()),
            Self::Rooms(rooms) => Box::pin(rooms.run()),
            Self::Relay(relay) => Box::pin(relay.run()),
            Self::Crowd(crowd) => Box::pin(crowd.run()),
            Self::Idle(idle) => Box::pin(idle.run()),
            Self::Load(load) => Box::pin(load.run()),
            Self::Heal(heal) => Box::pin(heal.run()),
            Self::Layout(layout) => return layout.run(),
            Self::Draw(draw) => return draw.run(),
            Self::Storm(storm) => Box::pin(storm.run()),
            // It has a runtime of its own, and leaves nothing behind.
            Self::PlainLoop => return plain_loop().map_err(CliFailure::failed),
        };
        runtime.block_on(unless_stopped(measurement))
    }
}

/// Reads a number of buckets.
fn bucket_count(text: &str) -> Result<BucketCount, String> {
    let count: u32 = text.parse().map_err(|error| format!("{error}"))?;
    BucketCount::new(count.into()).map_err(|error| format!("it {error}"))
}

/// What was given wrongly is the caller's mistake; anything else is a failure.
fn failure(error: BenchError) -> CliFailure {
    match error {
        BenchError::Input(_) | BenchError::Cluster(ClusterError::Config(_)) => {
            CliFailure::usage(error)
        }
        _ => CliFailure::failed(error),
    }
}

/// The rows were printed; what was lost makes them a failure.
fn none_lost(lost: u64) -> Result<(), CliFailure> {
    match lost {
        0 => Ok(()),
        lost => Err(CliFailure::Failed(format!("lost: {lost} deliveries, at most 0"))),
    }
}

/// A signal ends a measurement as an error does: its servers and directories go with it.
async fn unless_stopped(
    measurement: impl Future<Output = Result<(), CliFailure>>,
) -> Result<(), CliFailure> {
    let mut requests = StopRequests::of_terminal()?;
    tokio::select! {
        measured = measurement => measured,
        _kind = requests.next() => Err(CliFailure::Failed("ended by a signal".into())),
    }
}

/// The logs of dozens of nodes would make a table hard to read.
fn quiet() -> crate::config::TelemetryConfig {
    let mut telemetry = Config::default().telemetry;
    // Whether the sockets fit is checked, and said in one line, before anything begins.
    telemetry.log = "warn,scylla=off,narrowcast::node::descriptors=error".into();
    telemetry
}
