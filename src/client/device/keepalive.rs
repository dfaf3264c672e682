//! How long a node may be silent.

use std::time::Duration;

use tokio::time::Instant;

/// From the upgrade to `ready`: twice the time that the node itself gives a client for its `hello`.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than the time between its pings a node may be silent before the device pings it.
const PING_GRACE: Duration = Duration::from_secs(10);

/// How long it may take to answer then.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// What a silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepaliveAction {
    /// Nothing yet.
    Alive,
    /// The device must ping the node.
    Ask,
    /// The node is gone.
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Ready,
    Ping { every: Duration },
    Pong { every: Duration },
}

/// The silence of a node.
#[derive(Debug)]
pub(crate) struct Keepalive {
    since: Instant,
    waiting: Waiting,
}

impl Keepalive {
    /// Starts with a fresh connection.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { since: now, waiting: Waiting::Ready }
    }

    /// Notes that the session is ready, and how often the node pings it.
    pub(crate) const fn ready(&mut self, every: Duration) {
        self.waiting = Waiting::Ping { every };
    }

    /// Notes that something was received.
    pub(crate) const fn broken(&mut self, now: Instant) {
        self.since = now;
        if let Waiting::Pong { every } = self.waiting {
            self.waiting = Waiting::Ping { every };
        }
    }

    /// When the silence will mean something.
    pub(crate) fn deadline(&self) -> Instant {
        self.since
            + match self.waiting {
                Waiting::Ready => READY_TIMEOUT,
                Waiting::Ping { every } => every + PING_GRACE,
                Waiting::Pong { every } => every + PING_GRACE + PONG_TIMEOUT,
            }
    }

    /// What the silence means now. It returns `Ask` once per silence.
    pub(crate) fn judge(&mut self, now: Instant) -> KeepaliveAction {
        if now < self.deadline() {
            return KeepaliveAction::Alive;
        }
        match self.waiting {
            Waiting::Ping { every } => {
                self.waiting = Waiting::Pong { every };
                KeepaliveAction::Ask
            }
            Waiting::Ready | Waiting::Pong { .. } => KeepaliveAction::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(25);

    #[test]
    fn is_asked_about_once_and_then_given_up() {
        let begin = Instant::now();
        let mut silence = Keepalive::new(begin);
        silence.ready(EVERY);
        let almost = begin + EVERY + PING_GRACE - Duration::from_millis(1);
        assert_eq!(silence.judge(almost), KeepaliveAction::Alive);
        silence.broken(almost);
        let first = silence.deadline();
        assert_eq!(first, almost + EVERY + PING_GRACE);
        assert_eq!(silence.judge(first), KeepaliveAction::Ask);
        assert_eq!(silence.judge(first), KeepaliveAction::Alive, "it has been asked");
        assert_eq!(silence.judge(first + PONG_TIMEOUT), KeepaliveAction::Gone);
    }

    #[test]
    fn an_answer_starts_it_again() {
        let begin = Instant::now();
        let mut silence = Keepalive::new(begin);
        silence.ready(EVERY);
        let first = silence.deadline();
        assert_eq!(silence.judge(first), KeepaliveAction::Ask);
        silence.broken(first);
        assert_eq!(silence.judge(first + PONG_TIMEOUT), KeepaliveAction::Alive);
        assert_eq!(silence.judge(silence.deadline()), KeepaliveAction::Ask);
    }

    #[test]
    fn nobody_is_asked_before_ready() {
        let begin = Instant::now();
        assert_eq!(Keepalive::new(begin).judge(begin + READY_TIMEOUT), KeepaliveAction::Gone);
    }
}
