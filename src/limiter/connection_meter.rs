//! Limits the frames and bytes of one connection.

use super::gcra::Check;
use super::{Rate, RateLimit, RateLimited};
use crate::config::Rates;

/// The limits on frames of a connection.
#[derive(Debug, Clone, Copy)]
pub struct FrameRates {
    frames: Limit,
    bytes: Limit,
}

/// A policy in nanoseconds: at a rate of bytes, microseconds are too coarse.
#[derive(Debug, Clone, Copy)]
struct Limit {
    policy: RateLimit,
    rate: Rate,
}

impl Limit {
    const fn new(policy: RateLimit) -> Self {
        Self { policy, rate: Rate::nanos(policy.burst, policy.per_s) }
    }
}

impl FrameRates {
    /// Converts the configured rates.
    pub const fn new(rates: &Rates) -> Self {
        let frames = Limit::new(RateLimit::new("frames of a connection", rates.frames));
        let bytes = Limit::new(RateLimit::new("bytes of a connection", rates.bytes));
        Self { frames, bytes }
    }
}

/// Items of lists that count as one more frame of their connection. A ping takes 5 microseconds of
/// a worker, and an item about one. A fifth of that is for reading the item, which is paid even
/// where the user's own limit refuses it.
const ITEMS_A_FRAME: usize = 10;

/// What a connection used up. A frame that is refused is charged half. So a connection that stays
/// above twice its rate runs further and further ahead, and one that slows down comes back.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionMeter {
    frames: u64,
    bytes: u64,
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metered {
    /// Take it.
    Taken,
    /// Send the client the error.
    Refused(RateLimited),
    /// End the connection. It is ahead by twice what it may be, so it ignores the errors.
    Abuse,
}

impl ConnectionMeter {
    /// Checks a frame of `bytes` bytes. `now` is in nanoseconds of a monotonic clock.
    pub fn take(&mut self, rates: &FrameRates, now: u64, bytes: usize) -> Metered {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let FrameRates { frames: by_count, bytes: by_size } = rates;
        let count = by_count.rate.check(self.frames, now, 1);
        let size = by_size.rate.check(self.bytes, now, bytes);
        if let (Check::Fits { tat: frames, .. }, Check::Fits { tat: bytes, .. }) = (count, size) {
            *self = Self { frames, bytes };
            return Metered::Taken;
        }
        self.frames = self.frames.max(now) + by_count.rate.ticks(1) / 2;
        self.bytes = self.bytes.max(now) + by_size.rate.ticks(bytes) / 2;
        let ahead = |tat: u64, limit: &Limit| tat - now > 2 * limit.rate.tolerance();
        if ahead(self.frames, by_count) || ahead(self.bytes, by_size) {
            return Metered::Abuse;
        }
        let frames = wait(by_count, self.frames, now, 1);
        Metered::Refused(match wait(by_size, self.bytes, now, bytes) {
            Some(bytes) if Some(bytes) >= frames => told(by_size, bytes),
            _ => told(by_count, frames.unwrap_or_default()),
        })
    }

    /// Charges the items that the last accepted frame named. The next frames wait for it.
    pub fn owe_items(&mut self, rates: &FrameRates, now: u64, items: usize) {
        let frames = u32::try_from(items / ITEMS_A_FRAME).unwrap_or(u32::MAX);
        self.frames = self.frames.max(now) + rates.frames.rate.ticks(frames);
    }
}

/// Returns the nanoseconds until a cost fits; none if it fits now. A frame larger than the burst
/// waits for all of the burst; no configuration allows such a frame.
fn wait(limit: &Limit, tat: u64, now: u64, cost: u32) -> Option<u64> {
    match limit.rate.check(tat, now, cost) {
        Check::Fits { .. } => None,
        Check::Over { retry } => Some(retry),
        Check::Never => Some(limit.rate.tolerance()),
    }
}

