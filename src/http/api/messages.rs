//! `/v1/messages`.

use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::{Answer, ApiCall};
use crate::domain::{Conversation, RoutingKey, UserId};
use crate::http::problem::json;
use crate::ops::Router;
use crate::protocol::{
    Code, ConversationRef, ErrorReply, MessageBody, Retry, SendBody, whole_millis,
};
use crate::send::{SendOrder, SentMessage};
use crate::worker_call::Caller;

/// Marks the answer to a further try of a send: the message is the first one's.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize)]
struct Sent<'a> {
    message: &'a RawValue,
}

#[derive(Serialize)]
struct Outcomes<'a> {
    messages: Vec<Outcome<'a>>,
}

/// The outcome of one of several messages.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Sent {
        message: &'a RawValue,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    },
    Refused {
        code: Code,
        detail: &'a str,
        retry: Retry,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

/// What became of a message.
type SentOrRefused = Result<SentMessage, ErrorReply>;

/// Messages of one sender, with their places in the list.
type Group = (Vec<usize>, Vec<SendOrder>);

impl<'a> From<&'a SentOrRefused> for Outcome<'a> {
    fn from(sending: &'a SentOrRefused) -> Self {
        match sending {
            Ok(sent) => Self::Sent { message: sent.text.as_raw(), replayed: sent.is_replay },
            Err(ErrorReply { code, message, retry_after, .. }) => Self::Refused {
                code: *code,
                detail: message,
                retry: code.retry(),
                retry_after_ms: retry_after.map(whole_millis),
            },
        }
    }
}

/// Sends a message, or several. What is sent is stored and published when this is answered.
pub(super) async fn send(call: ApiCall<'_>) -> Answer {
    call.query.finish()?;
    match SendBody::read(&call.text, call.bounds())? {
        SendBody::One(body) => {
            let order = order(&call.caller(), MessageBody { key: call.key.clone(), ..body })?;
            send_one(call, order).await
        }
        SendBody::Many(_) if call.key.is_some() => {
            let message =
                "Idempotency-Key is for one message: a list has an `idempotency_key` each";
            Err(ErrorReply::bad_request(message).into())
        }
        SendBody::Many(bodies) => {
            let orders = orders(&call.caller(), bodies)?;
            send_all(call, orders).await
        }
    }
}

