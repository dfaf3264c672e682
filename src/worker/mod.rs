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
use crate::http::{ClientPort, ClientPortBounds, Places, Readiness};
use crate::hub::{Hub, Session};
use crate::limiter::{Gate, GatePlan, RedisLimiter, RedisLimiterPlan, Shares};
use crate::links::{Breaker, Health, LinkBounds, Publishers, PublishersPlan, Subscriber};
use crate::protocol::Close;
use crate::redis::PoolError;
use crate::router::{Crowds, Errand, Errands, Pacer, ReadBudget, Router, Services};
use crate::session::{Arrival, Front, FrontBounds, arrive, sweep};

/// Between two waves of a drain.
const WAVE_PAUSE: Duration = Duration::from_millis(50);

/// Pushes that are delivered before the sockets have their turn: whoever fills the queue all the
/// time must not keep them from being read.
const PUSHES_A_TURN: usize = 64;

/// The part of the time for draining in which sessions are asked to leave; the rest is theirs.
const WAVES_PART: f64 = 0.5;

/// From one wave to the next of a node that hands its sessions away, though it is not stopped: it
/// also is how often it looks whether it must.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// In how many waves it does: they take 10 s, in which whoever lost one node finds another.
const AWAY_WAVES: usize = 20;

/// Reads of the store a second, of one worker.
#[derive(Debug, Clone, Copy)]
pub struct ReadRates {
    /// Of repairs and pull rounds.
    pub repairs: f64,
    /// Of resumes.
    pub resumes: f64,
    /// Of audits; 0 is none.
    pub audit: f64,
}

/// What the calls of a worker's users are held to.
#[derive(Debug, Clone)]
pub struct LimitsPlan {
    /// As configured.
    pub rates: Rates,
    /// Redis, if there is one.
    pub shared: Option<RedisLimiterPlan>,
    /// Shares of contested conversations, of all workers of the node.
    pub shares: Arc<Shares>,
}

impl LimitsPlan {
    /// Connections belong to the event loop that makes them.
    fn gate(self, services: &Services) -> Result<Gate, PoolError> {
        let shared = self.shared.map(RedisLimiter::start).transpose()?;
        Ok(Gate::new(GatePlan {
            rates: self.rates,
            shared: shared.map(|shared| Arc::new(shared) as _),
            nodes: Arc::clone(&services.nodes),
            shares: self.shares,
            metrics: Arc::clone(&services.metrics),
        }))
    }
}

