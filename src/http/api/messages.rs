//! `/v1/messages`.

use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, ApiCall};
use crate::domain::{Conversation, RoutingKey};
use crate::http::problem::json;
use crate::ops::Router;
use crate::protocol::{ErrorReply, MessageBody};
use crate::send::SendOrder;
use crate::worker_call::Caller;

/// Marks the answer to a further try of a send: the message is the first one's.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize)]
struct Sent<'a> {
    message: &'a RawValue,
}

/// Sends a message. It is stored and published when this is answered.
pub(super) async fn send(call: ApiCall<'_>) -> Answer {
    call.query.finish()?;
    let order = order(&call)?;
    let key = RoutingKey::user(&order.from);
    let work = async move |router: Rc<Router>| router.send_for(order).await.map_err(of_header);
    let sent = call.ask(&key, work).await?;
    let mut answer = json(StatusCode::CREATED, &Sent { message: sent.text.as_raw() });
    if sent.is_replay {
        answer.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// Names the header where a refusal names the `nonce`, which the caller did not send.
fn of_header(refusal: ErrorReply) -> ErrorReply {
    let message = refusal.message.replace("`nonce`", "Idempotency-Key");
    ErrorReply { message: message.into(), ..refusal }
}

fn order(call: &ApiCall<'_>) -> Result<SendOrder, ErrorReply> {
    let body = MessageBody::read(&call.text, call.bounds())?;
    let caller = call.caller();
    let from = caller.speaks_for(body.from)?;
    let conversation = Conversation::parse(&body.conversation, &from)
        .map_err(|error| ErrorReply::bad_request(format!("`conversation`: {error}")))?;
    Ok(SendOrder {
        from,
        conversation,
        body: Bytes::copy_from_slice(body.body.get().as_bytes()),
        nonce: call.key.clone(),
        fresh: false,
        seen: body.seen,
        by_service: matches!(caller, Caller::Service(_)),
    })
}
