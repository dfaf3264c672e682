//! `publish`: events, at most once.

use std::rc::Rc;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::Router;
use crate::domain::Subject;
use crate::hub::Session;
use crate::protocol::{Code, ErrorReply, PublishRequest, RequestId, ServerFrame};

impl Router {
    /// Publishes an event and answers at once: nothing is stored.
    pub(super) fn publish(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        publish: &PublishRequest<'_>,
    ) -> Result<(), ErrorReply> {
        let subject = Subject::read(&publish.subject)
            .map_err(|error| ErrorReply::bad_request(format!("`subject`: {error}")))?;
        if !session.principal().may_publish(&subject) {
            return Err(ErrorReply::new(Code::Forbidden, format!("`{subject}` is not granted")));
        }
        self.announce_event(&subject, publish.data);
        self.sessions.ok(session, id);
        Ok(())
    }

    /// Publishes an event to the sessions that subscribe to its subject.
    pub(super) fn announce_event(self: &Rc<Self>, subject: &Subject, data: &RawValue) {
        let at = self.services.clocks.wall.now().millis();
        let frame = ServerFrame::Event { subject: subject.as_str(), data, at }.text();
        self.fanout.announce(SmallVec::from_iter([subject.key()]), subject.as_str(), frame, None);
    }
}
