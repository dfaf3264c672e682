//! `[limits]`: how much one client may ask for, and how much may wait.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::section::Section;

const FRAME_BYTES: RangeInclusive<u64> = 1024..=16 << 20;
const FRAGMENTS: RangeInclusive<u64> = 1..=1024;
const BODY_BYTES: RangeInclusive<u64> = 64..=1 << 20;
const PATTERNS: RangeInclusive<u64> = 1..=10_000;
const PATTERN_BYTES: RangeInclusive<u64> = 1024..=16 << 20;
const NODE_PATTERN_BYTES: RangeInclusive<u64> = 1 << 20..=64 << 30;

/// Half of what `serde_json` recurses to (128) before it refuses.
const JSON_DEPTH: RangeInclusive<u64> = 2..=64;
const PLACES_BY_ADDER: RangeInclusive<u64> = 1..=2500;
const SENDS_IN_FLIGHT: RangeInclusive<u64> = 1..=1024;
const READS_IN_FLIGHT: RangeInclusive<u64> = 1..=64;
const REQUESTS_IN_FLIGHT: RangeInclusive<u64> = 1..=65_536;
const USER_REQUESTS_IN_FLIGHT: RangeInclusive<u64> = 1..=1024;
const HISTORY_MESSAGES: RangeInclusive<u64> = 1..=1000;
const HISTORY_BYTES: RangeInclusive<u64> = 1024..=16 << 20;
const OUTBOX_BYTES: RangeInclusive<u64> = 4096..=256 << 20;
const NODE_OUTBOX_BYTES: RangeInclusive<u64> = 1 << 20..=64 << 30;
const SESSIONS_PER_USER: RangeInclusive<u64> = 1..=100_000;
const HTTP_CONNECTIONS_PER_USER: RangeInclusive<u64> = 1..=100_000;
const WORKER_QUEUE: RangeInclusive<u64> = 16..=1 << 20;

/// What a frame needs besides its body or data: a subject of up to 512 bytes, a conversation of
/// about as many, a nonce, ids and the names of the fields.
const OTHER_FIELDS_BYTES: usize = 2048;

/// How many sessions full of patterns a node can hold at least. A user has at most a tenth as many,
/// so the patterns of one user leave space for those of all others.
const FULL_SESSIONS: usize = 1000;

/// How many frames of the largest client size an outbox holds at least: one is written while the
/// next is made.
const OUTBOX_HOLDS: usize = 2;

/// What a page's frame needs besides its messages. That is the request's id (64 bytes, six times
/// that as JSON), a conversation, where the next page begins (as long as a conversation in base64)
/// and the names of the fields.
const PAGE_FIELDS_BYTES: usize = 2048;

/// What a conversation of an inbox needs besides the body of its message. That is four ids, or
/// names of two (250 bytes each), a title and a nonce (256 and 64 bytes, six times that as JSON),
/// message ids and the names of the fields. A page holds one conversation of any size.
const ITEM_FIELDS_BYTES: usize = 4096;

/// How much one client may ask for, and how much may wait.
#[derive(Clone, Debug, Serialize)]
pub struct LimitsConfig {
    /// Bytes of a frame from a client, all fragments together.
    pub frame_bytes: usize,
    /// Fragments of one frame.
    pub fragments: usize,
    /// Bytes of a message's body, as JSON text.
    pub body_bytes: usize,
    /// Bytes of an event's data, as JSON text.
    pub data_bytes: usize,
    /// Patterns of one session.
    pub patterns: usize,
    /// Rooms that one user may add another user to.
    pub places_by_adder: usize,
    /// Memory of the patterns of one session in bytes: for each its length and 200.
    pub pattern_bytes: usize,
    /// Memory of the patterns of all sessions, in bytes.
    pub node_pattern_bytes: usize,
    /// Nesting of a frame's JSON, the frame included.
    pub json_depth: usize,
    /// Sends of one session without an answer.
    pub sends_in_flight: usize,
    /// Reads of history and inbox of one session without an answer.
    pub reads_in_flight: usize,
    /// HTTP requests of all clients without an answer.
    pub requests_in_flight: usize,
    /// Those of one user.
    pub user_requests_in_flight: usize,
    /// Messages in one page of history.
    pub history_messages: usize,
    /// Bytes in one page of history.
    pub history_bytes: usize,
    /// Bytes that may wait for one session's socket.
    pub outbox_bytes: usize,
    /// Bytes that may wait for the sockets of all sessions together.
    pub node_outbox_bytes: usize,
    /// Sessions of one user on this node.
    pub sessions_per_user_here: usize,
    /// HTTP connections of one user on this node.
    pub http_connections_per_user: usize,
    /// Deliveries that may wait for one worker.
    pub worker_queue: usize,
}

