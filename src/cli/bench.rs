//! `bench`: the load generator's commands.

use std::pin::Pin;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output::output_failure;
use super::placement::PlacementName;
use super::signals::StopRequests;
use super::{CliFailure, settings};
use crate::bench::{
    FanoutBench, FanoutRow, Idle, IdleRow, Large, LargeRoom, LargeRoomRow, Payload, RecoveryBench,
    RecoveryRow, Relay, RelayRow, Rooms, RoomsRow, RunningNode, Table, plain_loop,
};
use crate::config::Config;

/// Measures.
#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// How many nodes receive a publish, by layout, next to the predicted number.
    Fanout(FanoutArguments),
    /// What a message to a room costs, by its size, next to one publish per member and broadcast.
    Rooms(RoomsArguments),
    /// CPU per delivery, next to a plain loop.
    Relay(RelayArguments),
    /// What a room with very many sessions on a node costs another session there.
    Crowd(CrowdArguments),
    /// Memory per idle session, before and after large frames.
    Idle(IdleArguments),
    /// What one delivery gap costs a node full of sessions, and what it reads while nothing is
    /// wrong.
    Heal(HealArguments),
    /// The plain loop that a relay is compared with.
    #[command(hide = true)]
    PlainLoop,
}

/// How many nodes receive a publish, by layout, next to the predicted number.
#[derive(Debug, Args)]
pub(super) struct FanoutArguments {
    /// Nodes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// Bucket counts, one row each.
    #[arg(long, value_delimiter = ',', default_value = "1,64,4096,65536,1048576")]
    buckets: Vec<u32>,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// A running node, as `ws://…/v1/ws,http://…` (clients, operator); given once per node. All of
    /// them are configured with the one bucket count given. No node is started then.
    #[arg(long = "node")]
    running: Vec<RunningNode>,
    /// Where clients connect instead of at the running nodes: a load balancer in front of them, as
    /// `ws://…/v1/ws`. It is told the user by `?user=`.
    #[arg(long, requires = "running", value_name = "URL")]
    through: Option<String>,
    /// How users reach nodes. With `--through` it is what the prediction goes by.
    #[arg(long, default_value = "random")]
    placement: PlacementName,
    #[command(flatten)]
    load: FanoutLoad,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

/// Who receives what.
#[derive(Debug, Args)]
struct FanoutLoad {
    /// Users.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Topics.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    topics: u32,
    /// Subscribers per topic.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    subscribers: u32,
    /// Direct messages.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    messages: u32,
    /// Events to topics.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    events: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
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
            Self::Heal(heal) => Box::pin(heal.run()),
            // It has a runtime of its own, and leaves nothing behind.
            Self::PlainLoop => return plain_loop().map_err(CliFailure::failed),
        };
        runtime.block_on(unless_stopped(measurement))
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
    telemetry.log = "warn".into();
    telemetry
}

impl FanoutArguments {
    async fn run(self) -> Result<(), CliFailure> {
        if !self.running.is_empty() && self.buckets.len() != 1 {
            return Err(CliFailure::usage(
                "--buckets: give one count with --node, the count of those \
                nodes",
            ));
        }
        let fanout = Arc::new(FanoutBench {
            nodes: match self.running.len() {
                0 => self.nodes,
                running => running as u32,
            },
            redis: self.redis,
            running: self.running,
            through: self.through,
            placement: self.placement.into(),
            users: self.load.users,
            devices: self.load.devices,
            topics: self.load.topics,
            subscribers: self.load.subscribers,
            messages: self.load.messages,
            events: self.load.events,
            seed: self.load.seed,
        });
        let table = Table::begin::<FanoutRow>(self.json).map_err(output_failure)?;
        for buckets in self.buckets {
            table
                .row(&fanout.run(buckets).await.map_err(CliFailure::failed)?)
                .map_err(output_failure)?;
        }
        Ok(())
    }
}

/// What a message to a room costs, by its size, next to one publish per member and broadcast.
#[derive(Debug, Args)]
pub(super) struct RoomsArguments {
    /// Members of a room, one row each.
    #[arg(long, value_delimiter = ',', default_value = "4,20,60")]
    members: Vec<u32>,
    /// Nodes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// Buckets of each class.
    #[arg(long, default_value_t = 1_048_576)]
    buckets: u32,
    /// Users.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Sessions per user.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    devices: u32,
    /// Rooms of each size.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rooms: u32,
    /// Messages to the rooms of each size.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    messages: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl RoomsArguments {
    async fn run(self) -> Result<(), CliFailure> {
        let Self { nodes, redis, buckets, users, devices, rooms, messages, seed, .. } = self;
        let bench = Rooms { nodes, redis, buckets, users, devices, rooms, messages, seed };
        let table = Table::begin::<RoomsRow>(self.json).map_err(output_failure)?;
        for members in self.members {
            table
                .row(&bench.run(members).await.map_err(CliFailure::failed)?)
                .map_err(output_failure)?;
        }
        Ok(())
    }
}

