//! The log as a channel. The line holds ids only (I34); the text goes to the console of a demonstration, where all people are
//! invented, and nowhere else.

use std::io::Write;

use super::Outgoing;
use crate::domain::message::retry::{Outcome, OutcomeClass};

pub fn send(outgoing: &Outgoing, with_text: bool) -> Outcome {
    tracing::info!(message = %outgoing.message_id, call_no = outgoing.call_no, repeated = outgoing.repeated, "notice on the log channel");
    if with_text {
        // A closed console must not stop anything.
        let _ = writeln!(std::io::stdout(), "#{} {}", outgoing.call_no, String::from_utf8_lossy(&outgoing.body));
    }
    Outcome::new(OutcomeClass::Sent, "logged")
}
