//! One event loop: a thread with its own sessions, hub and publisher connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::config::Rates;
use crate::delivery::Work;
use crate::http::{ClientPort, ClientPortBounds, PortPermits, Readiness};
use crate::hub::{Hub, Session};
use crate::limiter::{
    MemberShares, RedisLimiter, RedisLimiterOptions, WorkerLimiter, WorkerLimiterOptions,
};
use crate::protocol::CloseReason;
use crate::redis::PoolError;
use crate::router::{Pacer, ReadBudget, Router, Services, SlicedFanouts, WorkerCall, WorkerCalls};
use crate::session::{ConnectionContext, ContextBounds, Handoff, arrive, watch_deadlines};
use crate::shards::{
    Health, LinkBounds, Publishers, PublishersOptions, ReconnectSignal, Subscriber,
};

/// The time between two waves of a drain.
const WAVE_PAUSE: Duration = Duration::from_millis(50);

/// Publishes that are delivered before the sockets get a turn: senders that keep the queue full
/// must not keep the sockets from being read.
const PUSHES_A_TURN: usize = 64;

/// The part of the drain time in which sessions are asked to leave; the rest is left for them to do
/// it.
const WAVES_PART: f64 = 0.5;

/// The time between two waves of a node that sends its sessions away without being stopped. It is
/// also how often the node checks whether it must.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// Number of those waves. They take 10 s, in which a client that lost one node finds another.
const AWAY_WAVES: usize = 20;

/// Reads of the store per second, of one worker.
#[derive(Debug, Clone, Copy)]
pub struct ReadRates {
    /// For repairs and pull rounds.
    pub repairs: f64,
    /// For resumes.
    pub resumes: f64,
    /// For audits; 0 disables them.
    pub audit: f64,
}

/// The limits on calls of a worker's users.
#[derive(Debug, Clone)]
pub struct LimitOptions {
    /// The configured rates.
    pub rates: Rates,
    /// The connection to Redis, if there is one.
    pub shared: Option<RedisLimiterOptions>,
    /// Shares of contested conversations, of all workers of the node.
    pub shares: Arc<MemberShares>,
}

impl LimitOptions {
    /// Creates the limiter on the worker's own event loop, to which its connections belong.
    fn limiter(self, services: &Services) -> Result<WorkerLimiter, PoolError> {
        let shared = self.shared.map(RedisLimiter::start).transpose()?;
        Ok(WorkerLimiter::new(WorkerLimiterOptions {
            rates: self.rates,
            shared: shared.map(|shared| Arc::new(shared) as _),
            nodes: Arc::clone(&services.nodes),
            shares: self.shares,
            metrics: Arc::clone(&services.metrics),
        }))
    }
}

/// The parts of a worker.
#[derive(Debug)]
pub struct Worker {
    /// Its index.
    pub index: u32,
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// Makes the connections to shards.
    pub bus: Arc<dyn Bus>,
    /// Where shard connections record their states.
    pub health: Arc<Health>,
    /// The bounds of shard connections.
    pub link_bounds: LinkBounds,
    /// The most deliveries that are remembered.
    pub remembered: usize,
    /// The rates of its reads.
    pub reads: ReadRates,
    /// The subscriber connections that this worker owns.
    pub subscribers: Vec<Subscriber>,
    /// The clients' listener.
    pub listener: std::net::TcpListener,
    /// Whether the node takes sessions.
    pub readiness: Arc<Readiness>,
    /// Permits for connections.
    pub places: PortPermits,
    /// The limits of its users' calls.
    pub limits: LimitOptions,
    /// The listener's bounds.
    pub port_bounds: ClientPortBounds,
    /// The connections' bounds.
    pub connection_bounds: ContextBounds,
    /// Senders of connections to all workers.
    pub workers: Vec<mpsc::Sender<Handoff>>,
    /// Connections that other workers send here.
    pub handoffs: mpsc::Receiver<Handoff>,
    /// Senders of HTTP requests to all workers.
    pub worker_calls: WorkerCalls,
    /// HTTP requests to this worker.
    pub wanted: mpsc::Receiver<WorkerCall>,
    /// Cancelled when the node is to end.
    pub stop: CancellationToken,
    /// How long a drain may take.
    pub drain: Duration,
    /// Signals shard connections to close.
    pub reconnect: Arc<ReconnectSignal>,
    /// Held by every worker of the node that is not drained.
    pub busy: Arc<()>,
    /// Cancelled when the node's last heartbeat is written.
    pub left: CancellationToken,
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
        let listener = TcpListener::from_std(self.listener)?;
        let publishers = Publishers::start(PublishersOptions {
            worker: self.index,
            shards: self.services.layouts.shards(),
            bus: &self.bus,
            health: &self.health,
            metrics: &self.services.metrics,
            all: self.services.channels.all(),
            probe: self.services.channels.probe(),
            clock: self.services.wall.clone(),
            reconnect: &self.reconnect,
            bounds: self.link_bounds,
        });
        let limiter = self.limits.limiter(&self.services).map_err(std::io::Error::other)?;
        let share = Rc::new(self.services.budget.share(self.index as usize));
        let router = Rc::new(Router {
            services: Arc::clone(&self.services),
            worker: self.index,
            hub: RefCell::new(Hub::new(self.remembered)),
            publishers,
            sliced: SlicedFanouts::default(),
            flush_wanted: share.call(),
            share,
            sends: Cell::new(0),
            late: Cell::new(0),
            nonces: Rc::default(),
            watermark: Cell::default(),
            round: RefCell::default(),
            unconfirmed: RefCell::default(),
            watermark_moved: Notify::new(),
            cursors_wanted: Notify::new(),
            repairs: Pacer::new(self.reads.repairs),
            resumes: ReadBudget::new(self.reads.resumes),
            limiter,
        });
        let front = Rc::new(ConnectionContext::new(
            Rc::clone(&router),
            self.workers,
            self.connection_bounds,
        ));
        let port = Rc::new(ClientPort::new(
            Rc::clone(&front),
            Arc::clone(&self.readiness),
            self.places,
            self.worker_calls.clone(),
            self.port_bounds,
        ));
        tokio::task::spawn_local(deliver(Rc::clone(&router)));
        tokio::task::spawn_local(flush(Rc::clone(&router)));
        tokio::task::spawn_local(Rc::clone(&router).send_cursors());
        tokio::task::spawn_local(watch_deadlines(Rc::clone(&front)));
        tokio::task::spawn_local(shed_sessions_on_bad_clock(Rc::clone(&router), self.readiness));
        if self.reads.audit > 0.0 {
            let pacer = Pacer::new(self.reads.audit);
            tokio::task::spawn_local(Rc::clone(&router).audit(pacer));
        }
        tokio::task::spawn_local(take_arrivals(Rc::clone(&front), self.handoffs));
        tokio::task::spawn_local(run_worker_calls(Rc::clone(&router), self.wanted));
        for subscriber in self.subscribers {
            tokio::task::spawn_local(subscriber.run());
        }
        let accepting = tokio::task::spawn_local(port.run(listener));
        self.stop.cancelled().await;
        accepting.abort();
        front.drain();
        let until = Instant::now() + self.drain;
        drain(&router, &self.worker_calls, self.drain).await;
        // Other workers may receive through a subscriber connection of this one, and the last
        // heartbeat reports on its sends.
        drop(self.busy);
        let _in_time = tokio::time::timeout_at(until, self.left.cancelled()).await;
        Ok(())
    }
}

