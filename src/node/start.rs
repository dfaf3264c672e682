//! The life of a node: its start and its end.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backends::limits;
use super::descriptors::{Descriptors, descriptor_limit};
use super::host::reached_at;
use super::plan::NodeOptions;
use super::report::cluster_table;
use crate::agent::{ClusterTable, NodeAgent, NodeAgentOptions, NodeDescription, NodeHealth};
use crate::bus::{BootId, ENVELOPE_VERSION, EnvelopeMac, StoreTag};
use crate::clock::{SharedClocks, WallClock};
use crate::cluster::EnvelopeForm;
use crate::config::Config;
use crate::connection::Handoff;
use crate::delivery::{Dispatcher, WorkerInterest, WorkerQueues};
use crate::health::Readiness;
use crate::http::{OperatorPort, PortPermits};
use crate::hub::PatternBudget;
use crate::interest::{Interest, Linger, WildcardFeed};
use crate::layout::ShardIndex;
use crate::limiter::{Addresses, ConnectionBounds, Connections, KeyedPermits};
use crate::protocol::{CursorSeal, DedupKey};
use crate::redis::Channels;
use crate::services::{ClusterView, NodeClocks, NodeIdentity, Services};
use crate::shards::{
    LinkStates, ReconnectSignal, SHARD_EVENTS_MAX, ShardEvent, ShardEvents, Subscriber,
};
use crate::socket::{Budget, listen};
use crate::telemetry::{Metrics, name_thread};
use crate::watermark::WatermarkState;
use crate::worker::{Worker, WorkerEnd, WorkerListener, WorkerShards};
use crate::worker_call::WorkerCalls;

/// Most sessions under way from one worker to another. Each waits for a permit.
const ARRIVALS_MAX: usize = 1024;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be opened.
    #[error("{key}: cannot listen on {address}: {error}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The reason.
        error: std::io::Error,
    },
    /// The system gives no thread, or does not report the limit of open files.
    #[error("the system refuses what a node is started with: {0}")]
    System(#[from] std::io::Error),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    clients: SocketAddr,
    operator: SocketAddr,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    nodes: Arc<AtomicU32>,
    stop: CancellationToken,
    operator_stop: CancellationToken,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
    agent: JoinHandle<std::io::Result<()>>,
    operator_thread: JoinHandle<std::io::Result<()>>,
}

impl Node {
    /// Starts a node. Its listeners are bound when this returns; its shard connections come up
    /// afterwards.
    pub fn start(plan: &NodeOptions) -> Result<Self, StartError> {
        let listen = &plan.config.listen;
        let clients = bound_listener("listen.clients", listen.clients)?;
        let operator = bound_listener("listen.operator", listen.operator)?;
        let (clients_at, operator_at) = (clients.local_addr()?, operator.local_addr()?);
        let (events, happened) = mpsc::channel(SHARD_EVENTS_MAX);
        let parts = Parts::new(plan, operator_at, events);
        let stop = CancellationToken::new();
        let end =
            WorkerEnd { stop: stop.clone(), busy: Arc::default(), left: CancellationToken::new() };
        let operator_stop = CancellationToken::new();
        let descriptors = parts.descriptors(&plan.config)?;
        let operator_thread =
            parts.start_operator(plan, operator, operator_stop.clone(), descriptors.operator)?;
        let agent = parts.start_agent(plan, clients_at, happened, &end)?;
        let connections = descriptors.clients(&plan.config);
        let workers = parts.start_workers(plan, &clients, connections, end)?;
        Ok(Self {
            name: plan.config.node.name.clone(),
            clients: clients_at,
            operator: operator_at,
            readiness: parts.readiness,
            metrics: Arc::clone(&parts.services.metrics),
            nodes: Arc::clone(&parts.services.cluster.nodes),
            stop,
            operator_stop,
            workers,
            agent,
            operator_thread,
        })
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns where clients connect.
    pub const fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Returns where the operator's listener is.
    pub const fn operator(&self) -> SocketAddr {
        self.operator
    }

    /// Returns the readiness of the node.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Returns how many nodes live, as this one knows it.
    pub fn live_nodes(&self) -> u32 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Returns the node's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Reports from now on that the node is draining, and goes on accepting and serving.
    pub fn begin_lame_duck(&self) {
        self.readiness.begin_lame_duck();
    }

    /// Begins to stop: the node is not ready, accepts nothing, and asks sessions to leave.
    pub fn drain(&self) {
        self.readiness.drain();
        self.stop.cancel();
    }

    /// Stops: drains, finishes what is in flight, and ends. It takes at most what
    /// `timeouts.lame_duck_ms` leaves of `timeouts.drain_timeout_ms`, and a little more.
    pub async fn stop(self) {
        self.drain();
        let gone = tokio::task::spawn_blocking(move || {
            self.workers.into_iter().for_each(join);
            join(self.agent);
            self.operator_stop.cancel();
            join(self.operator_thread);
        });
        if let Err(error) = gone.await {
            tracing::error!(%error, "waiting for the node's threads failed");
        }
    }
}

fn join(thread: JoinHandle<std::io::Result<()>>) {
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a thread of the node ended early"),
        Err(_) => tracing::error!("a thread of the node panicked"),
    }
}

