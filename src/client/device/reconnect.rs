//! Whether and when a device reconnects.

use std::time::Duration;

use tokio::time::Instant;

use crate::shards::Backoff;

/// The first wait after a failure; each further one doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// The longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionLoss {
    /// The node closed it.
    Closed { code: u16, reason: String },
    /// The connection broke.
    Broke(String),
    /// The application asked for another node.
    Left,
}

impl std::fmt::Display for ConnectionLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed { code, reason } => write!(f, "closed by the node: {code} {reason}"),
            Self::Broke(why) => f.write_str(why),
            Self::Left => f.write_str("another node was asked for"),
        }
    }
}

/// How a device reacts to a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseClass {
    /// It does not reconnect unchanged.
    Never,
    /// It reconnects at once.
    AtOnce,
    /// It reconnects after a wait.
    Later,
}

impl ConnectionLoss {
    pub(crate) const fn class(&self) -> CloseClass {
        match self {
            Self::Closed { code: 4000..=4099, .. } => CloseClass::Never,
            Self::Closed { code: 4200..=4299, .. } | Self::Left => CloseClass::AtOnce,
            Self::Closed { .. } | Self::Broke(_) => CloseClass::Later,
        }
    }
}

/// Decides when a device reconnects.
#[derive(Debug)]
pub(crate) struct Reconnect {
    backoff: Backoff,
}

impl Reconnect {
    pub(crate) const fn new() -> Self {
        Self { backoff: Backoff::new(BACKOFF_MIN, BACKOFF_MAX) }
    }

    /// When to reconnect after a loss; none means never. A device that was closed with "at once"
    /// before it had a session waits as well.
    pub(crate) fn after(
        &mut self,
        loss: &ConnectionLoss,
        had_session: bool,
        now: Instant,
    ) -> Option<Instant> {
        match loss.class() {
            CloseClass::Never => None,
            CloseClass::AtOnce if had_session || *loss == ConnectionLoss::Left => Some(now),
            CloseClass::AtOnce | CloseClass::Later => Some(now + self.backoff.wait()),
        }
    }

    /// Resets the wait: a session is complete.
    pub(crate) const fn succeeded(&mut self) {
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(code: u16) -> ConnectionLoss {
        ConnectionLoss::Closed { code, reason: String::new() }
    }

    #[test]
    fn the_range_of_a_code_decides() {
        for (codes, class) in [
            ([4000, 4001, 4099], CloseClass::Never),
            ([4100, 4102, 4199], CloseClass::Later),
            ([4200, 4201, 4299], CloseClass::AtOnce),
            ([1000, 1006, 1009], CloseClass::Later),
            ([3999, 4300, 4999], CloseClass::Later),
        ] {
            for code in codes {
                assert_eq!(closed(code).class(), class, "{code}");
            }
        }
        assert_eq!(ConnectionLoss::Broke("end of file".into()).class(), CloseClass::Later);
    }

    #[test]
    fn waits_grow_until_a_session_is_complete() {
        let (mut comeback, now) = (Reconnect::new(), Instant::now());
        let mut wait = |loss: &ConnectionLoss, had_session| {
            comeback.after(loss, had_session, now).map(|until| until - now)
        };
        assert_eq!(wait(&closed(4001), true), None);
        assert_eq!(wait(&closed(4200), true), Some(Duration::ZERO));
        let first = wait(&closed(4200), false).unwrap();
        assert!(first >= BACKOFF_MIN / 2 && first <= BACKOFF_MIN, "{first:?}");
        let last = (0..20).filter_map(|_| wait(&closed(4100), true)).last().unwrap();
        assert!(last >= BACKOFF_MAX / 2 && last <= BACKOFF_MAX, "{last:?}");
        comeback.succeeded();
        assert!(comeback.after(&closed(1006), true, now).unwrap() - now <= BACKOFF_MIN);
    }
}