/// What a worker is made of.
#[derive(Debug)]
pub struct Worker {
    /// Which one.
    pub index: u32,
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// What connects to shards.
    pub bus: Arc<dyn Bus>,
    /// Where links note their state.
    pub health: Arc<Health>,
    /// The bounds of links.
    pub link_bounds: LinkBounds,
    /// Messages that are known to have been handed over.
    pub remembered: usize,
    /// What it may read.
    pub reads: ReadRates,
    /// The subscriber connections that this worker owns.
    pub subscribers: Vec<Subscriber>,
    /// The clients' listener.
    pub listener: std::net::TcpListener,
    /// Whether the node takes sessions.
    pub readiness: Arc<Readiness>,
    /// Places for connections.
    pub places: Places,
    /// What its users' calls are held to.
    pub limits: LimitsPlan,
    /// The listener's bounds.
    pub port_bounds: ClientPortBounds,
    /// The connections' bounds.
    pub front_bounds: FrontBounds,
    /// The ways to all workers.
    pub workers: Vec<mpsc::Sender<Arrival>>,
    /// What other workers send here.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// The ways of HTTP requests to all workers.
    pub errands: Errands,
    /// What HTTP requests want of this one.
    pub wanted: mpsc::Receiver<Errand>,
    /// Cancelled when the node is to end.
    pub stop: CancellationToken,
    /// How long an end may take.
    pub drain: Duration,
    /// Breaks links.
    pub breaker: Arc<Breaker>,
    /// Held by every worker of the node that is not drained.
    pub busy: Arc<()>,
    /// Cancelled when the node's last row is written.
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
        let publishers = Publishers::start(PublishersPlan {
            worker: self.index,
            shards: self.services.layouts.shards(),
            bus: &self.bus,
            health: &self.health,
            metrics: &self.services.metrics,
            all: self.services.channels.all(),
            probe: self.services.channels.probe(),
            clock: self.services.wall.clone(),
            breaker: &self.breaker,
            bounds: self.link_bounds,
        });
        let gate = self.limits.gate(&self.services).map_err(std::io::Error::other)?;
        let share = Rc::new(self.services.budget.share(self.index as usize));
        let router = Rc::new(Router {
            services: Arc::clone(&self.services),
            worker: self.index,
            hub: RefCell::new(Hub::new(self.remembered)),
            publishers,
            crowds: Crowds::default(),
            flush_wanted: share.call(),
            share,
            sends: Cell::new(0),
            late: Cell::new(0),
            nonces: Rc::default(),
            watermark: Cell::default(),
            round: RefCell::default(),
            suspects: RefCell::default(),
            proof_moved: Notify::new(),
            cursors_wanted: Notify::new(),
            repairs: Pacer::new(self.reads.repairs),
            resumes: ReadBudget::new(self.reads.resumes),
            gate,
        });
        let front = Rc::new(Front::new(Rc::clone(&router), self.workers, self.front_bounds));
        let port = Rc::new(ClientPort::new(
            Rc::clone(&front),
            Arc::clone(&self.readiness),
            self.places,
            self.errands.clone(),
            self.port_bounds,
        ));
        tokio::task::spawn_local(deliver(Rc::clone(&router)));
        tokio::task::spawn_local(flush(Rc::clone(&router)));
        tokio::task::spawn_local(Rc::clone(&router).hand_cursors());
        tokio::task::spawn_local(sweep(Rc::clone(&front)));
        tokio::task::spawn_local(hand_away(Rc::clone(&router), self.readiness));
        if self.reads.audit > 0.0 {
            let pacer = Pacer::new(self.reads.audit);
            tokio::task::spawn_local(Rc::clone(&router).audit(pacer));
        }
        tokio::task::spawn_local(take_arrivals(Rc::clone(&front), self.arrivals));
        tokio::task::spawn_local(run_errands(Rc::clone(&router), self.wanted));
        for subscriber in self.subscribers {
            tokio::task::spawn_local(subscriber.run());
        }
        let accepting = tokio::task::spawn_local(port.run(listener));
        self.stop.cancelled().await;
        accepting.abort();
        front.drain();
        let until = Instant::now() + self.drain;
        drain(&router, &self.errands, self.drain).await;
        // Others may hear through a subscriber connection of this worker, and the last row says
        // how its sends stand.
        drop(self.busy);
        let _in_time = tokio::time::timeout_at(until, self.left.cancelled()).await;
        Ok(())
    }
}

/// Hands what came for this worker to its sessions, all that is there at once.
async fn deliver(router: Rc<Router>) {
    let inbox = Arc::clone(router.services.inboxes.of(router.worker));
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

/// Writes each socket once for all that a turn of the loop queued for it.
async fn flush(router: Rc<Router>) {
    loop {
        router.flush_wanted.notified().await;
        router.flush();
        tokio::task::yield_now().await;
    }
}

async fn take_arrivals(front: Rc<Front>, mut arrivals: mpsc::Receiver<Arrival>) {
    while let Some(arrival) = arrivals.recv().await {
        match arrive(Rc::clone(&front), arrival) {
            Ok(session) => drop(tokio::task::spawn_local(session)),
            Err(error) => tracing::warn!(%error, "a session could not be taken over"),
        }
    }
}

async fn run_errands(router: Rc<Router>, mut wanted: mpsc::Receiver<Errand>) {
    while let Some(errand) = wanted.recv().await {
        errand(Rc::clone(&router));
    }
}

/// Asks the sessions to go, in waves so that they do not arrive elsewhere all at once; one that
/// waits for an answer may ask for nothing more and goes when it has it. Then waits for what is in flight.
async fn drain(router: &Rc<Router>, errands: &Errands, bound: Duration) {
    let until = Instant::now() + bound;
    let waves = (bound.mul_f64(WAVES_PART).as_millis() / WAVE_PAUSE.as_millis()).max(1);
    let wave = router.hub.borrow().len().div_ceil(waves as usize).max(1);
    let is_over = || router.hub.borrow().is_empty() && router.is_quiet() && errands.is_idle();
    while Instant::now() < until && !is_over() {
        close_wave(router, wave);
        tokio::time::sleep(WAVE_PAUSE).await;
    }
}

/// A node whose clock is off gives out no cursors and takes no sends. While there are others its
/// sessions are better off there.
async fn hand_away(router: Rc<Router>, readiness: Arc<Readiness>) {
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
        router.services.metrics.closes(Close::Draining.code());
        session.close(Close::Draining);
    }
}
