//! `/v1/messages`.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, ApiCall};
use crate::domain::RoutingKey;
use crate::http::problem::json;
use crate::protocol::{ErrorReply, MessageBody};
use crate::send::SendOrder;
use crate::worker_call::Caller;

#[derive(Serialize)]
struct Sent<'a> {
    message: &'a RawValue,
}

/// Sends a message. It is stored and published when this is answered.
pub(super) async fn send(call: ApiCall<'_>) -> Answer {
    call.query.finish()?;
    let order = order(&call)?;
    let key = RoutingKey::user(&order.from);
    let message = call.ask(&key, move |router| router.send_for(order)).await?;
    Ok(json(StatusCode::CREATED, &Sent { message: message.as_raw() }))
}

fn order(call: &ApiCall<'_>) -> Result<SendOrder, ErrorReply> {
    let body = MessageBody::read(&call.text, call.bounds())?;
    let caller = call.caller();
    let from = caller.speaks_for(body.from)?;
    let conversation = body.conversation.resolve(&from)?;
    Ok(SendOrder {
        from,
        conversation,
        body: Bytes::copy_from_slice(body.body.get().as_bytes()),
        nonce: call.key.clone(),
        retry: call.key.is_some(),
        seen: body.seen,
        by_service: matches!(caller, Caller::Service(_)),
    })
}
