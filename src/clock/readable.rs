//! Durations as people write them.

use std::fmt;
use std::time::Duration;

/// From here on milliseconds do not matter to a reader.
const WHOLE_SECONDS: Duration = Duration::from_secs(10);

/// From here on seconds do not matter to a reader.
const WHOLE_MINUTES: Duration = Duration::from_mins(10);

/// A duration in a log line or an error: `300 ms`, `3 s`, `12 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable(pub Duration);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.as_millis());
        if self.0 >= WHOLE_MINUTES {
            write!(f, "{} min", seconds / 60)
        } else if self.0 >= WHOLE_SECONDS || (seconds > 0 && millis.is_multiple_of(1000)) {
            write!(f, "{seconds} s")
        } else {
            write!(f, "{millis} ms")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_one_unit() {
        for (millis, told) in [
            (0, "0 ms"),
            (300, "300 ms"),
            (1500, "1500 ms"),
            (3000, "3 s"),
            (31_400, "31 s"),
            (599_000, "599 s"),
            (3_600_000, "60 min"),
        ] {
            assert_eq!(Readable(Duration::from_millis(millis)).to_string(), told);
        }
    }
}
