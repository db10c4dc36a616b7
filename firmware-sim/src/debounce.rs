//! A switch that has settled. A reed near its magnet's edge chatters for seconds; only a level that stays counts, and it
//! is dated by the moment it began to stay.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    settled: bool,
    /// The other level, and since when it has lasted without a break.
    candidate_since_ms: Option<u64>,
}

impl Debounce {
    pub const fn new(level: bool) -> Self {
        Self { settled: level, candidate_since_ms: None }
    }

    pub const fn level(&self) -> bool {
        self.settled
    }

    /// The pin changed, or was read again.
    pub const fn edge(&mut self, now_ms: u64, level: bool) {
        if level == self.settled {
            self.candidate_since_ms = None;
        } else if self.candidate_since_ms.is_none() {
            self.candidate_since_ms = Some(now_ms);
        }
    }

    /// The moment the level changed, once it has lasted `hold_ms`; each change is told once.
    pub fn settle(&mut self, now_ms: u64, hold_ms: u64) -> Option<(u64, bool)> {
        let since = self.candidate_since_ms?;
        if now_ms < since.saturating_add(hold_ms) {
            return None;
        }
        self.candidate_since_ms = None;
        self.settled = !self.settled;
        Some((since, self.settled))
    }

    /// When [`Debounce::settle`] must be asked again.
    pub fn due_ms(&self, hold_ms: u64) -> Option<u64> {
        self.candidate_since_ms.map(|since| since.saturating_add(hold_ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_counts_from_the_moment_it_began_to_stay() {
        let mut reed = Debounce::new(false);
        reed.edge(100, true);
        reed.edge(110, false);
        reed.edge(120, true);
        assert_eq!(reed.settle(2119, 2000), None);
        assert_eq!(reed.settle(2120, 2000), Some((120, true)));
        assert_eq!(reed.settle(9000, 2000), None, "told once");
    }

    #[test]
    fn a_tug_that_falls_back_is_nothing() {
        let mut reed = Debounce::new(false);
        reed.edge(100, true);
        reed.edge(1900, false);
        assert_eq!(reed.due_ms(2000), None);
        assert_eq!(reed.settle(9000, 2000), None);
    }

    proptest! {
        /// A storm of any shape makes at most one event per quiet spell, and the levels told alternate.
        #[test]
        fn a_bounce_storm_tells_only_levels_that_stayed(gaps in proptest::collection::vec((1_u64..3000, any::<bool>()), 1..300)) {
            let (mut now, mut reed, mut told) = (0, Debounce::new(false), Vec::new());
            let (mut raw, mut raw_since) = (false, 0);
            for (gap, level) in gaps {
                now += gap;
                if let Some(change) = reed.settle(now, 2000) {
                    prop_assert_eq!(change, (raw_since, raw));
                    prop_assert!(now - raw_since >= 2000);
                    told.push(change.1);
                }
                if level != raw {
                    (raw, raw_since) = (level, now);
                }
                reed.edge(now, level);
            }
            prop_assert!(told.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(told.first().is_none_or(|first| *first));
        }
    }
}
