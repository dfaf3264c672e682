//! `serve`: one node, until it is told to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failure, block_on, settings};
use crate::clock::MachineClock;
use crate::node::{Node, NodePlan, close_store, open_store, own_bus, until_worth_a_restart};

/// Runs a node.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; without one the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = settings::load(self.config.as_deref())?;
        config.check_serve().map_err(Failure::usage)?;
        settings::begin_log(&config)?;
        let bus = own_bus(&config);
        let store = open_store(&config, &config.store.path).map_err(Failure::failed)?;
        let drain = config.timeouts.drain;
        let machine = MachineClock::default();
        let plan = NodePlan { config: Arc::new(config), bus, store: Arc::clone(&store), machine };
        block_on(async {
            let mut requests = StopRequests::listen()?;
            let node = Node::start(&plan).map_err(Failure::failed)?;
            let (clients, operator) = (node.clients(), node.operator());
            tracing::info!(node = node.name(), %clients, %operator, "serving");
            let is_asked = tokio::select! {
                () = requests.next() => true,
                () = until_worth_a_restart(&store) => false,
            };
            tracing::info!(is_asked, "stopping");
            let until = Instant::now() + drain;
            requests
                .unless_again(async {
                    node.stop().await;
                    close_store(&store, until).await;
                })
                .await?;
            if is_asked { Ok(()) } else { Err(Failure::Again) }
        })
    }
}

/// Requests to end the process. They are heard from the moment that this is made, and never
/// again end the process by themselves.
pub(super) struct StopRequests {
    terminate: Signal,
    interrupt: Signal,
}

impl StopRequests {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Failure::failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::failed)?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for an end in order, unless the process is asked again before.
    pub(super) async fn unless_again(
        &mut self,
        ending: impl Future<Output = ()>,
    ) -> Result<(), Failure> {
        tokio::select! {
            () = ending => Ok(()),
            () = self.next() => Err(Failure::Failed("ended at once by a second request".into())),
        }
    }
}
