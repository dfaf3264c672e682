//! The one source of chance: a seed always gives the same schedule.

/// `SplitMix64`: small, fast, and good enough to draw faults.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is below 2^32; zero if that is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() >> 32) * bound) >> 32
    }

    /// A number of a range without its upper end.
    pub const fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low)
    }

    /// True in `per_mille` cases of a thousand.
    pub const fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < per_mille as u64
    }

    /// True in `per_million` cases of a million.
    pub const fn rarely(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.below(1_000_000) < per_million as u64
    }

    /// One of the bits of a mask that is not empty.
    pub const fn bit_of(&mut self, mask: u64) -> u32 {
        let mut left = self.below(mask.count_ones() as u64);
        let mut rest = mask;
        while left > 0 {
            rest &= rest - 1;
            left -= 1;
        }
        rest.trailing_zeros()
    }
}
