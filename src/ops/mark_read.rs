//! `mark_read`: up to where a user has read a conversation.

use std::rc::Rc;

use smallvec::SmallVec;

use super::Router;
use super::start::Start;
use crate::clock::{MARK_AHEAD_MAX, Readable};
use crate::domain::{Conversation, MessageId, Micros, RoutingKey};
use crate::hub::Session;
use crate::protocol::{Code, ErrorReply, MarkRequest, RequestId, ServerFrame};
use crate::store::{Participant, ReadMark};

/// The `about` of the event of a moved mark. It is no subject, so that no pattern matches it: only
/// the user's own key decides who receives it.
const ABOUT: &str = "read";

impl Router {
    /// Moves a mark, answers once it is stored, and notifies the user's other sessions. A mark that
    /// does not move forward changes nothing, and no session is notified, unless this worker does
    /// not know whether it was told: its first try may have had no answer. It counts as an event of
    /// the user, since the sessions get it like one.
    pub(super) fn mark_read(
        self: &Rc<Self>,
        session: &Rc<Session>,
        id: Option<RequestId>,
        mark: &MarkRequest<'_>,
        start: Start,
    ) -> Result<(), ErrorReply> {
        let conversation = self.sessions.conversation_of(session, &mark.conversation)?;
        check_ahead(mark.upto, self.services.clocks.wall.now())?;
        let (router, session, upto) = (Rc::clone(self), Rc::clone(session), mark.upto);
        tokio::task::spawn_local(async move {
            let marked = router.store_mark(&session, &conversation, upto).await;
            match marked {
                Ok(is_newest) => {
                    let mark = (session.user.clone(), conversation.clone());
                    if is_newest && router.told_marks.advance(mark, upto) {
                        router.tell_read(&session, &conversation, upto);
                    }
                    router.sessions.ok(&session, id.as_ref());
                }
                Err(refusal) => {
                    router.sessions.refuse(&session, id.as_ref(), &refusal.of_op("mark_read"));
                }
            }
            drop(start);
        });
        Ok(())
    }

    /// Stores a mark, and returns whether none is above it. A mark with an unknown outcome is answered
    /// `unavailable` too: moving it again is harmless.
    async fn store_mark(
        &self,
        session: &Session,
        conversation: &Conversation,
        upto: MessageId,
    ) -> Result<bool, ErrorReply> {
        let bound = self.services.config.timeouts.store;
        let (user, conversation) = (session.user.clone(), conversation.clone());
        let participant = Participant { user: user.clone(), conversation: conversation.clone() };
        let held = self.services.answer(self.services.store.read_mark(participant)).await?;
        if let Some(held) = held
            && held >= upto
        {
            return Ok(held == upto);
        }
        let marked = self.services.store.mark_read(ReadMark { user, conversation, upto });
        let why = match tokio::time::timeout(bound, marked).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("the store did not answer within {}", Readable(bound)),
        };
        Err(ErrorReply::new(Code::Unavailable, why))
    }

    fn tell_read(self: &Rc<Self>, session: &Session, conversation: &Conversation, upto: MessageId) {
        let conversation = conversation.to_string();
        let frame = ServerFrame::Read {
            conversation: &conversation,
            upto: upto.to_string(),
            user: session.user.as_str(),
            at: self.services.clocks.wall.now().millis(),
        };
        let keys = SmallVec::from_iter([RoutingKey::user(&session.user)]);
        self.fanout.announce(keys, ABOUT, frame.text(), Some(session.number));
    }
}

fn check_ahead(upto: MessageId, now: Micros) -> Result<(), ErrorReply> {
    let ahead = upto.time().since(now);
    if ahead <= MARK_AHEAD_MAX {
        return Ok(());
    }
    let message = format!(
        "`upto` lies {} ahead of this node's clock, at most {} are allowed",
        Readable(ahead),
        Readable(MARK_AHEAD_MAX)
    );
    Err(ErrorReply::bad_request(message))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Subject;

    #[test]
    fn a_mark_is_at_most_10_s_ahead() {
        let now = Micros(1_000_000_000);
        let check = |ahead| check_ahead(MessageId::last_of(now + ahead), now);
        assert_eq!(check(Duration::ZERO), Ok(()));
        assert_eq!(check(MARK_AHEAD_MAX), Ok(()));
        assert_eq!(check_ahead(MessageId::first_of(Micros(5)), now), Ok(()), "the past is fine");
        let refusal = check(Duration::from_secs(90)).unwrap_err();
        let message = "`upto` lies 90 s ahead of this node's clock, at most 10 s are allowed";
        assert_eq!((refusal.code, &*refusal.message), (Code::BadRequest, message));
        assert!(check(MARK_AHEAD_MAX + Duration::from_micros(1)).is_err());
    }

    #[test]
    fn no_pattern_can_match_it() {
        assert!(Subject::parse(ABOUT).is_err());
    }
}