/// Delivers the queued publishes of this worker to its sessions, all that are there at once.
async fn deliver(router: Rc<Router>) {
    let inbox = Arc::clone(router.services.worker_queues.of(router.worker));
    let mut batch = Vec::new();
    loop {
        inbox.take(&mut batch).await;
        for (number, work) in batch.drain(..).enumerate() {
            match work {
                Work::Push(push) => router.take_push(&push).await,
                Work::Command(command) => router.command(command),
            }
            if number % PUSHES_A_TURN == PUSHES_A_TURN - 1 {
                router.flush();
                tokio::task::yield_now().await;
            }
        }
        router.flush();
        tokio::task::yield_now().await;
    }
}

/// Writes each socket once for everything that was queued for it since the last turn.
async fn flush(router: Rc<Router>) {
    loop {
        router.flush_wanted.notified().await;
        router.flush();
        tokio::task::yield_now().await;
    }
}

async fn take_arrivals(front: Rc<ConnectionContext>, mut handoffs: mpsc::Receiver<Handoff>) {
    while let Some(handoff) = handoffs.recv().await {
        match arrive(Rc::clone(&front), handoff) {
            Ok(session) => drop(tokio::task::spawn_local(session)),
            Err(error) => tracing::warn!(%error, "a connection from another worker could not be \
                taken over"),
        }
    }
}

async fn run_worker_calls(router: Rc<Router>, mut wanted: mpsc::Receiver<WorkerCall>) {
    while let Some(worker_call) = wanted.recv().await {
        worker_call(Rc::clone(&router));
    }
}

/// Asks the sessions to leave, in waves, so that they do not all reconnect at once. A session that
/// waits for an answer may send no further request, and leaves when it has the answer. Then waits
/// for what is in flight.
async fn drain(router: &Rc<Router>, worker_calls: &WorkerCalls, bound: Duration) {
    let until = Instant::now() + bound;
    let waves = (bound.mul_f64(WAVES_PART).as_millis() / WAVE_PAUSE.as_millis()).max(1);
    let wave = router.hub.borrow().len().div_ceil(waves as usize).max(1);
    let is_over = || router.hub.borrow().is_empty() && router.is_quiet() && worker_calls.is_idle();
    while Instant::now() < until && !is_over() {
        close_wave(router, wave);
        tokio::time::sleep(WAVE_PAUSE).await;
    }
}

/// Closes sessions in waves while the node's clock is wrong and there are other nodes. Such a node
/// sends no cursors and accepts no sends, so its sessions are better served by other nodes.
async fn shed_sessions_on_bad_clock(router: Rc<Router>, readiness: Arc<Readiness>) {
    let mut ticks = tokio::time::interval(AWAY_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wave = 0;
    loop {
        ticks.tick().await;
        if readiness.is_worse_timed() {
            wave = router.hub.borrow().len().div_ceil(AWAY_WAVES).max(wave);
            close_wave(&router, wave);
        } else {
            wave = 0;
        }
    }
}

fn close_wave(router: &Router, wave: usize) {
    let hub = router.hub.borrow();
    let waits = |s: &Session| s.is_sending() && s.is_leaving();
    let due = hub.sessions().filter(|s| s.link().is_open() && !waits(s));
    for session in due.take(wave) {
        if session.is_sending() {
            session.take_no_sends();
            continue;
        }
        router.services.metrics.sessions.closes(CloseReason::Draining.code());
        session.close(CloseReason::Draining);
    }
}
