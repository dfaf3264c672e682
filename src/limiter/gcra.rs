//! The generic cell rate algorithm: one stored time per limit.
//!
//! A limit of a burst and a rate is kept as its *theoretical arrival time* (TAT). That is when
//! everything that was let in would have come at the rate alone. A call may run ahead of the clock
//! by the tolerance, the time of the burst. Times are whole ticks of any unit; the caller keeps to
//! one.

/// How much further ahead than the tolerance a stored time may be, in microseconds. More is not
/// usage but a clock that stepped back, or garbage. The burst then counts as used up, and nothing
/// beyond.
pub(super) const WINDOW_MICROS: u64 = 1_000_000;

/// A burst and a rate, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: u64,
    tolerance: u64,
}

/// What a limit decides about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It fits.
    Fits {
        /// The TAT once it is charged.
        tat: u64,
        /// How many calls of cost 1 would fit after it.
        remaining: u64,
    },
    /// It does not fit.
    Over {
        /// In how many ticks it would fit.
        retry: u64,
    },
    /// It never fits: it costs more than the burst.
    Never,
}

impl Rate {
    /// Makes a rate in ticks of a microsecond. `burst` and `per_s` are at least 1. The time between
    /// two calls is rounded up.
    pub const fn micros(burst: u32, per_s: u32) -> Self {
        Self::of(burst, 1_000_000_u64.div_ceil(per_s as u64))
    }

    /// Makes a rate in ticks of a nanosecond, for rates above one call per microsecond.
    pub const fn nanos(burst: u32, per_s: u32) -> Self {
        Self::of(burst, 1_000_000_000_u64.div_ceil(per_s as u64))
    }

    const fn of(burst: u32, interval: u64) -> Self {
        Self { interval, tolerance: burst as u64 * interval }
    }

    /// Returns the share of one among many, so that all of them together keep to the limit. At
    /// least `cost` stays possible at once, so a call is never refused for good because there are
    /// many.
    #[must_use]
    pub(super) fn shared(self, among: u32, cost: u32) -> Self {
        let among = u64::from(among.max(1));
        let interval = self.interval * among;
        let burst = (self.burst() / among).max(u64::from(cost).min(self.burst()));
        Self { interval, tolerance: burst * interval }
    }

    /// Ticks between two calls at the rate.
    pub(super) const fn interval(self) -> u64 {
        self.interval
    }

    /// Ticks that a TAT may be ahead.
    pub(super) const fn tolerance(self) -> u64 {
        self.tolerance
    }

    /// Calls at once.
    pub(super) const fn burst(self) -> u64 {
        self.tolerance / self.interval
    }

    /// The ticks that a cost takes.
    pub(super) const fn ticks(self, cost: u32) -> u64 {
        self.interval * cost as u64
    }

    /// Returns a stored TAT as it counts at `now`, in microseconds.
    pub(super) const fn healed(self, stored: u64, now: u64) -> u64 {
        let full = now + self.tolerance;
        if stored > full + WINDOW_MICROS { full } else { stored }
    }

    /// Checks a call.
    pub(super) fn check(self, stored: u64, now: u64, cost: u32) -> Check {
        let ticks = self.ticks(cost);
        if ticks > self.tolerance {
            return Check::Never;
        }
        let (tat, bound) = (stored.max(now) + ticks, now + self.tolerance);
        if tat > bound {
            return Check::Over { retry: tat - bound };
        }
        Check::Fits { tat, remaining: (bound - tat) / self.interval }
    }