/// CPU per delivery, next to a plain loop.
#[derive(Debug, Args)]
pub(super) struct RelayArguments {
    /// Nodes, one row each; 0 is the plain loop.
    #[arg(long, value_delimiter = ',', default_value = "0,1,4")]
    nodes: Vec<u32>,
    /// A Redis shard; may be given several times. Without one the nodes are joined in memory.
    #[arg(long)]
    redis: Vec<String>,
    /// Users, two sessions each.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    users: u32,
    /// Direct messages, which are stored, instead of events to topics.
    #[arg(long)]
    messages: bool,
    /// Publishes.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    events: u32,
    /// Applies the limits to senders; each send is then a call to Redis where there is one.
    #[arg(long)]
    limits: bool,
    /// Deliveries per second; without it as many as possible.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How often each row is measured, in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seed of every random draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl RelayArguments {
    async fn run(self) -> Result<(), CliFailure> {
        let table = Table::begin::<RelayRow>(self.json).map_err(output_failure)?;
        for _ in 0..self.rounds {
            for &nodes in &self.nodes {
                let redis = if nodes == 0 { Vec::new() } else { self.redis.clone() };
                let Self { users, events, rate, seed, messages, limits, .. } = self;
                let payload = if messages { Payload::Message } else { Payload::Event };
                let relay = Relay { nodes, redis, users, payload, events, limits, rate, seed };
                table
                    .row(&relay.run().await.map_err(CliFailure::failed)?)
                    .map_err(output_failure)?;
            }
        }
        Ok(())
    }
}

/// What one delivery gap costs a node full of sessions, and what it reads while nothing is wrong.
#[derive(Debug, Args)]
pub(super) struct HealArguments {
    /// Sessions.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// A Redis shard, whose subscriber connections are closed.
    #[arg(long)]
    redis: String,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl HealArguments {
    async fn run(self) -> Result<(), CliFailure> {
        let table = Table::begin::<RecoveryRow>(self.json).map_err(output_failure)?;
        let heal = RecoveryBench { sessions: self.sessions, redis: self.redis };
        table.row(&heal.run().await.map_err(CliFailure::failed)?).map_err(output_failure)?;
        Ok(())
    }
}

/// What a room with very many sessions on a node costs another session there.
#[derive(Debug, Args)]
pub(super) struct CrowdArguments {
    /// Members, with one session each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members: u32,
    /// Messages to the room per second.
    #[arg(long, default_value_t = 1.0)]
    per_s: f64,
    /// How long each load lasts.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Event loops of the node.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl CrowdArguments {
    async fn run(self) -> Result<(), CliFailure> {
        let crowd = LargeRoom {
            members: self.members as usize,
            seconds: self.seconds,
            per_s: self.per_s,
            workers: self.workers,
        };
        let table = Table::begin::<LargeRoomRow>(self.json).map_err(output_failure)?;
        for row in crowd.run().await.map_err(CliFailure::failed)? {
            table.row(&row).map_err(output_failure)?;
        }
        Ok(())
    }
}

/// Memory per idle session, before and after large frames.
#[derive(Debug, Args)]
pub(super) struct IdleArguments {
    /// Sessions.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sessions: u32,
    /// Event loops of the server.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Patterns of a session, each its own topic, which are measured instead of large frames.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    patterns: u32,
    /// One JSON object per row.
    #[arg(long)]
    json: bool,
}

impl IdleArguments {
    async fn run(self) -> Result<(), CliFailure> {
        let Self { sessions, workers, patterns, json } = self;
        let idle = Idle { sessions: sessions as usize, workers, patterns: patterns as usize };
        let table = Table::begin::<IdleRow>(json).map_err(output_failure)?;
        if patterns > 0 {
            for row in idle.subscribed().await.map_err(CliFailure::failed)? {
                table.row(&row).map_err(output_failure)?;
            }
            return Ok(());
        }
        for row in idle.refused().await.map_err(CliFailure::failed)? {
            table.row(&row).map_err(output_failure)?;
        }
        for kind in [Large::Event, Large::Message] {
            table
                .row(&idle.delivered(kind).await.map_err(CliFailure::failed)?)
                .map_err(output_failure)?;
        }
        Ok(())
    }
}