fn bound_listener(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    listen(address).map_err(|error| StartError::Listen { key, address, error })
}

/// Returns the clocks of the node. They are those that all nodes on its store share, or its own,
/// which the store's coordinators set.
fn clocks(plan: &NodeOptions) -> SharedClocks {
    let own =
        || SharedClocks { wall: WallClock::to_be_set(plan.machine.clone()), ids: Arc::default() };
    plan.store.shared_clocks().unwrap_or_else(own)
}

/// Between two checks whether all workers are drained.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// Waits until the node must stop and its workers are drained, or took too long.
async fn drained(stop: &CancellationToken, busy: &Weak<()>, bound: Duration) {
    stop.cancelled().await;
    let until = Instant::now() + bound;
    while busy.strong_count() > 0 && Instant::now() < until {
        tokio::time::sleep(DRAIN_POLL).await;
    }
}

/// What a node's threads share.
struct Parts {
    services: Arc<Services>,
    health: Arc<LinkStates>,
    readiness: Arc<Readiness>,
    dispatcher: Arc<Dispatcher>,
    standing: Arc<NodeHealth>,
    table: Arc<ClusterTable>,
    reconnect: Arc<ReconnectSignal>,
    events: ShardEvents,
}

impl Parts {
    fn new(plan: &NodeOptions, operator: SocketAddr, events: ShardEvents) -> Self {
        let config = &plan.config;
        let layouts = Arc::new(plan.layouts());
        let health = Arc::new(LinkStates::new(layouts.shards(), config.workers as u32));
        let linger = Linger { ms: config.delivery.interest.linger.as_millis() as u64 };
        let feed = WildcardFeed::new(layouts.shards().len());
        let interest = Interest::new(Arc::clone(&layouts), linger, config.delivery.interest.batch);
        let (watermark_state, metrics) =
            (Arc::<WatermarkState>::default(), Arc::new(Metrics::new()));
        let worker_queues = WorkerQueues::new(
            config.workers,
            config.limits.node.worker_queue,
            Arc::clone(&watermark_state),
            Arc::clone(&metrics),
        );
        let SharedClocks { wall, ids } = clocks(plan);
        let (identity, limits) = (plan.store.identity(), &config.limits);
        let services = Arc::new(Services {
            identity: NodeIdentity {
                node: config.node.name.clone(),
                boot: BootId::random(),
                store_tag: StoreTag(identity.id.0),
                bus_seal: EnvelopeMac::of_store(identity.cursor_key.expose()),
                cursor_seal: CursorSeal::new(identity.cursor_key.expose(), identity.id.0),
                dedup_key: DedupKey::of_store(identity.cursor_key.expose()),
                verifier: plan.verifier(),
            },
            clocks: NodeClocks { ids, wall, metrics: Arc::clone(&metrics) },
            cluster: ClusterView {
                layouts,
                channels: Channels::new(&config.node.namespace),
                interest: Arc::new(interest),
                worker_interest: Arc::new(WorkerInterest::default()),
                feed: Arc::new(feed),
                worker_queues: Arc::new(worker_queues),
                nodes: Arc::new(AtomicU32::new(1)),
                watermark_state,
            },
            config: Arc::clone(config),
            patterns: Arc::new(PatternBudget::new(limits.pattern_bytes, limits.node.pattern_bytes)),
            budget: Arc::new(Budget::new(limits.node.outbox_bytes, config.workers)),
            store: Arc::clone(&plan.store),
            metrics,
            session_numbers: AtomicU64::new(0),
        });
        let shards = services.cluster.layouts.shards().iter();
        let dispatcher = Arc::new(Dispatcher {
            traffic: shards.map(|name| services.metrics.shards.traffic(name)).collect(),
            boot: services.identity.boot,
            store: services.identity.store_tag,
            seal: services.identity.bus_seal.clone(),
            worker_interest: Arc::clone(&services.cluster.worker_interest),
            feed: Arc::clone(&services.cluster.feed),
            worker_queues: Arc::clone(&services.cluster.worker_queues),
            interest: Arc::clone(&services.cluster.interest),
            watermark_state: Arc::clone(&services.cluster.watermark_state),
            events: events.clone(),
            metrics: Arc::clone(&services.metrics),
        });
        let standing = Arc::<NodeHealth>::default();
        let reconnect = Arc::new(ReconnectSignal::new(services.cluster.layouts.shards().len()));
        let readiness = Readiness::new(
            Arc::clone(&health),
            Arc::clone(&plan.store),
            Arc::clone(&standing),
            services.clocks.wall.clone(),
            Arc::clone(&services.cluster.nodes),
        );
        let readiness = Arc::new(readiness);
        let table = Arc::new(cluster_table(&services, &readiness, operator));
        Self { services, health, readiness, dispatcher, standing, table, reconnect, events }
    }

