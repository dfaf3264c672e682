//! The task beside a load: it sends again what is due, measures how late it runs itself, and looks
//! at everything once a second.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::costs::{CostMeter, LoadCosts};
use super::fleet::SharedFleet;
use super::seconds::{LoadSecond, NodeMetrics, NodesSecond};
use crate::bench::error::BenchError;
use crate::bench::latency::LatencyRecorder;

/// From one look to the next, and looks of a second.
const TICK: Duration = Duration::from_millis(50);
const TICKS_A_SECOND: u32 = 20;

/// Most seconds that are kept: an hour of load, and what comes before its end.
const SECONDS_MAX: usize = 4200;

/// What is told of each second as soon as it is known.
pub(super) type OnSecond = Box<dyn FnMut(&LoadSecond) + Send>;

/// The watch over a load.
pub(super) struct Watch {
    fleet: SharedFleet,
    meter: CostMeter,
    metrics: Option<NodeMetrics>,
    reading: Option<JoinHandle<(NodeMetrics, NodesSecond)>>,
    on_second: OnSecond,
    /// How late its ticks are.
    lag: LatencyRecorder,
    seconds: Vec<LoadSecond>,
    /// When the next second ends, in seconds since the load began.
    next_second_s: f64,
    /// When the load began, behind the warm-up.
    began: Option<Instant>,
    signals: Arc<WatchSignals>,
}

/// What a watch is told.
#[derive(Debug, Default)]
pub(super) struct WatchSignals {
    begin: Mutex<Option<Instant>>,
    end: Notify,
}

/// What a watch saw.
pub(super) struct WatchRecord {
    pub(super) costs: LoadCosts,
    pub(super) lag: LatencyRecorder,
    pub(super) seconds: Vec<LoadSecond>,
}

impl WatchSignals {
    /// Says that the load begins at a time.
    pub(super) fn begin(&self, at: Instant) {
        *self.begin.lock() = Some(at);
    }

    /// Says that it is over.
    pub(super) fn end(&self) {
        self.end.notify_one();
    }
}

impl Watch {
    pub(super) fn new(
        fleet: SharedFleet,
        meter: CostMeter,
        metrics: NodeMetrics,
        on_second: OnSecond,
    ) -> (Self, Arc<WatchSignals>) {
        let signals = Arc::new(WatchSignals::default());
        let watch = Self {
            fleet,
            meter,
            metrics: Some(metrics).filter(|metrics| !metrics.is_empty()),
            reading: None,
            on_second,
            lag: LatencyRecorder::new(),
            seconds: Vec::new(),
            next_second_s: 1.0,
            began: None,
            signals: Arc::clone(&signals),
        };
        (watch, signals)
    }

    /// Watches until it is told that the load is over.
    pub(super) async fn run(mut self) -> Result<WatchRecord, BenchError> {
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        // A standstill counts as often as ticks fell into it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (mut count, signals) = (0_u32, Arc::clone(&self.signals));
        loop {
            let due = tokio::select! {
                due = ticks.tick() => due,
                () = signals.end.notified() => break,
            };
            self.tick(due).await?;
            count += 1;
            if count % TICKS_A_SECOND == 0 {
                self.fleet.lock().tend();
            }
        }
        self.finish_second().await;
        Ok(WatchRecord { costs: self.meter.end().await?, lag: self.lag, seconds: self.seconds })
    }

    async fn tick(&mut self, due: Instant) -> Result<(), BenchError> {
        let now = Instant::now();
        self.fleet.lock().tick();
        let Some(began) = self.began else {
            let begin = *self.signals.begin.lock();
            if let Some(begin) = begin.filter(|begin| *begin <= now) {
                self.meter.begin().await?;
                self.began = Some(begin);
                self.read_metrics();
            }
            return Ok(());
        };
        self.lag.record(now.saturating_duration_since(due));
        let elapsed = now.saturating_duration_since(began).as_secs_f64();
        if elapsed >= self.next_second_s && self.seconds.len() < SECONDS_MAX {
            self.meter.read();
            self.second(elapsed).await;
            // Seconds that a standstill took are one.
            self.next_second_s = elapsed.round() + 1.0;
        }
        Ok(())
    }

    /// Ends a second: what the nodes say of it is awaited, since it was asked for long before.
    async fn second(&mut self, at_s: f64) {
        self.finish_second().await;
        let second = self.take_second(at_s);
        self.seconds.push(second);
        if self.metrics.is_some() {
            self.read_metrics();
        } else if let Some(second) = self.seconds.last() {
            (self.on_second)(second);
        }
    }

    fn read_metrics(&mut self) {
        let metrics = self.metrics.take();
        self.reading = metrics.map(|metrics| tokio::spawn(metrics.read()));
    }

    /// Adds what the nodes said to the second that they were asked at the end of.
    async fn finish_second(&mut self) {
        let Some(reading) = self.reading.take() else { return };
        let Ok((metrics, nodes)) = reading.await else { return };
        self.metrics = Some(metrics);
        if let Some(second) = self.seconds.last_mut() {
            second.nodes = Some(nodes);
            (self.on_second)(second);
        }
    }

    fn take_second(&self, at_s: f64) -> LoadSecond {
        let mut fleet = self.fleet.lock();
        let (live, overdue) = (fleet.live_sessions(), fleet.ledger.overdue());
        let second = &mut fleet.ledger.figures.second;
        let percentiles = second.latencies.percentiles();
        let taken = LoadSecond {
            at_s: (at_s * 1000.0).round() / 1000.0,
            sent: std::mem::take(&mut second.sent),
            acked: std::mem::take(&mut second.acked),
            delivered: std::mem::take(&mut second.delivered),
            overdue,
            live,
            p50_us: percentiles.p50_us,
            p99_us: percentiles.p99_us,
            max_us: percentiles.max_us,
            nodes: None,
        };
        second.latencies.clear();
        taken
    }
}
