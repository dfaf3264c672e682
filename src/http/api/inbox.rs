//! `/v1/users/{id}/inbox`.

use hyper::StatusCode;
use serde::Serialize;

use super::{Answer, ApiCall};
use crate::domain::{RoutingKey, UserId};
use crate::http::problem::json;
use crate::ops::InboxEntry;
use crate::protocol::{ErrorReply, InboxItem};

/// Most conversations in a page.
const LIMIT_MAX: usize = 100;

/// Conversations in a page if the caller gives no limit.
const LIMIT_DEFAULT: usize = 50;

/// The longest `page` that is read, in bytes: above any that a page returns.
const NEXT_BYTES_MAX: usize = 1024;

#[derive(Serialize)]
struct Inbox<'a> {
    conversations: Vec<InboxItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// Lists a page of a user's conversations, the recently active first.
pub(super) async fn list(mut call: ApiCall<'_>, user: UserId) -> Answer {
    let page_token = call.query.text("page");
    if let Some(found) =
        page_token.as_ref().map(String::len).filter(|bytes| *bytes > NEXT_BYTES_MAX)
    {
        let message = format!("`page` has {found} bytes, at most {NEXT_BYTES_MAX} are allowed");
        return Err(ErrorReply::bad_request(message).into());
    }
    let limit = call.query.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    call.query.finish()?;
    let user = call.user_in_path(user)?;
    let key = RoutingKey::user(&user);
    let page = call.ask(&key, move |router| router.inbox_for(user, page_token, limit)).await?;
    let conversations = page.entries.iter().map(InboxEntry::item).collect();
    Ok(json(StatusCode::OK, &Inbox { conversations, next: page.next.as_deref() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Conversation, MessageId, Micros};

    #[test]
    fn golden_document() {
        let me = UserId::parse("me").unwrap();
        let entry = |name: &str, title: Option<&str>, read| InboxEntry {
            conversation: Conversation::parse(name, &me).unwrap(),
            peer: name.strip_prefix("user.").map(Into::into),
            title: title.map(Into::into),
            data: title.map(|_| "[1]".into()),
            last: None,
            read,
        };
        let id = MessageId::first_of(Micros(1_795_492_901_650_123));
        let entries = [entry("room.x", Some("X"), Some(id)), entry("user.bob", None, None)];
        let conversations = entries.iter().map(InboxEntry::item).collect();
        let inbox = Inbox { conversations, next: Some("n") };
        let golden = format!(
            "{}{}{}{}",
            r#"{"conversations":[{"conversation":"room.x","kind":"room","title":"X","data":[1],"#,
            format_args!(r#""read_upto":"{id}"}},"#),
            r#"{"conversation":"dm.bob.me","kind":"dm","peer":"bob"}],"#,
            r#""next":"n"}"#,
        );
        assert_eq!(serde_json::to_string(&inbox).unwrap(), golden);
    }
}
