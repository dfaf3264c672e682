//! The parts of a worker's router, put together.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::fanout::{Backlog, Fanout, KeyInterest, Memberships, Sessions, SlicedFanouts};
use crate::hub::Hub;
use crate::limiter::WorkerLimiter;
use crate::ops::{LastTold, Router};
use crate::recovery::{ReadRates, Recovery};
use crate::send::{
    AnnouncedChanges, InFlight, LateMessages, MembershipChanges, SendIds, SendPipeline,
};
use crate::services::Services;
use crate::shards::Publishers;

/// What a worker's router is made of.
pub(super) struct RouterParts {
    pub(super) services: Arc<Services>,
    pub(super) worker: u32,
    pub(super) publishers: Publishers,
    pub(super) limiter: WorkerLimiter,
}

/// Puts a worker's router together.
pub(super) fn router(parts: RouterParts) -> Rc<Router> {
    let RouterParts { services, worker, publishers, limiter } = parts;
    let (publishers, limiter) = (Rc::new(publishers), Rc::new(limiter));
    let share = Rc::new(services.budget.share(worker as usize));
    let sessions = Rc::new(Sessions {
        services: Arc::clone(&services),
        worker,
        hub: RefCell::new(Hub::new(services.config.delivery.repair.remembered)),
        flush_wanted: share.call(),
        share,
    });
    let interest = Rc::new(KeyInterest {
        services: Arc::clone(&services),
        worker,
        publishers: Rc::clone(&publishers),
    });
    let fanout = Rc::new(Fanout {
        services: Arc::clone(&services),
        sessions: Rc::clone(&sessions),
        publishers: Rc::clone(&publishers),
        memberships: Rc::new(Memberships {
            sessions: Rc::clone(&sessions),
            interest: Rc::clone(&interest),
            joined: Backlog::default(),
        }),
        limiter: Rc::clone(&limiter),
        sliced: SlicedFanouts::default(),
    });
    let ids = Rc::new(SendIds { services: Arc::clone(&services), publishers });
    Rc::new(Router {
        changes: MembershipChanges {
            announced: AnnouncedChanges::default(),
            services: Arc::clone(&services),
            fanout: Rc::clone(&fanout),
            ids: Rc::clone(&ids),
        },
        sends: Rc::new(SendPipeline {
            services: Arc::clone(&services),
            fanout: Rc::clone(&fanout),
            ids,
            limiter: Rc::clone(&limiter),
            nonces: Rc::default(),
            in_flight: InFlight::default(),
            late: LateMessages::default(),
        }),
        recovery: Recovery::new(Rc::clone(&fanout), ReadRates::of_worker(&services.config)),
        services,
        sessions,
        interest,
        fanout,
        limiter,
        told_marks: LastTold::default(),
        told_rooms: LastTold::default(),
    })
}
