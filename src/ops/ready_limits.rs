//! The limits that `ready` tells.

use crate::config::{Config, Rates, UserRates};
use crate::domain::NONCE_BYTES_MAX;
use crate::hub::HELD_MAX;
use crate::protocol::{
    ConnectionRateLimits, FrameBounds, INBOX_LIMIT_MAX, PageBounds, ReadyLimits, SessionLimits,
    UserRateLimits,
};

/// Returns the limits that clients are told.
pub(super) fn ready_limits(config: &Config) -> ReadyLimits {
    let (limits, rates) = (&config.limits, &config.rates);
    let (requests, session) = (&limits.requests, &limits.session);
    ReadyLimits {
        frame: FrameBounds {
            frame_bytes: limits.frame_bytes as usize,
            fragments: limits.fragments as usize,
            body_bytes: requests.body_bytes,
            data_bytes: requests.data_bytes,
            nonce_bytes: NONCE_BYTES_MAX,
            json_depth: requests.json_depth,
        },
        session: SessionLimits {
            patterns: requests.patterns,
            pattern_bytes: limits.pattern_bytes,
            sends_in_flight: session.sends_in_flight,
            reads_in_flight: session.reads_in_flight,
            held_frames: session.held_frames,
            held_bytes: session.held_bytes,
            held_ms: HELD_MAX.as_millis() as usize,
            outbox_bytes: session.outbox_bytes,
        },
        page: PageBounds {
            history_messages: requests.history_messages,
            inbox_conversations: INBOX_LIMIT_MAX,
            history_bytes: limits.history_bytes,
        },
        user_rates: rates.of_users().map(user_rates),
        connection_rates: connection_rates(rates),
    }
}

const fn user_rates(rates: UserRates) -> UserRateLimits {
    UserRateLimits {
        send_burst: rates.sends.burst,
        sends_per_s: rates.sends.per_s,
        event_burst: rates.events.burst,
        events_per_s: rates.events.per_s,
        read_burst: rates.reads.burst,
        reads_per_s: rates.reads.per_s,
        item_burst: rates.items.burst,
        items_per_s: rates.items.per_s,
    }
}

const fn connection_rates(rates: &Rates) -> ConnectionRateLimits {
    ConnectionRateLimits {
        frame_burst: rates.frames.burst,
        frames_per_s: rates.frames.per_s,
        byte_burst: rates.bytes.burst,
        bytes_per_s: rates.bytes.per_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::is_alike;

    /// Limits that no key sets.
    const FIXED: [&str; 3] = ["nonce_bytes", "held_ms", "inbox_conversations"];

    #[test]
    fn nodes_that_fit_each_other_tell_clients_the_same_limits() {
        let told = serde_json::to_value(ready_limits(&Config::load(None, []).unwrap())).unwrap();
        let names = told.as_object().unwrap().keys().map(String::as_str);
        for name in names.filter(|name| !FIXED.contains(name)) {
            let is_rate = name.ends_with("_burst") || name.ends_with("_per_s");
            let table = if is_rate { "rates" } else { "limits" };
            assert!(is_alike(&format!("{table}.{name}")), "{table}.{name}");
        }
    }
}
