//! The machine's wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Micros;

/// The machine's wall clock. Tests set it ahead; clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct MachineClock {
    /// In microseconds; below zero it is behind.
    ahead: Arc<AtomicI64>,
}

impl MachineClock {
    /// The time that it shows.
    pub fn now(&self) -> Micros {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ahead = self.ahead.load(Ordering::Relaxed);
        Micros((time.as_micros() as u64).saturating_add_signed(ahead))
    }

    /// Sets it `micros` microseconds ahead of the system's clock.
    pub fn set_ahead(&self, micros: i64) {
        self.ahead.store(micros, Ordering::Relaxed);
    }
}
