//! The tasks that feed a worker from its queues.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::control::WorkerControl;
use crate::connection::{ConnectionContext, Handoff, arrive};
use crate::delivery::Work;
use crate::fanout::{Fanout, Sessions};
use crate::ops::Router;
use crate::worker_call::WorkerCall;

/// Publishes that are delivered before the sockets get a turn: senders that keep the queue full
/// must not keep the sockets from being read.
const PUSHES_A_TURN: usize = 64;

/// Delivers the queued publishes of this worker to its sessions, all that are there at once.
pub(super) async fn deliver(fanout: Rc<Fanout>, control: WorkerControl) {
    let sessions = &fanout.sessions;
    let queue = Arc::clone(fanout.services.cluster.worker_queues.of(sessions.worker));
    let mut batch = Vec::new();
    loop {
        queue.take(&mut batch).await;
        for (number, work) in batch.drain(..).enumerate() {
            match work {
                Work::Push(push) => fanout.take_push(&push).await,
                Work::Command(command) => control.execute(command),
            }
            if number % PUSHES_A_TURN == PUSHES_A_TURN - 1 {
                sessions.flush();
                tokio::task::yield_now().await;
            }
        }
        sessions.flush();
        tokio::task::yield_now().await;
    }
}

/// Writes each socket once for everything that was queued for it since the last turn.
pub(super) async fn flush(sessions: Rc<Sessions>) {
    loop {
        sessions.flush_wanted.notified().await;
        sessions.flush();
        tokio::task::yield_now().await;
    }
}

pub(super) async fn take_arrivals(
    front: Rc<ConnectionContext>,
    mut handoffs: mpsc::Receiver<Handoff>,
) {
    while let Some(handoff) = handoffs.recv().await {
        match arrive(Rc::clone(&front), handoff) {
            Ok(session) => drop(tokio::task::spawn_local(session)),
            Err(error) => tracing::warn!(%error, "a connection from another worker could not be \
                taken over"),
        }
    }
}

pub(super) async fn run_worker_calls(
    router: Rc<Router>,
    mut wanted: mpsc::Receiver<WorkerCall<Rc<Router>>>,
) {
    while let Some(worker_call) = wanted.recv().await {
        worker_call(Rc::clone(&router));
    }
}
