//! One connection's life after its upgrade: handshake, session, end.

mod context;
mod deadlines;
mod handler;
mod serve;

pub use context::{ConnectionContext, HELLO_BYTES_MAX, SessionPermits};
pub use deadlines::watch_deadlines;
pub use serve::{Handoff, Upgraded, arrive, serve_upgraded};

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{ConnectionContext, Upgraded, serve_upgraded};

    fn size_of_future<F: Future>(_: fn(Rc<ConnectionContext>, Upgraded) -> F) -> usize {
        size_of::<F>()
    }

    /// A session and the two counts of its `Rc` fit the allocator's class of 384 bytes.
    #[test]
    fn an_idle_session_is_small() {
        let (task, session) = (size_of_future(serve_upgraded), size_of::<crate::hub::Session>());
        assert!(task <= 192 && session <= 368, "the task has {task} bytes, the session {session}");
    }
}
