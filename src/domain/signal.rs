//! One observation and what it means for one check.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::words;

words! {
    /// Facts, not judgements: what was seen or heard.
    pub enum SignalKind {
        Open = "open", Closed = "closed", Smile = "smile", Cry = "cry", BagOut = "bag_out", FlagOut = "flag_out",
        NoSign = "no_sign", NotVisible = "not_visible", SeenInPerson = "seen_in_person",
        SpokeWithPerson = "spoke_with_person", NoAnswer = "no_answer", FamilyConfirms = "family_confirms",
        SelfReport = "self_report", Help = "help", Activity = "activity"
    }
}

words! {
    /// The agreed sign of a slot. `report` is a senior who agreed to write or phone in by herself.
    pub enum Sign { Open = "open", Closed = "closed", Card = "card", Bag = "bag", Flag = "flag", Report = "report" }
}

impl Sign {
    /// The signal by which this sign is seen.
    pub fn shown_by(self) -> SignalKind {
        match self {
            Self::Open => SignalKind::Open,
            Self::Closed => SignalKind::Closed,
            Self::Card => SignalKind::Smile,
            Self::Bag => SignalKind::BagOut,
            Self::Flag => SignalKind::FlagOut,
            Self::Report => SignalKind::SelfReport,
        }
    }
}

words! {
    /// How a signal came in. A sheet is paper typed in later.
    pub enum Source { Member = "member", Sheet = "sheet", Device = "device" }
}

words! {
    /// Whether a stored signal may decide anything.
    pub enum Standing {
        Accepted = "accepted",
        /// Observed in the future beyond the tolerated skew: kept, decides nothing (I7).
        ClockSuspect = "clock_suspect",
        /// Older than the look-back: history only.
        TooOld = "too_old",
        Quarantined = "quarantined"
    }
}

words! {
    /// A is sufficient by itself where the agreement says so; B and C only show on the list.
    pub enum Evidence { A = "A", B = "B", C = "C" }
}

words! {
    /// How far a sensor may speak for a senior.
    pub enum SensorPolicy { Sufficient = "sufficient", Assist = "assist", None = "none" }
}

/// A committed signal as far as decisions ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalFact {
    pub id: Uuid,
    pub kind: SignalKind,
    pub observed_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub source: Source,
    pub evidence: Option<Evidence>,
    pub standing: Standing,
    pub replaces: Option<Uuid>,
}

/// What a signal says about an agreed sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polarity {
    Matches,
    Contradicts,
    Urgent,
    Blind,
    None,
}

impl SignalFact {
    pub fn is_human(&self) -> bool {
        self.source != Source::Device
    }

    /// Polarity for a slot. Sight or voice of the person always matches; a sensor never contradicts, because silence or a
    /// shut contact is a thing and not a person.
    pub fn polarity(&self, sign: Sign, policy: SensorPolicy) -> Polarity {
        if !self.is_human() {
            return self.sensor_polarity(sign, policy);
        }
        match self.kind {
            SignalKind::SeenInPerson | SignalKind::SpokeWithPerson => Polarity::Matches,
            SignalKind::Help | SignalKind::Cry => Polarity::Urgent,
            SignalKind::NotVisible => Polarity::Blind,
            SignalKind::NoSign => Polarity::Contradicts,
            SignalKind::NoAnswer | SignalKind::FamilyConfirms | SignalKind::Activity => Polarity::None,
            kind if kind == sign.shown_by() => Polarity::Matches,
            SignalKind::Closed if sign == Sign::Open => Polarity::Contradicts,
            SignalKind::Open if sign == Sign::Closed => Polarity::Contradicts,
            _ => Polarity::None,
        }
    }

    fn sensor_polarity(&self, sign: Sign, policy: SensorPolicy) -> Polarity {
        match self.kind {
            SignalKind::Help => Polarity::Urgent,
            _ if policy != SensorPolicy::Sufficient || self.evidence != Some(Evidence::A) => Polarity::None,
            // A pressed "all is well" button is a person whatever the agreed sign is.
            SignalKind::Activity => Polarity::Matches,
            kind if kind == sign.shown_by() => Polarity::Matches,
            _ => Polarity::None,
        }
    }
}

/// The standing of a signal that arrives: people's clocks are trusted to `skew`, history beyond `look_back` decides nothing.
pub fn standing(observed_at: DateTime<Utc>, now: DateTime<Utc>, skew: chrono::TimeDelta, look_back: chrono::TimeDelta) -> Standing {
    if observed_at > now + skew {
        Standing::ClockSuspect
    } else if observed_at < now - look_back {
        Standing::TooOld
    } else {
        Standing::Accepted
    }
}
