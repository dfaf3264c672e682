//! The course of a storm.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::clients::{Course, Shared, StormClient};
use super::counts::StormCounts;
use super::judge::{bystander, comeback, failures, sends, verdict};
use super::log::{Role, StormLog};
use super::nodes::StormNodes;
use super::report::{GeneratorReport, NodesReport, StormReport, StormSize};
use super::{Storm, StormPlace};
use crate::bench::error::BenchError;
use crate::bench::latency::LatencyRecorder;
use crate::bench::preflight::check_sockets;
use crate::bench::timer::ExactTimer;
use crate::bench::usage::ProcessUsage;

/// Sessions of the load itself: a sender, and two bystanders.
const OWN_SESSIONS: usize = 3;

/// How long all clients may take to connect before the storm.
const CONNECT_TIMEOUT: Duration = Duration::from_mins(3);

/// Between two looks at what clients saw.
const POLL: Duration = Duration::from_millis(10);

/// What the nodes used and counted at a time.
struct Reading {
    at: Instant,
    counts: StormCounts,
    nodes_cpu: Option<Duration>,
}

/// The clients, which end with this.
struct Crowd {
    shared: Shared,
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

impl Storm {
    /// Measures one storm.
    pub async fn run(&self) -> Result<StormReport, BenchError> {
        check_sockets("--sessions", self.sessions as usize + OWN_SESSIONS)?;
        let mut nodes = StormNodes::start(&self.place).await?;
        let crowd = self.gather(&nodes).await?;
        let quiet = Reading::take(&nodes).await?;
        sleep(self.quiet).await;
        let before = Reading::take(&nodes).await?;
        let fault = Instant::now();
        crowd.shared.log.lock().fault(fault);
        nodes.strike(self.fault)?;
        let cpu = ProcessUsage::of_this_process()?.cpu;
        let (lag, restart) = self.until_back(&mut nodes, &crowd.shared).await;
        let (back_at, cpu) =
            (Instant::now(), ProcessUsage::of_this_process()?.cpu.saturating_sub(cpu));
        let after = Reading::take(&nodes).await;
        sleep(self.quiet).await;
        crowd.stop.cancel();
        until(self.settle, || crowd.shared.log.lock().unsettled() == 0).await;
        let log = crowd.shared.log.lock();
        let (comeback, sends) = (comeback(&log), sends(&log));
        let mut failures = failures(&comeback, &sends, nodes.addresses.len() == 1);
        failures.extend(restart.err().map(|error| format!("no start again: {error}")));
        let since = after.map(|after| before.until(&after, nodes.are_new(), comeback.returned));
        let since = since.unwrap_or_else(|error| {
            failures.push(format!("what the nodes counted is unknown, and 0 here: {error}"));
            NodesReport::default()
        });
        let generator = GeneratorReport {
            generator_lag_p99_us: lag.quantile_us(0.99),
            send_lag_p99_us: log.send_lag.quantile_us(0.99),
            generator_cpu_s: cpu.as_secs_f64(),
        };
        Ok(StormReport {
            verdict: verdict(&failures, &generator, self.lag),
            failures,
            size: self.size(&log),
            nodes: NodesReport { quiet_reads_per_s: quiet.reads_per_s(&before), ..since },
            comeback,
            bystander: bystander(&log, fault, back_at),
            sends,
            generator,
        })
    }

    fn size(&self, log: &StormLog) -> StormSize {
        StormSize {
            fault: self.fault,
            nodes: match &self.place {
                StormPlace::Cql { nodes, .. } => *nodes as usize,
                StormPlace::Restart => 1,
                StormPlace::Running { nodes, .. } => nodes.len(),
            },
            sessions: self.sessions as usize,
            stormed: log.sessions.iter().filter(|session| session.role == Role::Struck).count(),
        }
    }

