//! Acts by which fewer things would ring than before. Whoever does one is on record, and the others concerned are told: a
//! person who silences must not be the only one who knows (reliability.md §6).

use crate::words;

words! {
    /// What was made quieter.
    pub enum Silenced {
        /// An absence was confirmed: nobody looks for some days.
        Absence = "absence",
        /// Later, longer, fewer days, or more trust in a sensor.
        Agreement = "agreement",
        /// Nobody is looked for any more.
        Ended = "ended",
        /// A sensor was taken off, ended or turned round.
        Device = "device",
        /// An alert was closed although nobody was seen or heard.
        WithoutProof = "without_proof",
        /// The times of the whole site.
        Rules = "rules",
        /// Somebody who may not silence named an outcome that would: it waits for a social worker.
        Proposed = "proposed",
        /// An alert was opened again whose closing had ended the agreement.
        StillEnded = "still_ended"
    }
}

impl Silenced {
    /// The sentence that the others concerned read.
    pub fn key(self) -> &'static str {
        match self {
            Self::Absence => "notice.silenced_absence",
            Self::Agreement => "notice.silenced_agreement",
            Self::Ended => "notice.silenced_ended",
            Self::Device => "notice.silenced_device",
            Self::WithoutProof => "notice.silenced_without_proof",
            Self::Rules => "notice.silenced_rules",
            Self::Proposed => "notice.silenced_proposed",
            Self::StillEnded => "notice.silenced_still_ended",
        }
    }
}
