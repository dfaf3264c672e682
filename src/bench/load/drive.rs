//! Sends what a schedule says: at its intended times, or as soon as earlier requests are answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::LoadPace;
use super::fleet::SharedFleet;
use super::ledger::ENTRIES_MAX;
use super::mix::LoadMix;
use super::population::LoadPopulation;
use super::schedule::{LoadSchedule, intended_us};
use super::watch::WatchSignals;
use crate::bench::error::BenchError;
use crate::bench::latency::LatencyRecorder;
use crate::bench::timer::ExactTimer;

/// Sends of one turn of the event loop. What else is due waits for the next turn, so that deliveries
/// are read meanwhile.
const SENDS_A_TURN: usize = 64;

/// Why a load is ended early.
const TOO_MANY: &str =
    "2000000 requests are unanswered or owed at a time: the load was ended, lower --rate";

/// What is sent and when.
pub(super) struct Drive {
    pub(super) mix: LoadMix,
    pub(super) population: LoadPopulation,
    pub(super) pace: LoadPace,
    pub(super) warm_up: Duration,
    pub(super) load: Duration,
    pub(super) seed: u64,
}

/// What came of it at the generator.
pub(super) struct DriveOutcome {
    /// From the intended time of a send to the send, behind the warm-up.
    pub(super) send_lag: LatencyRecorder,
    /// Why it was ended early.
    pub(super) ended_early: Option<&'static str>,
}

impl Drive {
    /// Sends until the time is over.
    pub(super) async fn run(
        &self,
        fleet: &SharedFleet,
        signals: &WatchSignals,
    ) -> Result<DriveOutcome, BenchError> {
        signals.begin(Instant::now() + self.warm_up);
        let schedule = LoadSchedule::new(self.mix, self.population, self.seed);
        match self.pace {
            LoadPace::Rate(rate) => self.open_loop(fleet, schedule, rate).await,
            LoadPace::InFlight(most) => Ok(self.closed_loop(fleet, schedule, most as usize).await),
        }
    }

    async fn open_loop(
        &self,
        fleet: &SharedFleet,
        mut schedule: LoadSchedule,
        rate: u32,
    ) -> Result<DriveOutcome, BenchError> {
        let mut driven = DriveOutcome { send_lag: LatencyRecorder::new(), ended_early: None };
        let mut timer = ExactTimer::new()?;
        let start_us = fleet.lock().run.now_us();
        let warm_up_us = self.warm_up.as_micros() as u64;
        let end_us = warm_up_us + self.load.as_micros() as u64;
        let (mut index, mut turn) = (0, 0);
        loop {
            let due_us = intended_us(index, rate);
            if due_us >= end_us {
                return Ok(driven);
            }
            let now_us = fleet.lock().run.now_us() - start_us;
            if now_us < due_us {
                timer.sleep(Duration::from_micros(due_us - now_us)).await?;
                turn = 0;
                continue;
            }
            turn += 1;
            if turn > SENDS_A_TURN {
                yield_now().await;
                turn = 0;
                continue;
            }
            let is_measured = due_us >= warm_up_us;
            if is_measured {
                driven.send_lag.record(Duration::from_micros(now_us - due_us));
            }
            let mut fleet = fleet.lock();
            fleet.act(schedule.draw(), start_us + due_us, is_measured);
            index += 1;
            if fleet.ledger.len() >= ENTRIES_MAX {
                driven.ended_early = Some(TOO_MANY);
                return Ok(driven);
            }
        }
    }

    async fn closed_loop(
        &self,
        fleet: &SharedFleet,
        mut schedule: LoadSchedule,
        most: usize,
    ) -> DriveOutcome {
        let mut driven = DriveOutcome { send_lag: LatencyRecorder::new(), ended_early: None };
        let measured = Instant::now() + self.warm_up;
        let (end, answered) = (measured + self.load, Arc::clone(&fleet.lock().answered));
        while Instant::now() < end {
            let mut sends = 0;
            let is_measured = Instant::now() >= measured;
            while sends < SENDS_A_TURN {
                let mut fleet = fleet.lock();
                if fleet.ledger.figures.unanswered >= most {
                    break;
                }
                let now_us = fleet.run.now_us();
                fleet.act(schedule.draw(), now_us, is_measured);
                sends += 1;
            }
            if fleet.lock().ledger.len() >= ENTRIES_MAX {
                driven.ended_early = Some(TOO_MANY);
                break;
            }
            if sends == SENDS_A_TURN {
                yield_now().await;
            } else if timeout_at(end, answered.notified()).await.is_err() {
                break;
            }
        }
        driven
    }
}