    /// Connects all clients, and begins to send.
    async fn gather(&self, nodes: &StormNodes) -> Result<Crowd, BenchError> {
        let (count, sessions) = (nodes.addresses.len(), self.sessions as usize);
        let own = if count > 1 { Role::Surviving } else { Role::Apart };
        let role = |node| if node == 0 { Role::Struck } else { Role::Surviving };
        let roles = (0..sessions).map(|session| role(session % count));
        let log = StormLog::new(roles.chain([own; OWN_SESSIONS]));
        let shared = Shared::new(log);
        let client = |session: usize| {
            let node = if session < sessions { session % count } else { count - 1 };
            StormClient::new(session, nodes.urls_from(node), &shared)
        };
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let (friend, sender, teller) = (sessions, sessions + 1, sessions + 2);
        for session in 0..=friend {
            tasks.spawn(client(session)?.listen());
        }
        let is_there = || shared.log.lock().without_cursor() < OWN_SESSIONS;
        if !until(CONNECT_TIMEOUT, is_there).await {
            let log = shared.log.lock();
            let (missing, refusals) = (log.without_cursor(), &log.refusals);
            let why = format!("{missing} sessions have no first cursor; refused: {refusals:?}");
            return Err(BenchError::Answer(why));
        }
        let every = Duration::from_secs(1) / self.rate;
        let course = |to, is_probe| {
            let (timer, stop) = (ExactTimer::new()?, stop.clone());
            Ok::<_, BenchError>(Course { to, is_probe, every, timer, stop })
        };
        let struck = (0..sessions).step_by(count).map(|session| (session, shared.user(session)));
        tasks.spawn(client(sender)?.send(course(struck.collect(), false)?));
        tasks.spawn(client(teller)?.send(course(vec![(friend, shared.user(friend))], true)?));
        if !until(CONNECT_TIMEOUT, || shared.log.lock().without_cursor() == 0).await {
            return Err(BenchError::Answer("the senders have no cursor".into()));
        }
        Ok(Crowd { shared, stop, _tasks: tasks })
    }

    /// Waits until all struck sessions are back, or have had their time. Returns how late the
    /// generator's timers were meanwhile, and why the struck node did not start again.
    async fn until_back(
        &self,
        nodes: &mut StormNodes,
        shared: &Shared,
    ) -> (LatencyRecorder, Result<(), BenchError>) {
        let mut lag = LatencyRecorder::new();
        let until = Instant::now() + self.within;
        let mut starting = std::pin::pin!(nodes.start_again());
        let mut is_started = false;
        while Instant::now() < until && (!is_started || shared.log.lock().away() > 0) {
            let due = Instant::now() + POLL;
            tokio::select! {
                started = &mut starting, if !is_started => {
                    if started.is_err() {
                        return (lag, started);
                    }
                    is_started = true;
                }
                () = tokio::time::sleep_until(due) => lag.record(due.elapsed()),
            }
        }
        (lag, Ok(()))
    }
}

impl Reading {
    async fn take(nodes: &StormNodes) -> Result<Self, BenchError> {
        let at = Instant::now();
        let counts = StormCounts::of(nodes.survivors()).await?;
        Ok(Self { at, counts, nodes_cpu: nodes.cpu() })
    }

    fn reads_per_s(&self, later: &Self) -> f64 {
        let seconds = (later.at - self.at).as_secs_f64();
        later.counts.since(&self.counts).all_reads() as f64 / seconds
    }

    /// What the nodes did until a later reading. Nodes that were started meanwhile began at 0.
    fn until(&self, later: &Self, are_new: bool, returned: usize) -> NodesReport {
        let nothing = (StormCounts::default(), Some(Duration::ZERO));
        let (counts, cpu) = if are_new { nothing } else { (self.counts.clone(), self.nodes_cpu) };
        let since = later.counts.since(&counts);
        let cpu = later.nodes_cpu.zip(cpu).map(|(later, before)| later.saturating_sub(before));
        NodesReport {
            recovery_reads: since.recovery_reads,
            reads_per_session: since.all_reads() as f64 / returned.max(1) as f64,
            quiet_reads_per_s: 0.0,
            store_reads: since.reads,
            handshakes_dropped: since.dropped,
            closes: since.closes,
            servers_cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
        }
    }
}

/// Waits until something holds, for so long at most. Returns whether it does.
async fn until(bound: Duration, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + bound;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