async fn send_one(call: ApiCall<'_>, order: SendOrder) -> Answer {
    let key = key_of(&order);
    let work = async move |router: Rc<Router>| {
        let sent = router.send_for(order).await;
        sent.map_err(|refusal| without_nonce(refusal, "Idempotency-Key"))
    };
    let sent = call.ask(&key, work).await?;
    let mut answer = json(StatusCode::CREATED, &Sent { message: sent.text.as_raw() });
    if sent.is_replay {
        answer.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Names what the caller sent where a refusal names the `nonce`, as frames have it.
fn without_nonce(refusal: ErrorReply, sent_as: &str) -> ErrorReply {
    let message = refusal.message.replace("`nonce`", sent_as);
    ErrorReply { message: message.into(), ..refusal }
}

/// Sends messages, each sender's on the worker of that sender. Each message has its own outcome, in
/// the order of the request.
async fn send_all(call: ApiCall<'_>, orders: Vec<SendOrder>) -> Answer {
    let mut sendings: Vec<Option<SentOrRefused>> = orders.iter().map(|_| None).collect();
    let mut groups = JoinSet::new();
    for (places, orders) in by_sender(orders) {
        let (worker_calls, admission) = (call.api.worker_calls.clone(), call.admission.clone());
        let (effect, key, caller) = (call.effect, key_of(&orders[0]), call.caller());
        groups.spawn_local(async move {
            let asked = worker_calls.ask(admission, &key, effect, move |router| async move {
                Ok(router.send_all_for(caller, orders).await)
            });
            (places, asked.await)
        });
    }
    while let Some(joined) = groups.join_next().await {
        let Ok((places, asked)) = joined else { continue };
        let outcomes =
            asked.unwrap_or_else(|refusal| places.iter().map(|_| Err(refusal.clone())).collect());
        places.into_iter().zip(outcomes).for_each(|(at, sent)| sendings[at] = Some(sent));
    }
    let unknown =
        || Err(ErrorReply::new(Code::OutcomeUnknown, "the send ended without an outcome"));
    let named = |refusal| without_nonce(refusal, "`idempotency_key`");
    let sendings: Vec<SentOrRefused> =
        sendings.into_iter().map(|it| it.unwrap_or_else(unknown).map_err(named)).collect();
    let messages = sendings.iter().map(Outcome::from).collect();
    Ok(json(StatusCode::OK, &Outcomes { messages }))
}

/// Returns the key whose worker sends a message: the sender's, or of a room's own message the
/// room's.
fn key_of(order: &SendOrder) -> RoutingKey {
    match &order.conversation {
        Conversation::Room(room) if order.from.is_of_room() => RoutingKey::room(room),
        _ => RoutingKey::user(&order.from),
    }
}

/// Groups messages by their senders, in the order of the request.
fn by_sender(orders: Vec<SendOrder>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, order) in orders.into_iter().enumerate() {
        match groups.iter_mut().find(|(_, known)| known[0].from == order.from) {
            Some((places, orders)) => {
                places.push(at);
                orders.push(order);
            }
            None => groups.push((vec![at], vec![order])),
        }
    }
    groups
}

fn orders(caller: &Caller, bodies: Vec<MessageBody<'_>>) -> Result<Vec<SendOrder>, ErrorReply> {
    let order = |(at, body)| {
        let order = order(caller, body);
        order.map_err(|refusal| refusal.of_item(&format!("`messages[{at}]`")))
    };
    bodies.into_iter().enumerate().map(order).collect()
}

fn order(caller: &Caller, body: MessageBody<'_>) -> Result<SendOrder, ErrorReply> {
    let (from, conversation) = sender(caller, body.from, &body.conversation)?;
    Ok(SendOrder {
        from,
        conversation,
        body: Bytes::copy_from_slice(body.body.get().as_bytes()),
        fresh: false,
        nonce: body.key,
        seen: body.seen,
        by_service: matches!(caller, Caller::Service(_)),
    })
}

/// Returns the sender, and where to. A service that names no user lets a room itself speak.
fn sender(
    caller: &Caller,
    from: Option<UserId>,
    named: &ConversationRef<'_>,
) -> Result<(UserId, Conversation), ErrorReply> {
    if let (Caller::Service(me), None) = (caller, &from) {
        return match named.resolve(me)? {
            Conversation::Room(room) => Ok((UserId::of_room(&room), Conversation::Room(room))),
            Conversation::Dm(..) => {
                let message = "`from` is missing: a service must name a user, except in a room";
                Err(ErrorReply::bad_request(message))
            }
        };
    }
    let from = caller.speaks_for(from)?;
    let conversation = named.resolve(&from)?;
    Ok((from, conversation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_sender_stay_together_and_in_order() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let order = |from: &str| SendOrder {
            from: user(from),
            conversation: Conversation::between(&user(from), &user("z")),
            body: Bytes::from_static(b"1"),
            nonce: None,
            fresh: false,
            seen: None,
            by_service: true,
        };
        let groups = by_sender(["a", "b", "a", "c", "b"].map(order).into());
        let places: Vec<Vec<usize>> = groups.iter().map(|(places, _)| places.clone()).collect();
        assert_eq!(places, [vec![0, 2], vec![1, 4], vec![3]]);
        assert!(groups.iter().all(|(places, orders)| places.len() == orders.len()));
    }

    #[test]
    fn a_service_without_from_speaks_as_the_room() {
        let user = |id: &str| UserId::parse(id).unwrap();
        let ask = |caller: &Caller, from: Option<&str>, named: &'static str| {
            let named = ConversationRef::Id(named.into());
            let found = sender(caller, from.map(user), &named);
            found.map(|(from, it)| (from.as_str().to_owned(), it.to_string())).map_err(|it| it.code)
        };
        let (service, bob) = (Caller::Service(user("shop")), Caller::User(user("bob")));
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(ask(&service, None, "room.r"), pair("room.r", "room.r"));
        assert_eq!(ask(&service, Some("a"), "room.r"), pair("a", "room.r"));
        assert_eq!(ask(&service, Some("a"), "user.b"), pair("a", "dm.a.b"));
        assert_eq!(ask(&service, None, "dm.a.b"), Err(Code::BadRequest));
        assert_eq!(ask(&service, None, "user.a"), Err(Code::BadRequest));
        assert_eq!(ask(&bob, None, "room.r"), pair("bob", "room.r"));
    }

    #[test]
    fn golden_outcomes() {
        let refusal = ErrorReply::rate_limited("often", std::time::Duration::from_millis(18));
        let refused: SentOrRefused = Err(refusal);
        let messages = vec![Outcome::from(&refused)];
        assert_eq!(
            serde_json::to_string(&Outcomes { messages }).unwrap(),
            r#"{"messages":[{"code":"rate_limited","detail":"often","retry":"later","retry_after_ms":18}]}"#
        );
    }
}
