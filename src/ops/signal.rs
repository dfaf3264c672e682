//! `signal`: a named event for the members of a conversation, at most once.

use std::rc::Rc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::Router;
use super::send::run;
use super::start::Start;
use crate::domain::{Conversation, UserId};
use crate::hub::Session;
use crate::protocol::{Code, ErrorReply, RequestId, ServerFrame, SignalRequest};
use crate::worker_call::Caller;

/// The prefix of signals that only the server may publish, in any case of its letters.
const RESERVED_PREFIX: &str = "nc.";

impl Router {
    /// Sends a signal and answers at once: nothing is stored.
    pub(super) fn signal(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        signal: &SignalRequest<'_>,
        start: Start,
    ) -> Result<(), ErrorReply> {
        let conversation = self.sessions.conversation_of(session, &signal.conversation)?;
        check_name(&signal.name)?;
        let about = conversation.to_string();
        let frame = self.signal_frame(&about, &signal.name, &session.user, signal.data);
        if self.services.is_for_services_to_start(&conversation) {
            let (router, session, id) = (Rc::clone(self), Rc::clone(session), id.cloned());
            run(Box::pin(router.announce_if_started(start, session, id, conversation, frame)));
            return Ok(());
        }
        self.fanout.announce(conversation.keys().collect(), &about, frame, Some(session.number));
        self.sessions.ok(session, id);
        Ok(())
    }

    /// Returns a signal's frame.
    pub(super) fn signal_frame(
        &self,
        conversation: &str,
        name: &str,
        from: &UserId,
        data: &RawValue,
    ) -> Bytes {
        let (from, at) = (from.as_str(), self.services.clocks.wall.now().millis());
        ServerFrame::Signal { conversation, name, from, data, at }.text()
    }

    /// Sends a signal once the store has answered whether its conversation was started. Signals
    /// of a session keep their order among its sends.
    async fn announce_if_started(
        self: Rc<Self>,
        start: Start,
        session: Rc<Session>,
        id: Option<RequestId>,
        conversation: Conversation,
        frame: Bytes,
    ) {
        let turn = session.fifo_gate.enter();
        let started = self.services.must_be_started(&session.user, &conversation).await;
        turn.comes().await;
        match started {
            Ok(()) => {
                let (keys, about) = (conversation.keys().collect(), conversation.to_string());
                self.fanout.announce(keys, &about, frame, Some(session.number));
                self.sessions.ok(&session, id.as_ref());
            }
            Err(refusal) => self.sessions.refuse(&session, id.as_ref(), &refusal.of_op("signal")),
        }
        drop(start);
    }

    /// Refuses a signal over HTTP from a user who is not in the conversation, or may not write into
    /// it yet. A service may publish in the user's name before it is started.
    pub(super) async fn may_announce(
        &self,
        caller: &Caller,
        from: &UserId,
        conversation: &Conversation,
    ) -> Result<(), ErrorReply> {
        match caller {
            Caller::User(_) => {
                self.services.must_be_in(from, conversation).await?;
                self.services.must_be_started(from, conversation).await
            }
            Caller::Service(_) => self.services.must_be_in_for_service(from, conversation).await,
        }
    }
}

/// Refuses the names of signals that only the server may publish, and all that could be shown or
/// trimmed to look like one. A name therefore consists of visible ASCII characters.
pub(super) fn check_name(name: &str) -> Result<(), ErrorReply> {
    if let Some((at, found)) = name.char_indices().find(|(_, it)| !it.is_ascii_graphic()) {
        let found = u32::from(found);
        let message =
            format!("`name` must be of visible ASCII characters, not U+{found:04X} at byte {at}");
        return Err(ErrorReply::bad_request(message));
    }
    let start = name.get(..RESERVED_PREFIX.len());
    if start.is_some_and(|start| start.eq_ignore_ascii_case(RESERVED_PREFIX)) {
        let message = format!("`name` must not start with `{RESERVED_PREFIX}`, in any case");
        return Err(ErrorReply::new(Code::Forbidden, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_looks_like_one_of_the_servers() {
        for name in ["nc.left", "NC.left", "Nc.", "nC.x"] {
            let refusal = check_name(name).unwrap_err();
            assert_eq!(refusal.code, Code::Forbidden, "{name}");
        }
        let hidden = [
            (" nc.left", "U+0020 at byte 0"),
            ("nc.left ", "U+0020 at byte 7"),
            ("\u{200b}nc.left", "U+200B at byte 0"),
            ("n\u{ad}c.left", "U+00AD at byte 1"),
            ("\u{feff}nc.x", "U+FEFF at byte 0"),
            ("n\u{441}.left", "at byte 1"),
            ("nc\u{2024}left", "at byte 2"),
            ("\tnc.x", "U+0009 at byte 0"),
            ("nc\0.x", "U+0000 at byte 2"),
        ];
        for (name, part) in hidden {
            let refusal = check_name(name).unwrap_err();
            assert_eq!(refusal.code, Code::BadRequest, "{name:?}");
            assert!(refusal.message.contains(part), "{name:?}: {}", refusal.message);
        }
        for name in ["typing", "nc", "nca.x", "n", "x.nc.y", "a:b/c#1", "~"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
