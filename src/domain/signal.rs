//! One observation and what it means for one check.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::refusal::Refusal;
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

impl Sign {
    /// What somebody reports who looked and did not see this sign; it always contradicts.
    pub fn missed_by(self) -> SignalKind {
        match self {
            Self::Open => SignalKind::Closed,
            Self::Closed => SignalKind::Open,
            Self::Card | Self::Bag | Self::Flag | Self::Report => SignalKind::NoSign,
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

/// Paper is typed in after the walk. A time that is still to come is a slip of the pen: refused, because the looks would be kept
/// as those of a suspect clock and decide nothing, and whoever typed them in would believe the opposite.
///
/// # Errors
/// For a time beyond the tolerated skew.
pub fn sheet_time(looked_at: DateTime<Utc>, now: DateTime<Utc>, skew: chrono::TimeDelta) -> Result<(), Refusal> {
    if looked_at > now + skew { Err(Refusal::invalid("looked_at", "round.sheet_future")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNS: [Sign; 6] = [Sign::Open, Sign::Closed, Sign::Card, Sign::Bag, Sign::Flag, Sign::Report];

    /// One letter per sign: matches, contradicts, urgent, blind, - for none.
    fn row(signal: &SignalFact, policy: SensorPolicy) -> String {
        let letter = |sign: &Sign| match signal.polarity(*sign, policy) {
            Polarity::Matches => 'M',
            Polarity::Contradicts => 'C',
            Polarity::Urgent => 'U',
            Polarity::Blind => 'B',
            Polarity::None => '-',
        };
        SIGNS.iter().map(letter).collect()
    }

    fn signal(kind: SignalKind, source: Source, evidence: Option<Evidence>) -> SignalFact {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let (id, standing) = (Uuid::nil(), Standing::Accepted);
        SignalFact { id, kind, observed_at: at, received_at: at, source, evidence, standing, replaces: None }
    }

    /// Kind, what a person's signal says for each of `SIGNS`, what sufficient evidence of a calibrated sensor says.
    const POLARITY: [(SignalKind, &str, &str); 15] = [
        (SignalKind::Open, "MC----", "M-----"),
        (SignalKind::Closed, "CM----", "-M----"),
        (SignalKind::Smile, "--M---", "--M---"),
        (SignalKind::Cry, "UUUUUU", "------"),
        (SignalKind::BagOut, "---M--", "---M--"),
        (SignalKind::FlagOut, "----M-", "----M-"),
        (SignalKind::NoSign, "CCCCCC", "------"),
        (SignalKind::NotVisible, "BBBBBB", "------"),
        (SignalKind::SeenInPerson, "MMMMMM", "------"),
        (SignalKind::SpokeWithPerson, "MMMMMM", "------"),
        (SignalKind::NoAnswer, "------", "------"),
        (SignalKind::FamilyConfirms, "------", "------"),
        (SignalKind::SelfReport, "-----M", "-----M"),
        (SignalKind::Help, "UUUUUU", "UUUUUU"),
        (SignalKind::Activity, "------", "MMMMMM"),
    ];

    #[test]
    fn every_kind_says_the_same_for_a_sign_whatever_room_asks() {
        assert!(SignalKind::ALL.iter().all(|kind| POLARITY.iter().any(|(known, ..)| known == kind)), "a new kind needs a row");
        for (kind, person, _) in POLARITY {
            for source in [Source::Member, Source::Sheet] {
                for policy in SensorPolicy::ALL {
                    assert_eq!(row(&signal(kind, source, None), *policy), person, "{kind} by {source} under {policy}");
                }
            }
        }
    }

    #[test]
    fn only_class_a_evidence_under_a_sufficient_policy_speaks_for_a_senior_and_only_a_button_says_not_well() {
        for (kind, _, sensor) in POLARITY {
            for evidence in [Some(Evidence::A), Some(Evidence::B), Some(Evidence::C), None] {
                for policy in SensorPolicy::ALL {
                    let button = if kind == SignalKind::Help { "UUUUUU" } else { "------" };
                    let speaks = *policy == SensorPolicy::Sufficient && evidence == Some(Evidence::A);
                    let expected = if speaks { sensor } else { button };
                    assert_eq!(row(&signal(kind, Source::Device, evidence), *policy), expected, "{kind} {evidence:?} under {policy}");
                }
            }
        }
    }

    #[test]
    fn a_clock_ahead_is_suspect_beyond_its_tolerance_and_history_decides_nothing_beyond_the_look_back() {
        let now = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(100);
        let (skew, look_back) = (chrono::TimeDelta::minutes(2), chrono::TimeDelta::days(7));
        let ms = chrono::TimeDelta::milliseconds(1);
        for (observed_at, expected) in [
            (now, Standing::Accepted),
            (now + skew, Standing::Accepted),
            (now + skew + ms, Standing::ClockSuspect),
            (now - look_back, Standing::Accepted),
            (now - look_back - ms, Standing::TooOld),
        ] {
            assert_eq!(standing(observed_at, now, skew, look_back), expected, "{observed_at}");
        }
    }

    #[test]
    fn a_sheet_is_typed_in_after_the_walk() {
        let now = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(100);
        let (skew, ms) = (chrono::TimeDelta::minutes(2), chrono::TimeDelta::milliseconds(1));
        for (looked_at, expected) in [(now - chrono::TimeDelta::days(30), true), (now, true), (now + skew, true), (now + skew + ms, false)]
        {
            assert_eq!(sheet_time(looked_at, now, skew).is_ok(), expected, "{looked_at}");
        }
    }
}
