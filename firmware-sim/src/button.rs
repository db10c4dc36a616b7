//! A push button: one press is told once, as short on release or as long while it is still held.

use crate::event::Press;
use crate::settings::{BUTTON_DEBOUNCE_MS, LONG_PRESS_MS};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Button {
    pressed_since_ms: Option<u64>,
    /// A held button that was already told as long says nothing more until it is let go.
    told: bool,
    /// Contacts within the debounce time after a release belong to the press before.
    quiet_until_ms: u64,
}

impl Button {
    /// A press that is complete by this edge: the moment it began, and what it was.
    pub fn edge(&mut self, now_ms: u64, pressed: bool) -> Option<(u64, Press)> {
        if pressed {
            if self.pressed_since_ms.is_none() && now_ms >= self.quiet_until_ms {
                self.pressed_since_ms = Some(now_ms);
                self.told = false;
            }
            return None;
        }
        let since = self.pressed_since_ms.take()?;
        if self.told {
            self.quiet_until_ms = now_ms.saturating_add(BUTTON_DEBOUNCE_MS);
            return None;
        }
        let held_ms = now_ms.saturating_sub(since);
        if held_ms < BUTTON_DEBOUNCE_MS {
            return None;
        }
        self.quiet_until_ms = now_ms.saturating_add(BUTTON_DEBOUNCE_MS);
        Some((since, if held_ms >= LONG_PRESS_MS { Press::Long } else { Press::Short }))
    }

    /// A press that is complete because it has lasted: nobody who lies on the floor must let go first.
    pub fn held(&mut self, now_ms: u64) -> Option<(u64, Press)> {
        let since = self.pressed_since_ms?;
        if self.told || now_ms < since.saturating_add(LONG_PRESS_MS) {
            return None;
        }
        self.told = true;
        Some((since, Press::Long))
    }

    pub fn due_ms(&self) -> Option<u64> {
        if self.told {
            return None;
        }
        self.pressed_since_ms.map(|since| since.saturating_add(LONG_PRESS_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_is_short_and_told_on_release() {
        let mut button = Button::default();
        assert_eq!(button.edge(1000, true), None);
        assert_eq!(button.held(1200), None);
        assert_eq!(button.edge(1300, false), Some((1000, Press::Short)));
    }

    #[test]
    fn a_held_button_is_told_once_without_waiting_for_release() {
        let mut button = Button::default();
        button.edge(1000, true);
        assert_eq!(button.due_ms(), Some(2500));
        assert_eq!(button.held(2500), Some((1000, Press::Long)));
        assert_eq!(button.held(90_000), None);
        assert_eq!(button.edge(99_000, false), None);
        assert_eq!(button.due_ms(), None);
    }

    #[test]
    fn the_chatter_of_one_press_is_one_press() {
        let mut button = Button::default();
        let edges = [(0, true), (3, false), (5, true), (8, false), (10, true), (400, false), (405, true), (420, false)];
        let told: Vec<_> = edges.into_iter().filter_map(|(at, pressed)| button.edge(at, pressed)).collect();
        assert_eq!(told, [(10, Press::Short)]);
    }
}
