//! What one worker does for an HTTP request that another one took: a user's requests are executed
//! by the worker of his sessions, a room's by the one that its key falls on.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::Router;
use crate::domain::Key;
use crate::layout::worker_of;
use crate::protocol::{Code, Refusal};

/// Errands that wait for one worker: they wait for its turn alone, since each begins at once.
pub const ERRANDS_MAX: usize = 1024;

/// How long whoever asked waits: above what any step of an errand may take, so that a step's own
/// refusal comes first.
pub const ERRAND_WAIT: Duration = Duration::from_secs(10);

/// Work for a worker.
pub type Errand = Box<dyn FnOnce(Rc<Router>) + Send>;

/// A request's place among those of its node, kept until all of its work is done.
#[derive(Debug)]
pub struct Admission {
    _place: OwnedSemaphorePermit,
}

/// The ways to a node's workers, and the places for requests.
#[derive(Debug, Clone)]
pub struct Errands {
    queues: Arc<[mpsc::Sender<Errand>]>,
    places: Arc<Semaphore>,
    requests: usize,
}

impl Errands {
    /// The ways to so many workers, for `requests` at once; and what each worker takes its errands
    /// from.
    pub fn new(workers: usize, requests: usize) -> (Self, Vec<mpsc::Receiver<Errand>>) {
        let (queues, ends): (Vec<_>, _) = (0..workers).map(|_| mpsc::channel(ERRANDS_MAX)).unzip();
        let places = Arc::new(Semaphore::new(requests));
        (Self { queues: queues.into(), places, requests }, ends)
    }

    /// A place for one request, if one is free.
    pub fn admit(&self) -> Result<Admission, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_full| {
            let max = self.requests;
            let message = format!("{max} requests are in flight here, no more are allowed");
            Refusal::new(Code::Unavailable, message)
        })?;
        Ok(Admission { _place: place })
    }

    /// Whether no request is in flight.
    pub fn is_idle(&self) -> bool {
        self.places.available_permits() == self.requests
    }

    /// Has the worker of a key do some work. What was begun goes on whether or not anybody waits
    /// for it; what nobody waits for any more is not begun.
    pub async fn ask<T, F>(
        &self,
        admission: Admission,
        key: &Key,
        work: impl FnOnce(Rc<Router>) -> F + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let errand: Errand = Box::new(move |router| {
            if answer.is_closed() {
                return;
            }
            let work = work(router);
            tokio::task::spawn_local(async move {
                let _given_up = answer.send(work.await);
                drop(admission);
            });
        });
        let queue = &self.queues[worker_of(key, self.queues.len() as u32) as usize];
        queue.try_send(errand).map_err(|refused| unavailable(&refused))?;
        match timeout(ERRAND_WAIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => Err(Refusal::new(Code::Unavailable, "the node is being stopped")),
            Err(_elapsed) => {
                let message = format!("the worker did not answer within {ERRAND_WAIT:?}");
                Err(Refusal::new(Code::Unavailable, message))
            }
        }
    }
}

fn unavailable(refused: &mpsc::error::TrySendError<Errand>) -> Refusal {
    let message = match refused {
        mpsc::error::TrySendError::Full(_) => {
            format!("{ERRANDS_MAX} requests wait for the worker, no more are allowed")
        }
        mpsc::error::TrySendError::Closed(_) => "the node is being stopped".to_owned(),
    };
    Refusal::new(Code::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn key() -> Key {
        Key::parse("user.a").unwrap()
    }

    async fn ask(errands: &Errands) -> Result<(), Refusal> {
        errands.ask(errands.admit().unwrap(), &key(), async |_| Ok(())).await
    }

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let (errands, _ends) = Errands::new(1, 2);
        let held = [errands.admit().unwrap(), errands.admit().unwrap()];
        let refusal = errands.admit().unwrap_err();
        assert_eq!(refusal.code, Code::Unavailable);
        assert_eq!(refusal.message, "2 requests are in flight here, no more are allowed");
        assert!(!errands.is_idle());
        drop(held);
        assert!(errands.is_idle() && errands.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_does_not_answer_is_given_up() {
        let (errands, _ends) = Errands::new(1, 1);
        let asked = Instant::now();
        let refusal = ask(&errands).await.unwrap_err();
        assert_eq!((refusal.code, asked.elapsed().as_secs()), (Code::Unavailable, 10));
        assert!(!errands.is_idle(), "what waits has its place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let (errands, _ends) = Errands::new(1, ERRANDS_MAX + 1);
        let queue = &errands.queues[0];
        while queue.try_send(Box::new(|_| ())).is_ok() {}
        let asked = Instant::now();
        let refusal = ask(&errands).await.unwrap_err();
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(refusal.message, "1024 requests wait for the worker, no more are allowed");
        assert!(errands.is_idle());
    }

    #[tokio::test]
    async fn a_worker_that_is_gone_refuses() {
        let (errands, ends) = Errands::new(1, 1);
        drop(ends);
        assert_eq!(ask(&errands).await.unwrap_err().code, Code::Unavailable);
    }

    #[tokio::test]
    async fn an_errand_goes_to_the_worker_of_its_key() {
        let (errands, mut ends) = Errands::new(3, 9);
        for name in ["user.a", "user.b", "user.c", "room.a", "room.b"] {
            let key = Key::parse(name).unwrap();
            let asking = errands.ask(errands.admit().unwrap(), &key, async |_| Ok(()));
            assert!(timeout(Duration::ZERO, asking).await.is_err(), "nobody answers");
            let taken: Vec<bool> = ends.iter_mut().map(|end| end.try_recv().is_ok()).collect();
            let expected: Vec<bool> = (0..3).map(|worker| worker == worker_of(&key, 3)).collect();
            assert_eq!(taken, expected, "{name}");
        }
        assert!(errands.is_idle(), "an errand that is dropped gives its place back");
    }
}