fn told(limit: &Limit, nanos: u64) -> RateLimited {
    RateLimited::after_micros(limit.policy, nanos.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const SECOND: u64 = 1_000_000_000;

    fn rates(frame_burst: u32, frames_per_s: u32) -> FrameRates {
        let toml = format!(
            "[rates]\nframe_burst = {frame_burst}\nframes_per_s = {frames_per_s}\n\
             byte_burst = 4194304\nbytes_per_s = 1048576"
        );
        FrameRates::new(&Config::load(Some(&toml), []).unwrap().rates)
    }

    /// Sends a frame every so many nanoseconds for a time. Returns how many were taken and refused,
    /// and whether the connection was closed.
    fn drive(rates: &FrameRates, every: u64, time: u64) -> (u64, u64, bool) {
        let (mut meter, mut taken, mut refused) = (ConnectionMeter::default(), 0, 0);
        for now in (0..time).step_by(every as usize) {
            match meter.take(rates, now, 10) {
                Metered::Taken => taken += 1,
                Metered::Refused(_) => refused += 1,
                Metered::Abuse => return (taken, refused, true),
            }
        }
        (taken, refused, false)
    }

    #[test]
    fn at_its_rate_nothing_is_refused() {
        assert_eq!(drive(&rates(5, 10), SECOND / 10, 60 * SECOND), (600, 0, false));
    }

    #[test]
    fn above_it_some_are_refused_and_nobody_is_closed() {
        let (taken, refused, closed) = drive(&rates(5, 10), SECOND / 15, 60 * SECOND);
        assert!(!closed && refused > 0 && taken <= 605, "{taken} {refused}");
    }

    #[test]
    fn above_twice_of_it_the_connection_ends() {
        let (taken, refused, closed) = drive(&rates(5, 10), SECOND / 25, 60 * SECOND);
        assert!(closed && taken >= 5 && refused >= 5, "{taken} {refused}");
        let (taken, refused, closed) = drive(&rates(5, 10), 1, 100);
        assert_eq!((taken, refused, closed), (5, 10, true), "twice the burst ahead, at once");
    }

    #[test]
    fn who_waits_as_told_is_taken() {
        let (rates, mut meter, mut now) = (rates(3, 7), ConnectionMeter::default(), SECOND);
        for round in 0..50 {
            let mut last = meter.take(&rates, now, 10);
            for _ in 0..round % 3 {
                last = meter.take(&rates, now, 10);
            }
            let Metered::Refused(refused) = last else { continue };
            now += refused.retry_after.unwrap().as_nanos() as u64;
            assert_eq!(meter.take(&rates, now, 10), Metered::Taken, "round {round}");
        }
    }

    #[test]
    fn ten_items_count_as_another_frame() {
        let (rates, mut meter) = (rates(25, 1), ConnectionMeter::default());
        let mut taken = 0;
        while meter.take(&rates, SECOND, 10) == Metered::Taken {
            taken += 1;
            meter.owe_items(&rates, SECOND, 100);
        }
        assert_eq!(taken, 3, "eleven each, and a frame is let in while one is left");
        let mut meter = ConnectionMeter::default();
        let few = (0..25).all(|_| {
            meter.owe_items(&rates, SECOND, 9);
            meter.take(&rates, SECOND, 10) == Metered::Taken
        });
        assert!(few, "fewer than ten are part of their frame");
    }

    #[test]
    fn bytes_count_as_well_and_the_longer_wait_is_told() {
        let (rates, mut meter) = (rates(1000, 1000), ConnectionMeter::default());
        let megabyte = 1 << 20;
        let answers = [(); 5].map(|()| meter.take(&rates, SECOND, megabyte));
        assert_eq!(answers[..4], [Metered::Taken; 4]);
        let Metered::Refused(refused) = answers[4] else { panic!("{answers:?}") };
        assert_eq!(refused.policy.name, "bytes of a connection");
        assert!(refused.retry_after.unwrap().as_millis() >= 1400, "{refused}");
    }
}