    /// Divides the files that the process may open.
    fn descriptors(&self, config: &Config) -> std::io::Result<Descriptors> {
        let servers = self.services.store.figures().map_or(0, |figures| figures.connections);
        let divided = Descriptors::divide(descriptor_limit()?, config, servers as usize);
        divided.log(config);
        Ok(divided)
    }

    fn start_operator(
        &self,
        plan: &NodeOptions,
        listener: TcpListener,
        stop: CancellationToken,
        connections: usize,
    ) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
        let readiness = Arc::clone(&self.readiness);
        let services = Arc::clone(&self.services);
        let table = Arc::clone(&self.table);
        let keep_alive = plan.config.timeouts.http.keep_alive;
        let name = plan.config.node.name.clone();
        std::thread::Builder::new().name("nc-operator".into()).spawn(move || {
            name_thread(&name);
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let port = OperatorPort::new(readiness, services, table, connections, keep_alive);
                tokio::select! {
                    () = Rc::new(port).run(listener) => {}
                    () = stop.cancelled() => {}
                }
                Ok(())
            })
        })
    }

    fn start_agent(
        &self,
        plan: &NodeOptions,
        address: SocketAddr,
        happened: mpsc::Receiver<ShardEvent>,
        end: &WorkerEnd,
    ) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
        let services = &self.services;
        let agent = NodeAgentOptions {
            about: NodeDescription {
                node: services.identity.node.clone(),
                boot: services.identity.boot,
                started: services.clocks.wall.now(),
                address: reached_at(address).to_string(),
                shards: services.cluster.layouts.shards().to_vec(),
                publish: services.cluster.layouts.published().clone(),
                subscribe: services.cluster.layouts.subscribed().cloned().collect(),
                envelopes: EnvelopeForm {
                    version: ENVELOPE_VERSION,
                    key: services.identity.bus_seal.id(),
                },
            },
            store: Arc::clone(&services.store),
            clock: services.clocks.wall.clone(),
            watermark_state: Arc::clone(&services.cluster.watermark_state),
            worker_queues: Arc::clone(&services.cluster.worker_queues),
            reconnect: Arc::clone(&self.reconnect),
            standing: Arc::clone(&self.standing),
            feed: Arc::clone(&services.cluster.feed),
            nodes: Arc::clone(&services.cluster.nodes),
            metrics: Arc::clone(&services.metrics),
            table: Arc::clone(&self.table),
            read: plan.config.timeouts.store,
        };
        let (stop, busy, left) = (end.stop.clone(), Arc::downgrade(&end.busy), end.left.clone());
        let drain = plan.config.timeouts.stop.after_lame_duck();
        let name = plan.config.node.name.clone();
        std::thread::Builder::new().name("nc-agent".into()).spawn(move || {
            name_thread(&name);
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(async {
                let drained = drained(&stop, &busy, drain);
                NodeAgent::new(agent).run(happened, stop.clone(), drained).await;
                left.cancel();
                Ok(())
            })
        })
    }

    fn start_workers(
        &self,
        plan: &NodeOptions,
        listener: &TcpListener,
        connections: ConnectionBounds,
        end: WorkerEnd,
    ) -> Result<Vec<JoinHandle<std::io::Result<()>>>, StartError> {
        let config = &plan.config;
        let (senders, receivers): (Vec<mpsc::Sender<Handoff>>, Vec<_>) =
            (0..config.workers).map(|_| mpsc::channel(ARRIVALS_MAX)).unzip();
        let (worker_calls, wanted) = WorkerCalls::new(config);
        let permits = PortPermits {
            connections: Arc::new(Connections::new(
                connections,
                Arc::clone(&self.services.metrics),
            )),
            addresses: Arc::new(Addresses::new(config.rates.connections_per_address)),
            users: KeyedPermits::new(config.limits.user.http_connections),
            accept_log: Arc::default(),
            proxy_log: Arc::default(),
        };
        let limits =
            limits(config, &self.services.cluster.layouts, self.services.identity.store_tag);
        let mut threads = Vec::new();
        for (index, (handoffs, wanted)) in receivers.into_iter().zip(wanted).enumerate() {
            let index = index as u32;
            let worker = Worker {
                index,
                services: Arc::clone(&self.services),
                shards: WorkerShards {
                    bus: Arc::clone(&plan.bus),
                    health: Arc::clone(&self.health),
                    reconnect: Arc::clone(&self.reconnect),
                    subscribers: self.subscribers(plan, index),
                },
                clients: WorkerListener {
                    listener: listener.try_clone()?,
                    readiness: Arc::clone(&self.readiness),
                    permits: permits.clone(),
                    workers: senders.clone(),
                    handoffs,
                },
                limits: limits.clone(),
                calls: worker_calls.clone(),
                wanted,
                end: end.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("nc-worker-{index}"));
            let name = config.node.name.clone();
            threads.push(thread.spawn(move || {
                name_thread(&name);
                worker.run()
            })?);
        }
        Ok(threads)
    }

    /// Returns the shards whose subscriber connections a worker owns: every so many-th.
    fn subscribers(&self, plan: &NodeOptions, worker: u32) -> Vec<Subscriber> {
        let services = &self.services;
        let shards = services.cluster.layouts.shards().iter().enumerate();
        let owned =
            shards.filter(|(shard, _)| *shard as u32 % plan.config.workers as u32 == worker);
        owned
            .map(|(shard, name)| Subscriber {
                shard: ShardIndex(shard as u32),
                name: name.clone(),
                bus: Arc::clone(&plan.bus),
                sink: Arc::clone(&self.dispatcher) as _,
                interest: Arc::clone(&services.cluster.interest),
                feed: Arc::clone(&services.cluster.feed),
                channels: services.cluster.channels.clone(),
                always: vec![services.cluster.channels.all(), services.own_channel()],
                health: Arc::clone(&self.health),
                events: self.events.clone(),
                reconnect_wanted: self.reconnect.reconnect_wanted(shard),
                waits: plan.config.timeouts.redis.links,
            })
            .collect()
    }
}
