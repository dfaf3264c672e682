//! Publishes several events in one HTTP request.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::Router;
use super::signal::check_name;
use crate::auth::Principal;
use crate::domain::{Conversation, Subject, UserId};
use crate::protocol::{Code, ErrorReply};
use crate::services::{no_such_conversation, not_a_member};
use crate::worker_call::Caller;

/// An event to be published.
#[derive(Debug)]
pub enum EventOrder {
    /// To the subscribers of a subject.
    Subject {
        /// The subject.
        subject: Subject,
        /// Any JSON value.
        data: Box<RawValue>,
    },
    /// A signal to the members of a conversation.
    Signal {
        /// The conversation.
        conversation: Conversation,
        /// Its name.
        name: Box<str>,
        /// The user who sent it.
        from: UserId,
        /// Any JSON value.
        data: Box<RawValue>,
    },
}

impl Router {
    /// Publishes all events, or none if one is refused; the error names that event's index.
    pub async fn publish_for(
        self: Rc<Self>,
        principal: Principal,
        events: Vec<EventOrder>,
    ) -> Result<(), ErrorReply> {
        let caller = Caller::of(&principal);
        self.charge_list(&caller, "events", events.len())?;
        for (at, event) in events.iter().enumerate() {
            may_publish(&principal, &caller, event).map_err(|refusal| of_event(at, refusal))?;
        }
        self.must_be_in_all(&caller, &events).await?;
        if let Caller::User(user) = &caller {
            // After all that may refuse or wait: what is charged is published.
            let count = events.len();
            let passed = self.limiter.events(user, count as u32);
            passed.map_err(|refused| refused.refusal().of_item(&format!("{count} `events`")))?;
        }
        events.iter().for_each(|event| self.publish_event(event));
        Ok(())
    }

    /// Charges a user for the items of a request's list, before anything is done with it. Services
    /// act for many users and are not charged.
    pub(super) fn charge_list(
        &self,
        caller: &Caller,
        name: &str,
        items: usize,
    ) -> Result<(), ErrorReply> {
        let Caller::User(user) = caller else { return Ok(()) };
        let charged = self.limiter.items(user, items);
        charged.map_err(|refused| refused.refusal().of_item(&format!("{items} `{name}`")))
    }

    /// Checks that the user is in each conversation and that it is started; each is checked once.
    /// Each check that is a read is charged as one, even if the list is refused later.
    async fn must_be_in_all(
        &self,
        caller: &Caller,
        events: &[EventOrder],
    ) -> Result<(), ErrorReply> {
        let conversations = conversations(events);
        let is_read = |about: &&About<'_>| {
            matches!(about.conversation, Conversation::Room(_))
                || self.services.is_for_services_to_start(about.conversation)
        };
        let reads = conversations.iter().filter(is_read).count();
        if let Caller::User(user) = caller
            && reads > 0
        {
            let passed = self.limiter.read(user);
            passed
                .map_err(|refused| refused.refusal().of_item(&format!("{reads} conversations")))?;
            self.limiter.owe_reads(user, reads - 1);
        }
        for About { at, from, conversation } in conversations {
            let allowed = self.may_announce(caller, from, conversation).await;
            allowed.map_err(|refusal| of_event(at, refusal))?;
        }
        Ok(())
    }

    fn publish_event(self: &Rc<Self>, event: &EventOrder) {
        match event {
            EventOrder::Subject { subject, data } => {
                self.announce_event(subject, data);
            }
            EventOrder::Signal { conversation, name, from, data } => {
                let about = conversation.to_string();
                let frame = self.signal_frame(&about, name, from, data);
                self.fanout.announce(conversation.keys().collect(), &about, frame, None);
            }
        }
    }
}

fn of_event(at: usize, refusal: ErrorReply) -> ErrorReply {
    refusal.of_item(&format!("`events[{at}]`"))
}

/// A conversation that an event is for.
struct About<'a> {
    at: usize,
    from: &'a UserId,
    conversation: &'a Conversation,
}

/// Returns the conversations that events are for, one entry per conversation and publishing user.
fn conversations(events: &[EventOrder]) -> Vec<About<'_>> {
    let mut found: Vec<About<'_>> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let EventOrder::Signal { conversation, from, .. } = event else { continue };
        let is_known = |known: &About<'_>| (known.from, known.conversation) == (from, conversation);
        if !found.iter().any(is_known) {
            found.push(About { at, from, conversation });
        }
    }
    found
}

/// Checks the grants: a service may publish to any subject, a user only what the token grants. Only
/// one of its two users publishes in a direct conversation. Whether a user is in a room, the store
/// decides.
fn may_publish(
    principal: &Principal,
    caller: &Caller,
    event: &EventOrder,
) -> Result<(), ErrorReply> {
    let is_service = matches!(caller, Caller::Service(_));
    match event {
        EventOrder::Subject { subject, .. } => {
            if is_service || principal.may_publish(subject) {
                return Ok(());
            }
            Err(ErrorReply::new(Code::Forbidden, format!("`{subject}` is not granted")))
        }
        EventOrder::Signal { conversation, name, from, .. } => {
            let is_room = matches!(conversation, Conversation::Room(_));
            if !(conversation.is_direct_of(from) || is_room) {
                return Err(if is_service {
                    not_a_member(from, conversation)
                } else {
                    no_such_conversation()
                });
            }
            check_name(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Grants, TokenScope};
    use crate::domain::Pattern;

    fn principal(user: &str, scope: TokenScope) -> Principal {
        let publish = Grants::new(vec![Pattern::parse("topic.mine.>").unwrap()]);
        let user = UserId::parse(user).unwrap();
        Principal { user, scope, publish, subscribe: Grants::default(), expires_at: 0 }
    }

    fn data() -> Box<RawValue> {
        RawValue::from_string("1".into()).unwrap()
    }

    #[test]
    fn subjects_by_grant_and_by_right() {
        let table = [
            ("topic.mine.a", true),
            ("topic.others", false),
            ("user.me.x", true),
            ("user.bob.x", false),
            ("presence.bob", false),
        ];
        for (subject, granted) in table {
            let subject = Subject::parse(subject).unwrap();
            let event = EventOrder::Subject { subject, data: data() };
            let may = |role| {
                let principal = principal("me", role);
                may_publish(&principal, &Caller::of(&principal), &event).is_ok()
            };
            assert_eq!(
                (may(TokenScope::User), may(TokenScope::Service)),
                (granted, true),
                "{event:?}"
            );
        }
    }

    #[test]
    fn conversations_by_those_who_are_in_them() {
        let table = [
            ("dm.bob.me", "typing", TokenScope::User, None),
            ("dm.bob.me", "nc.joined", TokenScope::User, Some(Code::Forbidden)),
            ("dm.bob.me", "nc.joined", TokenScope::Service, Some(Code::Forbidden)),
            ("dm.bob.carol", "typing", TokenScope::User, Some(Code::NotFound)),
            ("dm.bob.carol", "typing", TokenScope::Service, Some(Code::Forbidden)),
            ("room.x", "nc.joined", TokenScope::User, Some(Code::Forbidden)),
        ];
        for (conversation, name, role, code) in table {
            let me = UserId::parse("me").unwrap();
            let event = EventOrder::Signal {
                conversation: Conversation::parse(conversation, &me).unwrap(),
                name: name.into(),
                from: me,
                data: data(),
            };
            let principal = principal("me", role);
            let refused = may_publish(&principal, &Caller::of(&principal), &event).err();
            assert_eq!(refused.map(|refusal| refusal.code), code, "{conversation} {name} {role:?}");
        }
    }
}
