//! How sessions get what did not come live: resumes, rounds, joined rooms, cursors, the audit.
//!
//! | file | holds |
//! | --- | --- |
//! | `resume` | a new session reads what it missed, and gets its first cursor |
//! | `room_load` | the rooms of a user, read once for all sessions that wait |
//! | `joined_rooms` | what is read for a user who joined a room |
//! | `round` | reads for all sessions at once, and what follows when the watermark advances |
//! | `cursors` | the cursors of live sessions |
//! | `missed` | one message that was read, delivered to who lacks it |
//! | `audit` | looks for messages that a session did not get |
//! | `reader` | the reads of all of these |
//! | `read_budget`, `fair_queue`, `read_pacer` | how often they may read |
//!
//! Five reads of the store go by names of their own:
//!
//! - A *resume* reads for one new session, from its cursor on.
//! - A *repair* is a round that reads for all sessions after a delivery gap.
//! - A *pull* is a round that reads for all sessions while a gap lasts, so that messages are late
//!   and not missing.
//! - A *joining read* reads one room for a user who joined it.
//! - The *audit* reads samples, to find what no gap was known for.

mod audit;
mod cursors;
mod fair_queue;
mod joined_rooms;
mod missed;
mod read_budget;
mod read_pacer;
mod reader;
mod resume;
mod room_load;
mod round;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::config::{Config, DeliveryConfig};
use crate::domain::Micros;
use crate::fanout::{Fanout, Sessions};
use crate::services::Services;

use audit::UnconfirmedDelivery;
use round::RoundState;

pub use read_budget::ReadBudget;
pub use read_pacer::Pacer;
pub use reader::{ACTIVITY_DAYS, ACTIVITY_MAX, AHEAD};

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

impl ReadRates {
    /// Returns the share of one worker in the rates of its node.
    pub fn of_worker(config: &Config) -> Self {
        let share = |per_second: u32| f64::from(per_second) / config.workers as f64;
        let DeliveryConfig { repair, audit_reads_per_s, .. } = &config.delivery;
        Self {
            repairs: share(repair.reads_per_s),
            resumes: share(repair.resume_reads_per_s),
            audit: share(*audit_reads_per_s),
        }
    }
}

/// How the sessions of a worker get what did not come live.
#[derive(Debug)]
pub struct Recovery {
    services: Arc<Services>,
    sessions: Rc<Sessions>,
    fanout: Rc<Fanout>,
    /// Everything acknowledged up to here was delivered by this worker to the sessions that share
    /// it.
    watermark: Cell<Micros>,
    /// Notified whenever the watermark moved or a round ended.
    watermark_moved: Notify,
    /// The round in progress.
    round: RefCell<Option<RoundState>>,
    /// Messages whose delivery is checked once the watermark has passed them.
    unconfirmed: RefCell<Vec<UnconfirmedDelivery>>,
    /// Requests the cursors of the sessions that are due for one.
    cursors_wanted: Notify,
    /// The budget of rounds.
    repairs: Pacer,
    /// The budget of resumes.
    resumes: Rc<ReadBudget>,
}

impl Recovery {
    /// Creates the recovery of the sessions that a fan-out delivers to.
    pub fn new(fanout: Rc<Fanout>, rates: ReadRates) -> Rc<Self> {
        Rc::new(Self {
            services: Arc::clone(&fanout.services),
            sessions: Rc::clone(&fanout.sessions),
            watermark: Cell::default(),
            watermark_moved: Notify::new(),
            round: RefCell::default(),
            unconfirmed: RefCell::default(),
            cursors_wanted: Notify::new(),
            repairs: Pacer::new(rates.repairs),
            resumes: ReadBudget::new(rates.resumes),
            fanout,
        })
    }

    /// Returns how many reads of resumes wait for their turn.
    pub fn waiting_reads(&self) -> usize {
        self.resumes.waiting()
    }
}
