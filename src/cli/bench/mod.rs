//! `bench`: the load generator's commands.

mod crowd;
mod fanout;
mod heal;
mod idle;
mod relay;
mod rooms;
mod storm;

use std::pin::Pin;

use clap::Subcommand;

use self::crowd::CrowdArguments;
use self::fanout::FanoutArguments;
use self::heal::HealArguments;
use self::idle::IdleArguments;
use self::relay::RelayArguments;
use self::rooms::RoomsArguments;
use self::storm::StormArguments;
use super::help::example;
use super::signals::StopRequests;
use super::{CliFailure, settings};
use crate::bench::{BenchError, plain_loop};
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
    /// How long are the users of a node away when it ends, and what does their return cost the
    /// others?
    #[command(after_help = example!("bench storm --restart --sessions 1000", "bench storm --fault drain --cql 127.0.0.1:9042 --redis redis://127.0.0.1:6379"))]
    Storm(StormArguments),
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
            Self::Heal(heal) => Box::pin(heal.run()),
            Self::Storm(storm) => Box::pin(storm.run()),
            // It has a runtime of its own, and leaves nothing behind.
            Self::PlainLoop => return plain_loop().map_err(CliFailure::failed),
        };
        runtime.block_on(unless_stopped(measurement))
    }
}

/// What was given wrongly is the caller's mistake; anything else is a failure.
fn failure(error: BenchError) -> CliFailure {
    match error {
        BenchError::Input(_) => CliFailure::usage(error),
        _ => CliFailure::failed(error),
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
