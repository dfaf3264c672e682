//! Requests of one session that wait for their answers.

use ahash::AHashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Requests by their ids; none is taken any more once the session has ended.
#[derive(Debug)]
pub(super) struct PendingAnswers(Mutex<Option<AHashMap<u64, oneshot::Sender<bool>>>>);

impl PendingAnswers {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(AHashMap::new())))
    }

    /// Returns what will receive the answer of a request; none once the session has ended. It fails
    /// if the session ends before the answer.
    pub(super) fn expect(&self, id: u64) -> Option<oneshot::Receiver<bool>> {
        let (sender, answer) = oneshot::channel();
        self.0.lock().as_mut()?.insert(id, sender);
        Some(answer)
    }

    /// Notes an answer, and whether it is no error.
    pub(super) fn answer(&self, id: u64, is_accepted: bool) {
        if let Some(waiting) = self.forget(id) {
            // The task that sent the request may have given up.
            let _gone = waiting.send(is_accepted);
        }
    }

    /// Forgets a request that is not waited for any more.
    pub(super) fn forget(&self, id: u64) -> Option<oneshot::Sender<bool>> {
        self.0.lock().as_mut()?.remove(&id)
    }

    /// Notes that the session has ended, which fails all requests.
    pub(super) fn end(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_until_the_session_ends() {
        let pending = PendingAnswers::new();
        let (mut accepted, mut refused) = (pending.expect(1).unwrap(), pending.expect(2).unwrap());
        let mut unanswered = pending.expect(3).unwrap();
        pending.answer(1, true);
        pending.answer(2, false);
        pending.answer(7, true);
        assert_eq!((accepted.try_recv(), refused.try_recv()), (Ok(true), Ok(false)));
        assert_eq!(unanswered.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        pending.end();
        assert_eq!(unanswered.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert!(pending.expect(4).is_none(), "no answer will come");
    }
}
