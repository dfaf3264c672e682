//! Close codes. Their range tells the client whether to reconnect: 4000-4099 not unchanged,
//! 4100-4199 with back-off, 4200-4299 at once. A number is never used again.

use super::error::Code;

/// Why the server ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseReason {
    /// The client does not speak this protocol.
    BadProtocol,
    /// The token is missing or not accepted.
    Unauthorized,
    /// The token has expired.
    TokenExpired,
    /// The user has begun more sessions on the node than `limits.sessions_per_user_here` allows.
    TooManySessions,
    /// The node is over its bounds.
    Overloaded,
    /// The client sends far more than it may, and goes on after refusals.
    RateAbuse,
    /// The client does not read what it is sent.
    SlowConsumer,
    /// No `hello` came in time.
    HelloTimeout,
    /// The node is being stopped.
    Draining,
    /// The client was silent for too long.
    PongMissing,
}

impl CloseReason {
    /// Why a session ends whose `hello` is refused with this code.
    pub const fn of_refused_hello(code: Code) -> Self {
        match code {
            Code::TokenExpired => Self::TokenExpired,
            _ => Self::Unauthorized,
        }
    }

    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::BadProtocol => 4000,
            Self::Unauthorized => 4001,
            Self::TokenExpired => 4002,
            Self::TooManySessions => 4004,
            Self::Overloaded => 4100,
            Self::RateAbuse => 4101,
            Self::SlowConsumer => 4102,
            Self::HelloTimeout => 4103,
            Self::Draining => 4200,
            Self::PongMissing => 4201,
        }
    }

    /// The close frame.
    pub fn frame(self) -> crate::socket::CloseFrame {
        crate::socket::CloseFrame::new(self.code(), self.reason())
    }

    /// The reason on the wire.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BadProtocol => "bad protocol",
            Self::Unauthorized => "unauthorized",
            Self::TokenExpired => "token expired",
            Self::TooManySessions => "too many sessions: limits.sessions_per_user_here",
            Self::Overloaded => "overloaded",
            Self::RateAbuse => "rate abuse",
            Self::SlowConsumer => "slow consumer",
            Self::HelloTimeout => "hello timeout",
            Self::Draining => "draining",
            Self::PongMissing => "pong missing",
        }
    }
}
