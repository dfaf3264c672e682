//! `bench`: the load generator's commands.

mod crowd;
mod draw;
mod fanout;
mod heal;
mod idle;
mod layout;
mod load;
mod relay;
mod rooms;

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
use super::help::example;
use super::signals::StopRequests;
use super::{CliFailure, settings};
use crate::bench::plain_loop;
use crate::config::Config;

/// Measures.
#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// How many nodes receive a publish, by layout, next to the predicted number.
    Fanout(FanoutArguments),
    /// How many nodes would receive a publish, on clusters that do not fit on a machine?
    #[command(after_help = example!("bench layout --nodes 100,1000 --users 1000000"))]
    Layout(LayoutArguments),
    /// What a message to a room costs, by its size, next to one publish per member and broadcast.
    Rooms(RoomsArguments),
    /// CPU per delivery, next to a plain loop.
    Relay(RelayArguments),
    /// What a room with very many sessions on a node costs another session there.
    Crowd(CrowdArguments),
    /// How nodes serve a mix of requests at a rate: latency, and whether anything is lost, doubled
    /// or out of order.
    #[command(after_help = example!(
        "bench load --rate 500 --seconds 30",
        "bench load --node ws://10.0.0.1:8080/v1/ws,http://10.0.0.1:8081 --reconnect --json"
    ))]
    Load(LoadArguments),
    /// Memory per idle session, before and after large frames.
    Idle(IdleArguments),
    /// What one delivery gap costs a node full of sessions, and what it reads while nothing is
    /// wrong.
    Heal(HealArguments),
    /// Draws what the others printed with `--json`.
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
