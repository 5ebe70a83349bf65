//! Numbers that follow from a seed, the same on every machine and with every version of every library, so that a run
//! can be repeated.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014): small, and good enough to choose faults and to fill messages.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Of a seed and what the numbers are for.
    pub(crate) fn new(seed: u64, purposes: &[u64]) -> Self {
        let mut random = Self(seed);
        for purpose in purposes {
            random.0 = random.next() ^ purpose.wrapping_mul(0xff51_afd7_ed55_8ccd);
        }
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// One of `choices`, of which there is at least one.
    pub(crate) fn choose<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let at = self.below(choices.len());
        choices.get(at).expect("nobody chooses from nothing")
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.next() % (to - from).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same() {
        let mut random = Random(0);
        // From the reference implementation.
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        let mut one = Random::new(7, &[1, 2]);
        let mut same = Random::new(7, &[1, 2]);
        let mut other = Random::new(7, &[2, 1]);
        let first = one.next();
        assert_eq!(first, same.next());
        assert_ne!(first, other.next());
    }
}
