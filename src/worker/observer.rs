//! What a worker shows of itself: its sessions, what waits, and how late its event loop is.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ops::Router;

/// The time between two looks. A look costs one wake.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at the worker again and again. A timer that runs late shows how long a ready task waits;
/// timers are no finer than a millisecond.
pub(super) async fn observe(router: Rc<Router>) {
    let shown = router.services.metrics.sessions.of_worker(router.sessions.worker);
    loop {
        let due = Instant::now() + LOOK_EVERY;
        tokio::time::sleep_until(due).await;
        shown.loop_lag.observe(due.elapsed());
        shown.sessions.set(router.sessions.hub.borrow().len() as i64);
        shown.waiting_reads.set(router.recovery.waiting_reads() as i64);
    }
}
