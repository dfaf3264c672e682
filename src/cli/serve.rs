//! `serve`: one node, until it is asked to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::signal::unix::SignalKind;

use super::signals::{StopRequests, outlive_hangups, reap_orphans};
use super::{CliFailure, block_on, settings};
use crate::clock::{MachineClock, Readable};
use crate::config::Config;
use crate::node::{
    Node, NodeOptions, close_store, host_name, open_store, own_bus, until_worth_a_restart,
};
use crate::store::Store;
use crate::telemetry::name_process;

/// Runs a node.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration file; without one the defaults hold.
    #[arg(long)]
    config: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let mut config = settings::load(self.config.as_deref())?;
        config.check_serve().map_err(CliFailure::usage)?;
        let host = host_name();
        let is_changed = config.node.name_after(&host);
        name_process(&config.node.name);
        settings::begin_log(&config)?;
        if is_changed {
            let name = &config.node.name;
            tracing::warn!("node.name: the host is called {host:?}, so this node is {name:?}");
        }
        settings::warn_of_exposed_secrets(&config, self.config.as_deref());
        settings::tell_memory(&config)?;
        block_on(serve(Arc::new(config)))
    }
}

async fn serve(config: Arc<Config>) -> Result<(), CliFailure> {
    let mut requests = StopRequests::of_service()?;
    outlive_hangups()?;
    reap_orphans()?;
    let store = tokio::select! {
        store = opened(Arc::clone(&config)) => store?,
        _kind = requests.next() => return Ok(()),
    };
    let (bus, timeouts) = (own_bus(&config), config.timeouts);
    let plan =
        NodeOptions { config, bus, store: Arc::clone(&store), machine: MachineClock::default() };
    let node = Node::start(&plan).map_err(CliFailure::failed)?;
    let (clients, operator) = (node.clients(), node.operator());
    tracing::info!(%clients, %operator, "serving");
    let signal = tokio::select! {
        kind = requests.next() => Some(kind),
        () = until_worth_a_restart(&store) => None,
    };
    let why = match signal {
        Some(_) => "it was asked to",
        None => "the store failed and can be opened again",
    };
    tracing::info!("stopping: {why}");
    let until = Instant::now() + timeouts.drain;
    let stopping = async {
        if signal == Some(SignalKind::terminate()) {
            wait_for_balancers(&node, timeouts.lame_duck).await;
        }
        node.stop().await;
        close_store(&store, until).await;
    };
    requests.unless_again(stopping).await?;
    if signal.is_some() { Ok(()) } else { Err(CliFailure::Again) }
}

/// Serves on, while balancers learn from `/readyz` to send no client here. A person at a terminal
/// presses Ctrl-C (SIGINT) and waits for nothing.
async fn wait_for_balancers(node: &Node, wait: Duration) {
    if wait.is_zero() {
        return;
    }
    node.begin_lame_duck();
    tracing::info!("not ready from now on; connections are accepted for {} more", Readable(wait));
    tokio::time::sleep(wait).await;
}

/// Opens the store on a thread of its own: a request to end the process need not wait for it.
async fn opened(config: Arc<Config>) -> Result<Arc<dyn Store>, CliFailure> {
    let opening = tokio::task::spawn_blocking(move || open_store(&config, &config.store.path));
    opening.await.map_err(CliFailure::failed)?.map_err(CliFailure::failed)
}
