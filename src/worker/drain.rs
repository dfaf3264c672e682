//! How sessions are sent away: at the end of the node, and while its clock is wrong.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::health::Readiness;
use crate::hub::Session;
use crate::ops::Router;
use crate::protocol::CloseReason;
use crate::worker_call::WorkerCalls;

/// The time between two waves of a drain.
const WAVE_PAUSE: Duration = Duration::from_millis(50);

/// The part of the drain time in which sessions are asked to leave; the rest is left for them to do
/// it.
const WAVES_PART: f64 = 0.5;

/// The time between two waves of a node that sends its sessions away without being stopped. It is
/// also how often the node checks whether it must.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// Number of those waves. They take 10 s, in which a client that lost one node finds another.
const AWAY_WAVES: usize = 20;

/// Asks the sessions to leave, in waves, so that they do not all reconnect at once. A session that
/// waits for an answer may send no further request, and leaves when it has the answer. Then waits
/// for what is in flight.
pub(super) async fn drain(
    router: &Rc<Router>,
    worker_calls: &WorkerCalls<Rc<Router>>,
    bound: Duration,
) {
    let until = Instant::now() + bound;
    let waves = (bound.mul_f64(WAVES_PART).as_millis() / WAVE_PAUSE.as_millis()).max(1);
    let wave = router.sessions.hub.borrow().len().div_ceil(waves as usize).max(1);
    let is_over =
        || router.sessions.hub.borrow().is_empty() && is_quiet(router) && worker_calls.is_idle();
    while Instant::now() < until && !is_over() {
        close_wave(router, wave);
        tokio::time::sleep(WAVE_PAUSE).await;
    }
}

/// Closes sessions in waves while the node's clock is wrong and there are other nodes. Such a node
/// sends no cursors and accepts no sends, so its sessions are better served by other nodes.
pub(super) async fn shed_sessions_on_bad_clock(router: Rc<Router>, readiness: Arc<Readiness>) {
    let mut ticks = tokio::time::interval(AWAY_PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wave = 0;
    loop {
        ticks.tick().await;
        if readiness.should_shed_sessions() {
            wave = router.sessions.hub.borrow().len().div_ceil(AWAY_WAVES).max(wave);
            close_wave(&router, wave);
        } else {
            wave = 0;
        }
    }
}

fn close_wave(router: &Router, wave: usize) {
    let hub = router.sessions.hub.borrow();
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

/// Returns whether no send waits for its answer or its record, and nothing waits to be published.
fn is_quiet(router: &Router) -> bool {
    router.sends.in_flight.is_empty() && router.fanout.publishers.are_drained()
}
