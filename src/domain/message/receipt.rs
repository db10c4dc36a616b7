//! What a provider reports after it has accepted a message: accepted is not received. A text that did not arrive goes on to the
//! person's next channel; a telephone that nobody took rings again, and then the next person is asked.

use chrono::TimeDelta;

use super::Channel;
use crate::domain::notice::RecipientKind;
use crate::words;

words! {
    pub enum ReceiptState {
        /// It is on the telephone, or in the app.
        Delivered = "delivered",
        /// Somebody took the call.
        Heard = "heard",
        /// Busy, off, no network, not taken.
        Unanswered = "unanswered",
        /// It did not arrive and will not.
        Failed = "failed"
    }
}

/// One report. `reference` is the provider's number of the message, or our short one (`c12`) where it gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub channel: Channel,
    pub reference: String,
    /// The number of the message, where the provider gives back our short one.
    pub call_no: Option<i64>,
    pub state: ReceiptState,
    /// The provider's code.
    pub detail: String,
}

/// The number of a message, if this is a short one of ours.
pub fn call_no(reference: &str) -> Option<i64> {
    reference.strip_prefix('c')?.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    None,
    /// The same telephone once more, after so long.
    Again(TimeDelta),
    /// This channel did not reach the person.
    NextChannel,
}

/// A telephone that nobody took rings twice more, that of a contact once: then her turn is over. The providers bar a number that is
/// called twice within a minute.
const CALLS_MAX: i64 = 3;
const CALLS_MAX_OF_CONTACTS: i64 = 2;
const CALL_PAUSE: TimeDelta = TimeDelta::seconds(65);

/// What follows from a report after the `calls`-th accepted attempt.
pub fn consequence(to: RecipientKind, state: ReceiptState, calls: i64) -> Consequence {
    let calls_max = if to == RecipientKind::Contact { CALLS_MAX_OF_CONTACTS } else { CALLS_MAX };
    match state {
        ReceiptState::Delivered | ReceiptState::Heard => Consequence::None,
        ReceiptState::Unanswered if calls < calls_max => Consequence::Again(CALL_PAUSE),
        ReceiptState::Unanswered | ReceiptState::Failed => Consequence::NextChannel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_rings_three_times_and_what_did_not_arrive_goes_on_at_once() {
        for (state, calls, expected) in [
            (ReceiptState::Delivered, 1, Consequence::None),
            (ReceiptState::Heard, 3, Consequence::None),
            (ReceiptState::Unanswered, 1, Consequence::Again(CALL_PAUSE)),
            (ReceiptState::Unanswered, 2, Consequence::Again(CALL_PAUSE)),
            (ReceiptState::Unanswered, 3, Consequence::NextChannel),
            (ReceiptState::Failed, 1, Consequence::NextChannel),
        ] {
            assert_eq!(consequence(RecipientKind::Member, state, calls), expected, "{state} {calls}");
        }
        let of_contact = |calls| consequence(RecipientKind::Contact, ReceiptState::Unanswered, calls);
        assert_eq!((of_contact(1), of_contact(2)), (Consequence::Again(CALL_PAUSE), Consequence::NextChannel));
        assert!(CALL_PAUSE > Channel::AliyunVoice.limits()[0].within, "the second call keeps the limit of the number");
    }

    #[test]
    fn a_reference_of_ours_is_told_from_a_providers() {
        assert_eq!(call_no("c12"), Some(12));
        assert_eq!(call_no("932702304080415357^0"), None);
        assert_eq!(call_no("c12x"), None);
    }
}
