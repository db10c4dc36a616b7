//! What can go wrong between a device and a server, each with its probability per message or per day.

use super::chance::Chance;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A message, or a receipt, is gone.
    pub loss: f64,
    /// A message arrives twice, the second time with the DUP flag.
    pub duplicate: f64,
    /// A message is overtaken by the next signed one.
    pub reorder: f64,
    /// A recorded older message is published again, byte for byte.
    pub replay: f64,
    /// The connection breaks right after a message, and the will is sent.
    pub cut: f64,
    /// Per day: the power fails and the device starts anew.
    pub restart: f64,
    /// Per day: the battery ends for good.
    pub flat: f64,
}

/// What happens to one outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Lost,
    Doubled,
    Late,
}

impl Faults {
    pub fn fate(&self, chance: &mut Chance) -> Fate {
        if chance.happens(self.loss) {
            Fate::Lost
        } else if chance.happens(self.duplicate) {
            Fate::Doubled
        } else if chance.happens(self.reorder) {
            Fate::Late
        } else {
            Fate::Sent
        }
    }
}
