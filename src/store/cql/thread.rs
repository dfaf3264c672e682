//! The thread that the driver runs on, and the bounds before it.
//!
//! The driver's connections belong to one runtime, which must outlive every worker's. Work begins
//! with the call: it is spawned there, and goes on if the caller drops its answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The driver's thread. Dropping this ends it.
#[derive(Debug)]
pub(super) struct StoreThread {
    handle: Handle,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl StoreThread {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let (until, guard) = (stop.clone(), ended.clone().drop_guard());
        std::thread::Builder::new().name("nc-store".to_owned()).spawn(move || {
            let _ended = guard;
            runtime.block_on(until.cancelled_owned());
            // The driver resolves host names on threads of its own, which may take long.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop, ended })
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Ends the thread when polled, and waits for it; work that still runs there is dropped.
    pub(super) fn end(&self) -> impl Future<Output = ()> + Send + use<> {
        let (stop, ended) = (self.stop.clone(), self.ended.clone());
        async move {
            stop.cancel();
            ended.cancelled().await;
        }
    }
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ThreadBusy {
    #[error("{bound} calls are under way already, which is the bound")]
    Full { bound: usize },
    #[error("the store is closed")]
    Closed,
}

/// A bound on the calls under way. A call never waits for it.
#[derive(Debug)]
pub(super) struct ThreadGate {
    places: Arc<Semaphore>,
    bound: usize,
    is_closed: AtomicBool,
}

impl ThreadGate {
    /// Makes a gate of `bound` permits; zero counts as one.
    pub(super) fn new(bound: usize) -> Self {
        let bound = bound.clamp(1, u32::MAX as usize);
        Self { places: Arc::new(Semaphore::new(bound)), bound, is_closed: AtomicBool::new(false) }
    }

    /// Returns a permit, which is given back when it is dropped.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, ThreadBusy> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(ThreadBusy::Closed);
        }
        let full = ThreadBusy::Full { bound: self.bound };
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| full)
    }

    /// Refuses further calls, and waits for those under way.
    pub(super) fn close(&self) -> impl Future<Output = ()> + Send + use<> {
        self.is_closed.store(true, Ordering::Release);
        let (places, bound) = (Arc::clone(&self.places), self.bound as u32);
        async move {
            // The permits are given back at once, so that closing again finds them too.
            let _all = places.acquire_many(bound).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_gate_refuses_and_a_closed_one_waits_for_those_inside() {
        let gate = ThreadGate::new(2);
        let (one, two) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert_eq!(gate.enter().unwrap_err(), ThreadBusy::Full { bound: 2 });
        drop(one);
        let three = gate.enter().unwrap();
        let closing = gate.close();
        tokio::pin!(closing);
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(
                closing.as_mut().poll(cx).is_pending()
            ))
            .await
        );
        assert_eq!(gate.enter().unwrap_err(), ThreadBusy::Closed);
        drop((two, three));
        closing.await;
        gate.close().await;
    }

    #[tokio::test]
    async fn a_stopped_thread_has_ended_and_drops_what_ran_there() {
        let thread = StoreThread::start().unwrap();
        assert_eq!(thread.spawn(async { 7 }).await.unwrap(), 7);
        let forever = thread.spawn(std::future::pending::<()>());
        thread.end().await;
        assert!(forever.await.unwrap_err().is_cancelled());
        thread.end().await;
    }
}
