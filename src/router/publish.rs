//! `publish`: events, at most once.

use std::rc::Rc;

use bytes::Bytes;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::Router;
use super::access::no_such_conversation;
use crate::bus::{Envelope, Kind};
use crate::domain::{Conversation, Key, Subject};
use crate::hub::Session;
use crate::protocol::{Announced, Code, Publish, Refusal, RequestId, ServerFrame};

/// Names of events that only the server may give.
const RESERVED_PREFIX: &str = "nc.";

impl Router {
    /// Publishes an event and answers at once: nothing is stored.
    pub(super) fn publish(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        publish: Publish<'_>,
    ) -> Result<(), Refusal> {
        self.gate.event(&session.user).map_err(|refused| refused.refusal().of_op("publish"))?;
        let published = match publish {
            Publish::Subject { subject, data } => self.publish_subject(session, &subject, data),
            Publish::Conversation { conversation, event, data } => {
                self.publish_conversation(session, &conversation, &event, data)
            }
        };
        published.map_err(|refusal| refusal.of_op("publish"))?;
        self.ok(session, id);
        Ok(())
    }

    fn publish_subject(
        self: &Rc<Self>,
        session: &Session,
        subject: &str,
        data: &RawValue,
    ) -> Result<(), Refusal> {
        let subject = Subject::parse(subject)
            .map_err(|error| Refusal::bad_request(format!("`subject`: {error}")))?;
        if !session.principal().may_publish(&subject) {
            return Err(Refusal::new(Code::Forbidden, format!("`{subject}` is not granted")));
        }
        let announced = Announced::Subject { subject: subject.as_str(), data };
        let frame = ServerFrame::Event(announced).text();
        self.announce(SmallVec::from_iter([subject.key()]), subject.as_str(), frame, None);
        Ok(())
    }

    fn publish_conversation(
        self: &Rc<Self>,
        session: &Session,
        conversation: &str,
        event: &str,
        data: &RawValue,
    ) -> Result<(), Refusal> {
        let conversation = self.member_of(session, conversation)?;
        check_event(event)?;
        let about = conversation.to_string();
        let from = session.user.as_str();
        let announced = Announced::Conversation { conversation: &about, event, from, data };
        let frame = ServerFrame::Event(announced).text();
        self.announce(conversation.keys().collect(), &about, frame, Some(session.number));
        Ok(())
    }

    pub(super) fn announce(
        self: &Rc<Self>,
        keys: SmallVec<[Key; 2]>,
        about: &str,
        frame: Bytes,
        except: Option<u64>,
    ) {
        let envelope = Envelope {
            kind: Kind::Event,
            tap_copy: false,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: [0; 16],
            keys,
            about: about.into(),
            frame,
        };
        self.fan_out_event(envelope, except);
    }

    /// The conversation that a session names, if its user is in it. One that is not there and one
    /// that is not his get the same answer.
    pub(super) fn member_of(&self, session: &Session, text: &str) -> Result<Conversation, Refusal> {
        let conversation = Conversation::parse(text, &session.user)
            .map_err(|error| Refusal::bad_request(format!("`conversation`: {error}")))?;
        let inside = match &conversation {
            Conversation::Dm(..) => conversation.is_direct_of(&session.user),
            Conversation::Room(room) => self.hub.borrow().is_inside(&session.user, room),
        };
        if inside { Ok(conversation) } else { Err(no_such_conversation()) }
    }
}

/// Refuses the names of events that only the server may give.
pub(super) fn check_event(event: &str) -> Result<(), Refusal> {
    if event.starts_with(RESERVED_PREFIX) {
        let message = format!("`event` must not start with `{RESERVED_PREFIX}`");
        return Err(Refusal::new(Code::Forbidden, message));
    }
    Ok(())
}
