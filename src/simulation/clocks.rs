//! A node's clocks, both of them wrong within their bounds.

use super::queue::{SECOND, Time};
use super::rng::Rng;
use crate::clock::UNCERTAINTY_MAX;
use crate::domain::{ClockReading, Micros, MonotonicTime};

/// True time zero, as a right wall clock shows it.
pub const EPOCH: u64 = 1_800_000_000 * SECOND;

/// How far a wall clock may be off, in microseconds: the bound of the watermark.
const OFF_MAX: i64 = 5_000_000;

/// The largest error in speed of a monotonic clock, in parts of a thousand.
const RATE_OFF: u64 = 10;

/// Largest width of the interval that a node keeps around the true time.
const WIDTH_MAX: i64 = UNCERTAINTY_MAX.as_micros() as i64;

/// A node's clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// How far the wall clock was off at `since`. With an interval it is the upper end.
    pub offset: i64,
    /// How far the lower end of the interval is behind. None where there is no interval, and the
    /// wall clock may show any time.
    behind: Option<i64>,
    /// Microseconds that it gains per second.
    drift: i64,
    since: Time,
    /// The monotonic clock's speed in parts of a thousand.
    rate: u64,
    /// What it shows at true time zero.
    base: u64,
}

impl Clocks {
    /// Clocks that are right.
    pub const fn exact() -> Self {
        Self { offset: 0, behind: Some(0), drift: 0, since: 0, rate: 1000, base: SECOND }
    }

    /// Clocks with random errors.
    pub fn draw(rng: &mut Rng, now: Time) -> Self {
        let rate = if rng.chance(500) { 1000 } else { rng.range(1000 - RATE_OFF, 1001 + RATE_OFF) };
        let drift = if rng.chance(700) { 0 } else { rng.below(20_000) as i64 - 10_000 };
        let base = rng.below(1000) * SECOND;
        Self { offset: draw_offset(rng), behind: None, drift, since: now, rate, base }
    }

    /// Clocks with the largest allowed errors, which stay.
    pub fn extreme(rng: &mut Rng, now: Time) -> Self {
        let offset = if rng.chance(500) { OFF_MAX } else { -OFF_MAX };
        let rate = [1000 - RATE_OFF, 1000, 1000 + RATE_OFF][rng.below(3) as usize];
        Self { offset, behind: None, drift: 0, since: now, rate, base: SECOND }
    }

    /// Clocks that know an interval that contains the true time. Its ends are random, or as far out
    /// as they may be.
    pub fn around_the_truth(rng: &mut Rng, now: Time, extreme: bool) -> Self {
        let mut clocks = Self::draw(rng, now);
        clocks.drift = 0;
        clocks.draw_interval(rng, extreme);
        clocks
    }

    fn draw_interval(&mut self, rng: &mut Rng, extreme: bool) {
        let width = if extreme { WIDTH_MAX } else { rng.below(WIDTH_MAX as u64 + 1) as i64 };
        let width = [width, width, width / 100][rng.below(3) as usize];
        let ahead = match rng.below(3) {
            0 => 0,
            1 => width,
            _ => rng.below(width as u64 + 1) as i64,
        };
        (self.offset, self.behind) = (ahead, Some(width - ahead));
    }

    /// Makes the wall clock step.
    pub fn step(&mut self, rng: &mut Rng, now: Time) {
        if self.is_interval() {
            return self.draw_interval(rng, false);
        }
        (self.offset, self.since) = (draw_offset(rng), now);
    }

    /// Sets the wall clock off by `offset`, regardless of what was known of it.
    pub const fn set_off(&mut self, offset: i64) {
        (self.offset, self.behind) = (offset, None);
    }

    /// Whether the wall clock is the upper end of an interval that contains the true time.
    pub const fn is_interval(&self) -> bool {
        self.behind.is_some()
    }

    /// The lower end of the interval; the wall clock where there is none.
    pub fn lower(&self, now: Time) -> Micros {
        let behind = |behind: i64| Micros((EPOCH + now).saturating_add_signed(-behind));
        self.behind.map_or(self.wall(now), behind).min(self.wall(now))
    }

    /// The wall clock.
    pub fn wall(&self, now: Time) -> Micros {
        let drifted = self.drift * (now.saturating_sub(self.since) / SECOND) as i64;
        // A script may have set it further off than it drifts.
        let bound = OFF_MAX.max(self.offset.abs());
        let offset = (self.offset + drifted).clamp(-bound, bound);
        Micros((EPOCH + now).saturating_add_signed(offset))
    }

    /// The monotonic clock.
    pub const fn moment(&self, now: Time) -> MonotonicTime {
        MonotonicTime(self.base + now * self.rate / 1000)
    }

    /// Both.
    pub fn now(&self, now: Time) -> ClockReading {
        ClockReading { wall: self.wall(now), moment: self.moment(now) }
    }
}

fn draw_offset(rng: &mut Rng) -> i64 {
    match rng.below(4) {
        0 => OFF_MAX,
        1 => -OFF_MAX,
        _ => rng.below(2 * OFF_MAX as u64) as i64 - OFF_MAX,
    }
}
