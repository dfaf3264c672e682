//! How far the nodes' watermarks are behind the clock, as the nodes say, before, during and after
//! faults: figures, judged by nobody.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::Operator;

const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// When a sample is taken.
#[derive(Clone, Copy)]
pub enum Phase {
    Before,
    During,
    After,
}

/// Seconds behind, a phase each.
#[derive(Default)]
pub struct Lags([Vec<f64>; 3]);

/// Asks the nodes again and again.
pub struct Sampler {
    ended: Arc<AtomicBool>,
    phase: Arc<AtomicUsize>,
    thread: JoinHandle<Lags>,
}

impl Sampler {
    pub fn start(operators: Vec<Operator>) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let phase = Arc::new(AtomicUsize::new(Phase::Before as usize));
        let (is_ended, now) = (Arc::clone(&ended), Arc::clone(&phase));
        let thread = std::thread::spawn(move || {
            let mut lags = Lags::default();
            while !is_ended.load(Ordering::Relaxed) {
                for operator in &operators {
                    let lag = operator.sample("narrowcast_watermark_lag_seconds");
                    if !lag.is_nan() {
                        lags.0[now.load(Ordering::Relaxed)].push(lag);
                    }
                }
                std::thread::sleep(SAMPLE_EVERY);
            }
            lags
        });
        Self { ended, phase, thread }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::Relaxed);
    }

    pub fn end(self) -> Lags {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("the nodes answered")
    }
}

impl fmt::Display for Lags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lag in s, median / max:")?;
        for (phase, samples) in ["before", "during", "after"].iter().zip(&self.0) {
            let mut sorted = samples.clone();
            sorted.sort_by(f64::total_cmp);
            if let (Some(middle), Some(last)) = (sorted.get(sorted.len() / 2), sorted.last()) {
                write!(f, " {phase} {middle:.1} / {last:.1}")?;
            }
        }
        Ok(())
    }
}
