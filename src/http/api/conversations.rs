//! `/v1/conversations/{id}/messages`.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, ApiCall};
use crate::domain::{Conversation, RoutingKey};
use crate::http::problem::json;
use crate::protocol::{ErrorReply, HISTORY_LIMIT_DEFAULT, HistorySide, MessageText};
use crate::worker_call::Caller;

#[derive(Serialize)]
struct History<'a> {
    conversation: String,
    messages: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Reads a page: the newest first, or with `after` the oldest first.
pub(super) async fn history(mut call: ApiCall<'_>, text: &str) -> Answer {
    let page = call.query.text("page");
    let (before, after) = (call.query.message_id("before")?, call.query.message_id("after")?);
    let side = HistorySide::of(page.as_deref(), before, after)?;
    let max = call.bounds().history_messages;
    let limit = call.query.limit(HISTORY_LIMIT_DEFAULT as usize, max)?;
    call.query.finish()?;
    let caller = call.caller();
    let (conversation, key) = named(text, &caller)?;
    let of = conversation.clone();
    let reader = match caller {
        Caller::User(user) => Some(user),
        Caller::Service(_) => None,
    };
    let read =
        move |router: std::rc::Rc<crate::ops::Router>| router.history_for(reader, of, side, limit);
    let services = std::sync::Arc::clone(&call.api.services);
    let page = call.ask(&key, read).await?;
    let key = &services.identity.dedup_key;
    let texts: Vec<MessageText> =
        page.messages.iter().map(|message| MessageText::new(message, key)).collect();
    let history = History {
        conversation: conversation.to_string(),
        messages: texts.iter().map(MessageText::as_raw).collect(),
        next: page.next.map(|next| side.page(next)),
    };
    Ok(json(StatusCode::OK, &history))
}

/// Returns the conversation that a caller names, and the key of the worker that reads it.
fn named(text: &str, caller: &Caller) -> Result<(Conversation, RoutingKey), ErrorReply> {
    let refused =
        |error: String| ErrorReply::bad_request(format!("the conversation in the path: {error}"));
    let (Caller::User(me) | Caller::Service(me)) = caller;
    if matches!(caller, Caller::Service(_)) && text.starts_with("user.") {
        let message = "`user.<id>` is for users, a service writes `dm.<a>.<b>`";
        return Err(refused(message.to_owned()));
    }
    let conversation = Conversation::read(text, me).map_err(|error| refused(error.to_string()))?;
    let key = match (caller, conversation.keys().next()) {
        (Caller::Service(_), Some(key)) => key,
        _ => RoutingKey::user(me),
    };
    Ok((conversation, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UserId;

    #[test]
    fn a_user_reads_by_his_worker_and_a_service_by_that_of_the_conversation() {
        let me = UserId::parse("me").unwrap();
        let named = |text: &str, caller: Caller| {
            let (conversation, key) = super::named(text, &caller).unwrap();
            (conversation.to_string(), key.as_str().to_owned())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let (user, service) = (Caller::User(me.clone()), Caller::Service(me));
        assert_eq!(named("user.bob", user.clone()), pair("dm.bob.me", "user.me"));
        assert_eq!(named("room.x", user), pair("room.x", "user.me"));
        assert_eq!(named("dm.a.b", service.clone()), pair("dm.a.b", "user.a"));
        assert_eq!(named("room.x", service), pair("room.x", "room.x"));
    }

    #[test]
    fn a_service_has_no_conversations_of_its_own() {
        let service = Caller::Service(UserId::parse("shop").unwrap());
        let refusal = super::named("user.bob", &service).unwrap_err();
        assert!(refusal.message.contains("a service writes `dm.<a>.<b>`"), "{refusal:?}");
    }
}
