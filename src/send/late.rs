//! Messages of unknown outcome, which are looked up in the store later.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::InFlight;
use crate::domain::{Message, MessageId};
use crate::fanout::Fanout;
use crate::protocol::MessageText;
use crate::store::{HistoryQuery, HistoryRange, PageLimit};

/// How long after a send was answered `outcome_unknown` its message is looked up. The servers give
/// up on a write after 2 s, and the clients of the store after 3 s.
const LOOK_FOR_LATE: Duration = Duration::from_secs(10);

/// Messages that are looked up concurrently. Further ones are found by resumes and by history.
const LATE_MAX: usize = 1000;

/// The most messages of one microsecond in one conversation that are looked through.
const AT_ONE_TIME: PageLimit = PageLimit { messages: 16, bytes: 1 << 20 };

/// Messages of unknown outcome that are yet to be looked up in the store.
#[derive(Debug, Default)]
pub struct LateMessages(InFlight);

impl LateMessages {
    /// Checks later whether a message is stored whose send was answered `outcome_unknown`.
    /// Publishes it if it is, so that connected devices have it as history has. Like an event, that
    /// publish may be lost: no watermark waits for it.
    pub fn look_for(&self, fanout: &Rc<Fanout>, message: Arc<Message>) {
        let Some(permit) = self.0.try_enter(LATE_MAX) else { return };
        let fanout = Rc::clone(fanout);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(LOOK_FOR_LATE).await;
            if is_stored(&fanout, &message).await {
                fanout.services.metrics.sends.published_late.inc();
                let text = MessageText::new(&message, &fanout.services.identity.dedup_key);
                fanout.fan_out_untracked(fanout.envelope(&message, &text), None);
            }
            drop(permit);
        });
    }
}

async fn is_stored(fanout: &Fanout, message: &Message) -> bool {
    let just_below = MessageId::first_of(message.id.time() - Duration::from_micros(1));
    let query = HistoryQuery {
        conversation: message.conversation.clone(),
        range: HistoryRange::After(Some(just_below)),
        limit: AT_ONE_TIME,
    };
    let page = fanout.services.answer(fanout.services.store.history(query)).await;
    page.is_ok_and(|page| page.messages.iter().any(|stored| stored.id == message.id))
}
