//! Repeatable chance: the same seed gives the same faults on every machine and with every version of every library.

/// SplitMix64 (Steele, Lea, Flood 2014): small, well mixed, and defined by its constants alone. No use for keys.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Independent streams of one seed, so that one sensor's faults do not depend on how many others there are.
    pub const fn stream(seed: u64, index: u64) -> Self {
        let mut own = Self(seed ^ index.wrapping_mul(0xa076_1d64_78bd_642f));
        own.next();
        own
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` up to and without `high`.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        if high <= low { low } else { low + self.next() % (high - low) }
    }

    /// True once in `1 / probability` times. A probability of nothing draws nothing: switching one fault on leaves the
    /// others where they were only as far as the seed's order allows.
    pub fn happens(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        let drawn = f64::from(u32::try_from(self.next() >> 32).expect("32 bits are left"));
        drawn < probability * f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_streams_differ() {
        let draw = |mut chance: Chance| [chance.next(), chance.next()];
        assert_eq!(draw(Chance::new(0)), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
        assert_ne!(draw(Chance::stream(7, 1)), draw(Chance::stream(7, 2)));
    }

    #[test]
    fn a_probability_is_met_roughly() {
        let mut chance = Chance::new(3);
        let hits = (0..10_000).filter(|_| chance.happens(0.05)).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!chance.happens(0.0));
    }
}
