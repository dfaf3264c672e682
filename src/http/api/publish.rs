//! `/v1/publish`.

use hyper::StatusCode;
use serde::Serialize;

use super::{Answer, ApiCall};
use crate::domain::{RoutingKey, Subject};
use crate::http::problem::json;
use crate::ops::EventOrder;
use crate::protocol::{ErrorReply, EventBody, PublishRequest, SignalRequest};
use crate::worker_call::Caller;

#[derive(Serialize)]
struct Published {
    published: usize,
}

/// Publishes events, at most once: nothing is stored.
pub(super) async fn publish(call: ApiCall<'_>) -> Answer {
    call.query.finish()?;
    let events = events(&call)?;
    let (published, principal) = (events.len(), call.principal.clone());
    let key = RoutingKey::user(&principal.user);
    call.ask(&key, move |router| router.publish_for(principal, events)).await?;
    Ok(json(StatusCode::ACCEPTED, &Published { published }))
}

fn events(call: &ApiCall<'_>) -> Result<Vec<EventOrder>, ErrorReply> {
    let bodies = EventBody::read_list(&call.text, call.bounds())?;
    let caller = call.caller();
    let order = |(at, body)| {
        let order = order(body, &caller);
        order.map_err(|refusal| refusal.of_item(&format!("`events[{at}]`")))
    };
    bodies.into_iter().enumerate().map(order).collect()
}

fn order(body: EventBody<'_>, caller: &Caller) -> Result<EventOrder, ErrorReply> {
    match body {
        EventBody::Event(PublishRequest { subject, data }) => {
            let subject = Subject::read(&subject)
                .map_err(|error| ErrorReply::bad_request(format!("`subject`: {error}")))?;
            Ok(EventOrder::Subject { subject, data: data.to_owned() })
        }
        EventBody::Signal(SignalRequest { conversation, name, data }, from) => {
            let from = caller.speaks_for(from)?;
            let conversation = conversation.resolve(&from)?;
            let (name, data) = (name.into(), data.to_owned());
            Ok(EventOrder::Signal { conversation, name, from, data })
        }
    }
}
