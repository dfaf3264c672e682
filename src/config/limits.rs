//! `[limits]`: how much one client may ask for, and how much may wait.

use super::key_type::{Group, Integer};
use super::keys::keys;
use super::section::Section;
use crate::protocol::RequestBounds;
use crate::socket::FrameLimits;

/// What a frame needs besides its body or data: a subject of up to 512 bytes, a conversation of
/// about as many, a nonce, ids and the names of the fields.
const OTHER_FIELDS_BYTES: usize = 2048;

/// How many times their bound frames are read, so that their id can be answered with `too_large`. A
/// longer one ends its connection.
const FRAME_READ_FACTOR: u32 = 2;

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
/// names of two (250 bytes each), a peer and a title (83 and 256 bytes, six times that as JSON), a
/// room's data (1,024 bytes), message ids and the names of the fields. A page holds one conversation
/// of any size.
const ITEM_FIELDS_BYTES: usize = 5632;

keys! {
    /// How much one client may ask for, and how much may wait.
    #[derive(Copy)]
    pub struct LimitsConfig {
        /// Bytes of a frame from a client, all fragments together.
        pub frame_bytes: u32 = Integer(1024..=16 << 20),
        /// Fragments of one frame.
        pub fragments: u32 = Integer(1..=1024),
        /// What one request may hold.
        pub requests: RequestBounds = Group,
        /// Bytes in one page of history.
        pub history_bytes: usize = Integer(1024..=16 << 20),
        /// What one session may have under way.
        pub session: SessionBounds = Group,
        /// Memory of the patterns of one session in bytes: for each its length and 200.
        pub pattern_bytes: usize = Integer(1024..=16 << 20),
        /// What one user may have.
        pub user: UserLimits = Group,
        /// What all clients of this node may have together.
        pub node: SharedLimits = Group,
    }
    relate Self::relate;
}

keys! {
    for RequestBounds {
        body_bytes = Integer(64..=1 << 20),
        data_bytes = Integer(64..=1 << 20),
        patterns = Integer(1..=10_000),
        // Half of what `serde_json` recurses to (128) before it refuses.
        json_depth = Integer(2..=64),
        history_messages = Integer(1..=1000),
    }
}

keys! {
    /// What one session may have under way.
    #[derive(Copy)]
    pub struct SessionBounds {
        /// Bytes that may wait for its socket.
        pub outbox_bytes: usize = Integer(4096..=256 << 20),
        /// Sends without an answer.
        pub sends_in_flight: usize = Integer(1..=1024),
        /// Reads of history and inbox without an answer.
        pub reads_in_flight: usize = Integer(1..=64),
        /// Frames that are held back until they may start.
        pub held_frames: usize = Integer(1..=65_536),
        /// Bytes of these frames.
        pub held_bytes: usize = Integer(2048..=64 << 20),
    }
}

keys! {
    /// What one user may have.
    #[derive(Copy)]
    pub struct UserLimits {
        /// Sessions on this node.
        pub sessions: usize = Integer(1..=100_000) => "sessions_per_user_here",
        /// HTTP connections on this node.
        pub http_connections: usize = Integer(1..=100_000) => "http_connections_per_user",
        /// HTTP requests without an answer.
        pub requests_in_flight: usize = Integer(1..=1024) => "user_requests_in_flight",
        /// Rooms that the user may add another user to.
        pub places_by_adder: usize = Integer(1..=2500),
    }
}

keys! {
    /// What all clients of this node may have together.
    #[derive(Copy)]
    pub struct SharedLimits {
        /// HTTP requests without an answer.
        pub requests_in_flight: usize = Integer(1..=65_536),
        /// Bytes that may wait for the sockets of all sessions.
        pub outbox_bytes: usize = Integer(1 << 20..=64 << 30) => "node_outbox_bytes",
        /// Memory of the patterns of all sessions, in bytes.
        pub pattern_bytes: usize = Integer(1 << 20..=64 << 30) => "node_pattern_bytes",
        /// Deliveries that may wait for one worker.
        pub worker_queue: usize = Integer(16..=1 << 20),
    }
}

impl LimitsConfig {
    /// Returns the bounds of what is read of a client as one frame or message.
    pub const fn frames(&self) -> FrameLimits {
        let (bytes, fragments) = (self.frame_bytes * FRAME_READ_FACTOR, self.fragments);
        FrameLimits { frame_bytes: bytes, message_bytes: bytes, fragments }
    }

    fn relate(&self, s: &mut Section) {
        let frame_bytes = self.frame_bytes as usize;
        for (key, bytes) in
            [("body_bytes", self.requests.body_bytes), ("data_bytes", self.requests.data_bytes)]
        {
            let floor = (key, bytes + OTHER_FIELDS_BYTES);
            let formula = format!("{{}} + {OTHER_FIELDS_BYTES}");
            s.at_least(("frame_bytes", frame_bytes), floor, &formula);
        }
        let outbox = ("outbox_bytes", self.session.outbox_bytes);
        let floor = ("frame_bytes", frame_bytes * OUTBOX_HOLDS);
        s.at_least(outbox, floor, &format!("{OUTBOX_HOLDS} * {{}}"));
        self.relate_pages(s);
        let floor = ("pattern_bytes", self.pattern_bytes * FULL_SESSIONS);
        let node = ("node_pattern_bytes", self.node.pattern_bytes);
        s.at_least(node, floor, &format!("{FULL_SESSIONS} * {{}}"));
        let node = ("node_outbox_bytes", self.node.outbox_bytes);
        s.at_least(node, outbox, "{}");
    }

    /// A client may have asked for so many pages at once, each of the largest size, and is not slow
    /// because of that.
    fn relate_pages(&self, s: &mut Section) {
        let largest = [
            ("history_bytes", self.history_bytes, PAGE_FIELDS_BYTES),
            ("body_bytes", self.requests.body_bytes, ITEM_FIELDS_BYTES + PAGE_FIELDS_BYTES),
        ];
        for (key, bytes, fields) in largest {
            let floor = (key, self.session.reads_in_flight * (bytes + fields));
            let formula =
                format!("reads_in_flight ({}) * ({{}} + {fields})", self.session.reads_in_flight);
            s.at_least(("outbox_bytes", self.session.outbox_bytes), floor, &formula);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ITEM_FIELDS_BYTES, PAGE_FIELDS_BYTES};
    use crate::domain::{
        Conversation, ID_BYTES_MAX, Message, MessageId, Micros, ROOM_DATA_BYTES_MAX, UserId,
    };
    use crate::protocol::{
        DedupKey, InboxItem, MessageText, RequestId, ServerFrame, TITLE_BYTES_MAX,
    };

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
            nonce: Some("n".into()),
            body: "1".into(),
        };
        let last = MessageText::new(&message, &DedupKey::of_store(&[7; 32]));
        let title = controls(TITLE_BYTES_MAX);
        let data = format!("\"{}\"", "d".repeat(ROOM_DATA_BYTES_MAX - 2));
        let item = InboxItem {
            conversation: longest().to_string(),
            kind: "room",
            peer: Some(&controls(ID_BYTES_MAX / 3)),
            title: Some(&title),
            data: serde_json::from_str(&data).ok(),
            last: Some(last.as_raw()),
            read_upto: Some(id.to_string()),
        };
        let bytes = item.bytes();
        assert!((3000..=ITEM_FIELDS_BYTES).contains(&bytes), "{bytes}");
    }
}
