//! One event loop: a thread with its own sessions, hub and publisher connections.

mod assembly;
mod control;
mod drain;
mod limits;
mod observer;
mod tasks;

use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use assembly::{RouterParts, router};
use control::WorkerControl;
use drain::{drain, shed_sessions_on_bad_clock};
use observer::observe;
use tasks::{deliver, flush, run_worker_calls, take_arrivals};

use crate::bus::Bus;
use crate::connection::{ConnectionContext, Handoff, watch_deadlines};
use crate::health::Readiness;
use crate::http::{ClientPort, PortPermits};
use crate::ops::Router;
use crate::recovery::{Pacer, ReadRates};
use crate::services::Services;
use crate::shards::{LinkStates, Publishers, PublishersOptions, ReconnectSignal, Subscriber};
use crate::worker_call::{WorkerCall, WorkerCalls};

pub use limits::{LimitOptions, StartLimiter};

/// A worker's connections to the shards.
#[derive(Debug)]
pub struct WorkerShards {
    /// Makes the connections.
    pub bus: Arc<dyn Bus>,
    /// Where they record their states.
    pub health: Arc<LinkStates>,
    /// Signals them to close.
    pub reconnect: Arc<ReconnectSignal>,
    /// The subscriber connections that this worker owns.
    pub subscribers: Vec<Subscriber>,
}

/// A worker's part of the clients' listener.
#[derive(Debug)]
pub struct WorkerListener {
    /// The listener.
    pub listener: std::net::TcpListener,
    /// Whether the node takes sessions.
    pub readiness: Arc<Readiness>,
    /// Permits for connections.
    pub permits: PortPermits,
    /// Senders of connections to all workers.
    pub workers: Vec<mpsc::Sender<Handoff>>,
    /// Connections that other workers send here.
    pub handoffs: mpsc::Receiver<Handoff>,
}

/// How a worker ends together with the others.
#[derive(Debug, Clone)]
pub struct WorkerEnd {
    /// Cancelled when the node is to end.
    pub stop: CancellationToken,
    /// Held by every worker of the node that is not drained.
    pub busy: Arc<()>,
    /// Cancelled when the node's last heartbeat is written.
    pub left: CancellationToken,
}

/// The parts of a worker.
#[derive(Debug)]
pub struct Worker {
    /// Its index.
    pub index: u32,
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// Its connections to the shards.
    pub shards: WorkerShards,
    /// Its part of the clients' listener.
    pub clients: WorkerListener,
    /// The limits of its users' calls.
    pub limits: LimitOptions,
    /// Senders of HTTP requests to all workers.
    pub calls: WorkerCalls<Rc<Router>>,
    /// HTTP requests to this worker.
    pub wanted: mpsc::Receiver<WorkerCall<Rc<Router>>>,
    /// How it ends.
    pub end: WorkerEnd,
}

impl Worker {
    /// Runs on the calling thread until the node is stopped and all its sessions are gone.
    pub fn run(self) -> std::io::Result<()> {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let result = runtime.block_on(self.serve());
        // A name that is being resolved must not keep the thread.
        runtime.shutdown_background();
        result
    }

    async fn serve(self) -> std::io::Result<()> {
        let Self { services, shards, clients, end, .. } = self;
        let listener = TcpListener::from_std(clients.listener)?;
        let router = router(RouterParts {
            worker: self.index,
            publishers: shards.publishers(self.index, &services),
            limiter: self.limits.limiter(&services),
            services,
        });
        let context = Rc::new(ConnectionContext::new(Rc::clone(&router), clients.workers));
        let port = Rc::new(ClientPort::new(
            Rc::clone(&context),
            Arc::clone(&clients.readiness),
            clients.permits,
            self.calls.clone(),
        ));
        spawn_upkeep(&router);
        spawn_local(watch_deadlines(Rc::clone(&context)));
        spawn_local(shed_sessions_on_bad_clock(Rc::clone(&router), clients.readiness));
        spawn_local(take_arrivals(Rc::clone(&context), clients.handoffs));
        spawn_local(run_worker_calls(Rc::clone(&router), self.wanted));
        for subscriber in shards.subscribers {
            spawn_local(subscriber.run());
        }
        let accepting = spawn_local(port.run(listener));
        end.stop.cancelled().await;
        accepting.abort();
        context.drain();
        let bound = router.services.config.timeouts.stop.after_lame_duck();
        let until = Instant::now() + bound;
        drain(&router, &self.calls, bound).await;
        // Other workers may receive through a subscriber connection of this one, and the last
        // heartbeat reports on its sends.
        drop(end.busy);
        let _in_time = tokio::time::timeout_at(until, end.left.cancelled()).await;
        Ok(())
    }
}

impl WorkerShards {
    fn publishers(&self, worker: u32, services: &Services) -> Publishers {
        Publishers::start(PublishersOptions {
            worker,
            shards: services.cluster.layouts.shards(),
            bus: &self.bus,
            health: &self.health,
            metrics: &services.metrics,
            all: services.cluster.channels.all(),
            probe: services.cluster.channels.probe(),
            clock: services.clocks.wall.clone(),
            reconnect: &self.reconnect,
            bounds: services.config.delivery.bus,
            waits: services.config.timeouts.redis.links,
            pending: services.config.delivery.repair.pending,
        })
    }
}

/// Starts what a router does by itself.
fn spawn_upkeep(router: &Rc<Router>) {
    let audits_per_second = ReadRates::of_worker(&router.services.config).audit;
    let control = WorkerControl {
        services: Arc::clone(&router.services),
        worker: router.sessions.worker,
        publishers: Rc::clone(&router.fanout.publishers),
        recovery: Rc::clone(&router.recovery),
    };
    spawn_local(deliver(Rc::clone(&router.fanout), control));
    spawn_local(flush(Rc::clone(&router.sessions)));
    spawn_local(observe(Rc::clone(router)));
    spawn_local(Rc::clone(&router.recovery).send_cursors());
    spawn_local(Rc::clone(&router.recovery).read_joined_rooms());
    if audits_per_second > 0.0 {
        spawn_local(Rc::clone(&router.recovery).audit(Pacer::new(audits_per_second)));
    }
}