impl LimitsConfig {
    pub(super) fn read(s: &mut Section) -> Self {
        let limits = Self {
            frame_bytes: s.count("frame_bytes", &FRAME_BYTES),
            fragments: s.count("fragments", &FRAGMENTS),
            body_bytes: s.count("body_bytes", &BODY_BYTES),
            data_bytes: s.count("data_bytes", &BODY_BYTES),
            patterns: s.count("patterns", &PATTERNS),
            places_by_adder: s.count("places_by_adder", &PLACES_BY_ADDER),
            pattern_bytes: s.count("pattern_bytes", &PATTERN_BYTES),
            node_pattern_bytes: s.count("node_pattern_bytes", &NODE_PATTERN_BYTES),
            json_depth: s.count("json_depth", &JSON_DEPTH),
            sends_in_flight: s.count("sends_in_flight", &SENDS_IN_FLIGHT),
            reads_in_flight: s.count("reads_in_flight", &READS_IN_FLIGHT),
            requests_in_flight: s.count("requests_in_flight", &REQUESTS_IN_FLIGHT),
            user_requests_in_flight: s.count("user_requests_in_flight", &USER_REQUESTS_IN_FLIGHT),
            history_messages: s.count("history_messages", &HISTORY_MESSAGES),
            history_bytes: s.count("history_bytes", &HISTORY_BYTES),
            outbox_bytes: s.count("outbox_bytes", &OUTBOX_BYTES),
            node_outbox_bytes: s.count("node_outbox_bytes", &NODE_OUTBOX_BYTES),
            sessions_per_user_here: s.count("sessions_per_user_here", &SESSIONS_PER_USER),
            http_connections_per_user: s
                .count("http_connections_per_user", &HTTP_CONNECTIONS_PER_USER),
            worker_queue: s.count("worker_queue", &WORKER_QUEUE),
        };
        limits.relate(s);
        limits
    }

    fn relate(&self, s: &mut Section) {
        for (key, bytes) in [("body_bytes", self.body_bytes), ("data_bytes", self.data_bytes)] {
            let floor = (key, bytes + OTHER_FIELDS_BYTES);
            let formula = format!("{{}} + {OTHER_FIELDS_BYTES}");
            s.at_least(("frame_bytes", self.frame_bytes), floor, &formula);
        }
        let outbox = ("outbox_bytes", self.outbox_bytes);
        let floor = ("frame_bytes", self.frame_bytes * OUTBOX_HOLDS);
        s.at_least(outbox, floor, &format!("{OUTBOX_HOLDS} * {{}}"));
        self.relate_pages(s);
        let floor = ("pattern_bytes", self.pattern_bytes * FULL_SESSIONS);
        let node = ("node_pattern_bytes", self.node_pattern_bytes);
        s.at_least(node, floor, &format!("{FULL_SESSIONS} * {{}}"));
        let node = ("node_outbox_bytes", self.node_outbox_bytes);
        s.at_least(node, outbox, "{}");
    }

    /// A client may have asked for so many pages at once, each of the largest size, and is not slow
    /// because of that.
    fn relate_pages(&self, s: &mut Section) {
        let largest = [
            ("history_bytes", self.history_bytes, PAGE_FIELDS_BYTES),
            ("body_bytes", self.body_bytes, ITEM_FIELDS_BYTES + PAGE_FIELDS_BYTES),
        ];
        for (key, bytes, fields) in largest {
            let floor = (key, self.reads_in_flight * (bytes + fields));
            let formula = format!("reads_in_flight ({}) * ({{}} + {fields})", self.reads_in_flight);
            s.at_least(("outbox_bytes", self.outbox_bytes), floor, &formula);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ITEM_FIELDS_BYTES, PAGE_FIELDS_BYTES};
    use crate::domain::{
        Conversation, ID_BYTES_MAX, Message, MessageId, Micros, NONCE_BYTES_MAX, UserId,
    };
    use crate::protocol::{InboxItem, MessageText, RequestId, ServerFrame, TITLE_BYTES_MAX};

    /// The worst of so many bytes: six each as JSON.
    fn controls(bytes: usize) -> String {
        "\u{1}".repeat(bytes)
    }

    fn longest() -> Conversation {
        let [a, b] = ["a", "b"].map(|id| UserId::parse(&id.repeat(ID_BYTES_MAX)).unwrap());
        Conversation::between(&a, &b)
    }

    #[test]
    fn a_page_without_messages_is_within_what_is_kept_for_it() {
        let id = RequestId::read_text(&serde_json::to_string(&controls(64)).unwrap()).unwrap();
        let (conversation, next) =
            (longest().to_string(), MessageId::first_of(Micros(1)).to_string());
        let place = "x".repeat((conversation.len() + 9).div_ceil(3) * 4);
        let page = ServerFrame::History {
            id: Some(&id),
            conversation: &conversation,
            messages: &[],
            next: Some(next),
        };
        let inbox = ServerFrame::Inbox { id: Some(&id), conversations: &[], next: Some(&place) };
        for bytes in [page, inbox].map(|frame| frame.text().len()) {
            assert!((600..=PAGE_FIELDS_BYTES).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn a_conversation_of_an_inbox_is_within_what_is_kept_beside_its_body() {
        let id = MessageId::first_of(Micros(1));
        let message = Message {
            id,
            conversation: longest(),
            from: UserId::parse(&"a".repeat(ID_BYTES_MAX)).unwrap(),
            nonce: Some(controls(NONCE_BYTES_MAX).as_str().into()),
            body: "1".into(),
        };
        let last = MessageText::new(&message);
        let title = controls(TITLE_BYTES_MAX);
        let item = InboxItem {
            conversation: longest().to_string(),
            kind: "room",
            title: Some(&title),
            last: Some(last.as_raw()),
            read_upto: Some(id.to_string()),
        };
        let bytes = item.bytes();
        assert!((3000..=ITEM_FIELDS_BYTES).contains(&bytes), "{bytes}");
    }
}