    /// Returns the TAT after an unconditional charge. It is at most the time of the burst and
    /// `debt` ticks ahead.
    pub(super) fn charged(self, stored: u64, now: u64, cost: u32, debt: u64) -> u64 {
        (stored.max(now) + self.ticks(cost)).min(now + self.tolerance + debt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow exact model: a bucket of `burst` tokens that refills by one token per interval. It
    /// is kept in ticks' worth of tokens and walked tick by tick.
    struct Bucket {
        interval: u64,
        full: u64,
        held: u64,
        at: u64,
    }

    impl Bucket {
        fn new(burst: u32, interval: u64) -> Self {
            let full = u64::from(burst) * interval;
            Self { interval, full, held: full, at: 0 }
        }

        fn walk_to(&mut self, now: u64) {
            while self.at < now {
                self.at += 1;
                self.held = (self.held + 1).min(self.full);
            }
        }

        fn take(&mut self, cost: u32) -> bool {
            let wanted = u64::from(cost) * self.interval;
            let fits = wanted <= self.held;
            self.held -= if fits { wanted } else { 0 };
            fits
        }

        /// Walks until a cost fits. Returns how far that was.
        fn wait_for(&mut self, cost: u32) -> u64 {
            let (from, wanted) = (self.at, u64::from(cost) * self.interval);
            while self.held < wanted {
                self.walk_to(self.at + 1);
            }
            self.at - from
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_bucket_that_is_walked_tick_by_tick(
            burst in 1..6_u32,
            interval in 1..20_u64,
            calls in prop::collection::vec((0..40_u64, 1..8_u32), 1..60),
        ) {
            let rate = Rate::of(burst, interval);
            let mut bucket = Bucket::new(burst, interval);
            let (mut tat, mut now) = (0, 0);
            for (later, cost) in calls {
                now += later;
                bucket.walk_to(now);
                match rate.check(tat, now, cost) {
                    Check::Fits { tat: next, remaining } => {
                        prop_assert!(bucket.take(cost));
                        prop_assert_eq!(remaining, bucket.held / interval);
                        tat = next;
                    }
                    Check::Over { retry } => {
                        prop_assert!(!bucket.take(cost));
                        prop_assert_eq!(retry, bucket.wait_for(cost));
                        now += retry;
                        let fits = matches!(rate.check(tat, now, cost), Check::Fits { .. });
                        prop_assert!(fits, "a user who waited is let in");
                        let early = rate.check(tat, now - 1, cost);
                        prop_assert_eq!(early, Check::Over { retry: 1 }, "and no earlier");
                    }
                    Check::Never => prop_assert!(u64::from(cost) * interval > bucket.full),
                }
            }
        }

        #[test]
        fn no_window_lets_in_more_than_the_burst_and_its_time(
            burst in 1..50_u32,
            per_s in 1..10_000_u32,
            calls in prop::collection::vec(0..300_000_u64, 1..200),
        ) {
            let rate = Rate::micros(burst, per_s);
            let (mut tat, mut now) = (0, 0);
            let mut taken = Vec::new();
            for later in calls {
                now += later;
                if let Check::Fits { tat: next, .. } = rate.check(tat, now, 1) {
                    tat = next;
                    taken.push(now);
                }
            }
            for (index, from) in taken.iter().enumerate() {
                for (count, to) in taken[index..].iter().enumerate() {
                    let most = u64::from(burst) + (to - from) * u64::from(per_s) / 1_000_000;
                    prop_assert!(count as u64 <= most, "{} in {} us", count + 1, to - from);
                }
            }
        }

        #[test]
        fn shares_together_keep_to_the_limit(burst in 1..500_u32, per_s in 1..1000_u32, among in 0..40_u32) {
            let (whole, share) = (Rate::micros(burst, per_s), Rate::micros(burst, per_s).shared(among, 1));
            prop_assert_eq!(share.interval(), whole.interval() * u64::from(among.max(1)));
            prop_assert!(share.burst() == 1 || share.burst() * u64::from(among) <= u64::from(burst.max(among)));
            prop_assert!(share.burst() >= 1);
        }
    }

    #[test]
    fn a_burst_goes_through_to_its_last_call() {
        for (burst, per_s) in [(1, 1), (3, 3), (200, 50), (7, 9999), (8600, 1)] {
            let rate = Rate::micros(burst, per_s);
            let mut tat = 0;
            for left in (0..burst).rev() {
                let Check::Fits { tat: next, remaining } = rate.check(tat, 1000, 1) else {
                    panic!("{left} of {burst} are left")
                };
                assert_eq!(remaining, u64::from(left));
                tat = next;
            }
            assert!(matches!(rate.check(tat, 1000, 1), Check::Over { .. }));
            assert_eq!(rate.check(tat, 1000, burst + 1), Check::Never);
        }
    }

    #[test]
    fn a_time_too_far_ahead_is_a_burst_that_is_used_up() {
        let rate = Rate::micros(10, 10);
        let now = 5_000_000;
        let full = now + rate.tolerance();
        assert_eq!(rate.healed(full + WINDOW_MICROS, now), full + WINDOW_MICROS, "a small step");
        for stored in [full + WINDOW_MICROS + 1, u64::MAX / 2] {
            let healed = rate.healed(stored, now);
            assert_eq!(rate.check(healed, now, 1), Check::Over { retry: rate.interval() });
        }
    }

    #[test]
    fn what_happened_is_charged_whatever_the_limit_says() {
        let rate = Rate::micros(2, 1);
        let mut tat = 0;
        for _ in 0..1000 {
            tat = rate.charged(tat, 100, 1, 5_000_000);
        }
        assert_eq!(tat, 100 + rate.tolerance() + 5_000_000);
        assert_eq!(rate.charged(tat, 200, 0, 5_000_000), tat, "time pays it back");
    }
}
