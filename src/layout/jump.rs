//! Jump consistent hash.

/// Returns the slot of a key, of `slots`: Lamping and Veach, "A Fast, Minimal Memory, Consistent
/// Hash Algorithm" (2014). Appending a slot moves only the keys that the new slot takes.
pub fn jump(mut key: u64, slots: u32) -> u32 {
    debug_assert!(slots > 0, "a key needs at least one slot");
    let (mut slot, mut next) = (0_i64, 0_i64);
    while next < i64::from(slots) {
        slot = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let ratio = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((slot + 1) as f64 * ratio) as i64;
    }
    slot as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_values() {
        let found = [0, 1, 2, 10, 256, u64::MAX].map(|key| jump(key, 1000));
        assert_eq!(found, GOLDEN, "a change here sends every bucket to another shard");
    }

    const GOLDEN: [u32; 6] = [0, 549, 338, 751, 520, 313];

    #[test]
    fn shares_are_even() {
        let mut loads = [0u32; 10];
        (0..100_000).for_each(|key| loads[jump(key, 10) as usize] += 1);
        assert!(loads.iter().all(|load| (9_500..10_500).contains(load)), "{loads:?}");
    }

    proptest! {
        #[test]
        fn a_new_slot_only_takes(key: u64, slots in 1..200_u32) {
            let (before, after) = (jump(key, slots), jump(key, slots + 1));
            prop_assert!(before < slots);
            prop_assert!(after == before || after == slots);
        }
    }
}
