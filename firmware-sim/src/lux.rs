//! Light that rises at once. A dawn behind a curtain doubles within minutes; a drawn curtain multiplies within seconds.
//!
//! Only the rise is told: it is the second witness of an opened curtain. Falling light proves nothing.

use heapless::Deque;

use crate::settings::{LUX_WINDOW_MS, Settings};

/// Samples remembered within the window.
const SAMPLES_MAX: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct LuxSteps {
    samples: Deque<(u64, u32), SAMPLES_MAX>,
}

impl LuxSteps {
    /// Before and after, in lux, when this sample completes a step.
    pub fn sample(&mut self, now_ms: u64, lux: u32, settings: &Settings) -> Option<(u32, u32)> {
        while self.samples.front().is_some_and(|(at, _)| now_ms.saturating_sub(*at) > LUX_WINDOW_MS) {
            self.samples.pop_front();
        }
        let before = self.samples.iter().map(|(_, lux)| *lux).min();
        let step = before
            .filter(|before| lux >= settings.lux_floor && u64::from(lux) >= u64::from((*before).max(1)) * u64::from(settings.lux_ratio));
        if step.is_some() {
            // From now on the bright room is the reference: one step is told once.
            self.samples.clear();
        }
        if self.samples.is_full() {
            self.samples.pop_front();
        }
        self.samples.push_back((now_ms, lux)).expect("a place was made");
        step.map(|before| (before, lux))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(samples: &[(u64, u32)]) -> Vec<(u32, u32)> {
        let mut lux = LuxSteps::default();
        samples.iter().filter_map(|(at, value)| lux.sample(*at, *value, &Settings::default())).collect()
    }

    #[test]
    fn an_opened_curtain_is_one_step() {
        assert_eq!(steps(&[(0, 3), (700, 640), (1400, 650), (2100, 2000)]), [(3, 640)]);
    }

    #[test]
    fn a_curtain_drawn_slowly_is_still_a_step_within_the_window() {
        assert_eq!(steps(&[(0, 10), (2000, 30), (4000, 49), (6000, 80)]), [(10, 80)]);
    }

    #[test]
    fn the_dawn_behind_a_curtain_is_no_step() {
        let dawn: Vec<(u64, u32)> = (0..40).map(|minute| (minute * 60_000, 3 + 6 * u32::try_from(minute).unwrap())).collect();
        assert_eq!(steps(&dawn), [(3, 9); 0]);
    }

    #[test]
    fn a_change_in_the_dark_is_no_step() {
        assert_eq!(steps(&[(0, 0), (700, 19)]), [(0, 19); 0]);
        assert_eq!(steps(&[(0, 0), (700, 20)]), [(0, 20)]);
    }

    #[test]
    fn two_samples_an_hour_apart_are_no_step() {
        assert_eq!(steps(&[(0, 3), (3_600_000, 640)]), [(3, 640); 0]);
    }
}
