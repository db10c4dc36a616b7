//! Messages put aside for a person to look at: why, and who hears of it how soon. Most can wait for a report. A press for help that
//! was refused cannot: the refusal stays, because nobody may talk the server into an alert, and somebody rings her.

use chrono::{DateTime, TimeDelta, Utc};

use crate::words;

words! {
    /// Why a message was put aside.
    pub enum Reason {
        /// Its topic belongs to no device in use.
        UnknownDevice = "unknown_device",
        /// The sender may not publish there.
        ForeignTopic = "foreign_topic",
        /// More than one gateway could have sent it.
        SeveralGateways = "several_gateways",
        /// The device was removed while the message was on its way.
        Removed = "removed",
        TooLarge = "too_large",
        Unreadable = "unreadable",
        /// Newer firmware than this server knows.
        Version = "version",
        /// No key of the device made its signature.
        Forged = "forged",
        /// Signed with a key of the device that is no longer valid.
        OldKey = "old_key",
        /// Numbered like one that was handled: a replay, or a device that lost its memory.
        Replay = "replay",
        /// A press that was marked to be kept: nobody knows when it happened.
        Kept = "kept",
        /// A press on a button that is bound to nobody.
        Unbound = "unbound",
        /// The server could not store it.
        Broken = "broken"
    }
}

impl Reason {
    /// The sentence for people.
    pub fn key(self) -> &'static str {
        match self {
            Self::UnknownDevice => "device.aside_unknown_device",
            Self::ForeignTopic => "device.aside_foreign_topic",
            Self::SeveralGateways => "device.aside_several_gateways",
            Self::Removed => "device.aside_removed",
            Self::TooLarge => "device.aside_too_large",
            Self::Unreadable => "device.aside_unreadable",
            Self::Version => "device.aside_version",
            Self::Forged => "device.aside_forged",
            Self::OldKey => "device.aside_old_key",
            Self::Replay => "device.aside_replay",
            Self::Kept => "device.aside_kept",
            Self::Unbound => "device.aside_unbound",
            Self::Broken => "device.aside_broken",
        }
    }
}

/// How well it is known who sent a message that was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A key of the device signed it, valid or not any more.
    Signed,
    /// It came by the device's own password.
    OwnPassword,
    /// By a broker, unsigned: anybody there may have sent it.
    None,
}

/// Whether a press in a message put aside is worth a phone call. What anybody can send is not: whoever could make a street's
/// phones ring at will would make people stop listening. Where the fault is ours, anybody's word is enough.
pub fn is_worth_a_call(proof: Proof, reason: Reason) -> bool {
    proof != Proof::None || reason == Reason::Broken
}

/// From the first message put aside to the report: what begins together is told together.
const BUNDLE: TimeDelta = TimeDelta::minutes(10);

/// When the report about devices is due of which nobody has been told today; `first_at` is the oldest message of them.
pub fn report_at(first_at: DateTime<Utc>) -> DateTime<Utc> {
    first_at + BUNDLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_worth_a_call_if_the_device_can_have_sent_it() {
        for (proof, reason, expected) in [
            (Proof::Signed, Reason::Replay, true),
            (Proof::Signed, Reason::OldKey, true),
            (Proof::OwnPassword, Reason::Forged, true),
            (Proof::None, Reason::Forged, false),
            (Proof::None, Reason::Unreadable, false),
            (Proof::None, Reason::Broken, true),
        ] {
            assert_eq!(is_worth_a_call(proof, reason), expected, "{proof:?} {reason}");
        }
    }
}
