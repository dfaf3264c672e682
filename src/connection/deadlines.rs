//! One task per worker that watches every deadline: no connection has a timer of its own.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::context::ConnectionContext;
use crate::config::Timeouts;
use crate::hub::Session;
use crate::protocol::{CloseReason, ServerFrame};
use crate::send::end_temporary_interest;
use crate::socket::OutboxItem;

/// The longest time between two sweeps, which is how late a deadline may be noticed.
const SWEEP_MAX: Duration = Duration::from_secs(1);

/// The shortest time between two sweeps.
const SWEEP_MIN: Duration = Duration::from_millis(10);

/// How many seconds before its token expires a client is told so.
const EXPIRY_NOTICE: u64 = 60;

/// Watches the deadlines of a worker's connections, without end.
pub async fn watch_deadlines(context: Rc<ConnectionContext>) {
    let Timeouts { ping, hello, http, .. } = context.router.services.config.timeouts;
    let shortest = ping.min(hello).min(http.write_stall);
    let mut ticks = tokio::time::interval((shortest / 4).clamp(SWEEP_MIN, SWEEP_MAX));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        check_deadlines(&context);
    }
}

fn check_deadlines(context: &ConnectionContext) {
    end_handshakes(context);
    end_temporary_interest(&context.router.fanout.memberships);
    let now = Instant::now();
    let sessions: Vec<Rc<Session>> =
        context.router.sessions.hub.borrow().sessions().cloned().collect();
    for session in &sessions {
        if let Some(close) = overdue(context, session, now) {
            end(context, session, close);
        } else {
            ping(context, session, now);
            tell_expiry(context, session);
            context.router.recovery.send_idle_cursor(session);
        }
    }
    context.router.sessions.flush();
}

fn end(context: &ConnectionContext, session: &Session, close: CloseReason) {
    if !session.link().is_open() {
        return;
    }
    context.router.services.metrics.sessions.closes(close.code());
    match close {
        CloseReason::SlowConsumer => session.evict(),
        close => session.close(close),
    }
}

fn ping(context: &ConnectionContext, session: &Rc<Session>, now: Instant) {
    let due = session.ping_is_due(now, context.router.services.config.timeouts.ping);
    if due && session.link().push(OutboxItem::Ping).is_ok() {
        context.router.sessions.hub.borrow_mut().touch(session);
    }
}

fn overdue(context: &ConnectionContext, session: &Session, now: Instant) -> Option<CloseReason> {
    let services = &context.router.services;
    let link = session.link();
    let silent = now.saturating_duration_since(link.last_seen());
    let blocked = link.blocked_since().map(|since| now.saturating_duration_since(since));
    let ends = session
        .principal()
        .expires_at
        .saturating_add(services.identity.verifier.leeway().as_secs());
    if services.clocks.wall.machine_seconds() >= ends {
        Some(CloseReason::TokenExpired)
    } else if blocked.is_some_and(|blocked| blocked > services.config.timeouts.http.write_stall) {
        Some(CloseReason::SlowConsumer)
    } else if silent > services.config.timeouts.ping + services.config.timeouts.pong_grace
        && !link.is_paused()
    {
        Some(CloseReason::PongMissing)
    } else {
        None
    }
}

fn tell_expiry(context: &ConnectionContext, session: &Rc<Session>) {
    let at = session.principal().expires_at;
    let soon =
        at.saturating_sub(context.router.services.clocks.wall.machine_seconds()) <= EXPIRY_NOTICE;
    if soon && session.tell_expiry() {
        let frame = ServerFrame::TokenExpiring { expires_at: at * 1000 };
        // A client that has no room for it is about to be closed anyway.
        let _handed = session.deliver_frame(frame.text(), crate::hub::Priority::Event);
        context.router.sessions.hub.borrow_mut().touch(session);
    }
}

fn end_handshakes(context: &ConnectionContext) {
    let now = Instant::now();
    for (_, handshake) in context.handshakes.borrow().iter() {
        if handshake.until <= now && handshake.link.is_open() {
            context.router.services.metrics.sessions.closes(CloseReason::HelloTimeout.code());
            handshake.link.close(CloseReason::HelloTimeout.frame());
        }
    }
}
