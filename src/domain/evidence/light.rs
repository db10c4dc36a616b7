//! What light says (sensors.md §4). A curtain that opens by day makes a step; a lamp makes one at night, dawn makes a ramp. Too
//! little light says nothing at all: an overcast morning, a window to the north and a polar winter look like a closed curtain.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::level::wait;
use super::{Class, Deed, DeviceState, Fact, Rejection, SensorRules, Silent, Verdict, silent, sun};

/// Up to this height, in degrees, every light is a lamp; what is seen then teaches how bright the lamps are.
const NIGHT_DEGREES: f64 = -4.0;
/// From this height on daylight can make a step.
const DAY_DEGREES: f64 = 0.0;
/// A step is at least so many times brighter than before. Dawn behind a closed curtain makes less than 2 in five minutes.
const STEP_TIMES: u32 = 5;
/// And at least so bright, in hundredths of a lux.
const STEP_CENTILUX_MIN: u32 = 2_000;
const STEP_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// Sensors that report every five minutes: two reports in a row are looked at over so long, in which dawn makes less than 4.
const REPORTS_APART_MAX: TimeDelta = TimeDelta::minutes(10);
/// A contact and light that change within this time have the same cause.
const TOGETHER: TimeDelta = TimeDelta::minutes(2);
/// A bad lamp flickers: one hint for each time it begins, and one more if it turns out to be more certain.
const STILL_MIN: TimeDelta = TimeDelta::minutes(10);
/// After a step the curtain counts as open until it is darker than so many per cent of what the step reached, for so long: a cloud or
/// somebody before the window is shorter, and the sun behind it makes the same step again. What is learnt of a clear sky is left out:
/// the step itself says how bright this window is on that day.
const DIM_PERCENT: u64 = 40;
const DIM_MIN: TimeDelta = TimeDelta::minutes(20);
/// A sensor that speaks only when somebody moves says nothing of the evening; the next morning begins anew all the same.
const LIT_MAX: TimeDelta = TimeDelta::hours(12);
/// Readings of the last minute that are kept.
const LIGHTS_MAX: usize = 8;

/// What lamps reach until enough nights are known, in hundredths of a lux.
const LAMP_CENTILUX: u32 = 30_000;
const NIGHTS_MIN: u8 = 14;
/// Upper ends of the steps in which lamplight is counted, in hundredths of a lux; brighter light falls into one more.
const STEPS: [u32; 15] = [100, 200, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000, 200_000];
/// When so many are counted all are halved, so that the last fortnights weigh most and a chatty sensor fits in a row.
const COUNTED_MAX: u32 = 4_000;

/// Readings of the last minutes, the latest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lights(Vec<(DateTime<Utc>, u32)>);

impl Lights {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How dark it was shortly before: the darkest of the last minute, or the report before this one.
    fn before(&self, at: DateTime<Utc>) -> Option<u32> {
        let lately = self.0.iter().filter(|(then, _)| at - *then <= STEP_WITHIN).map(|(_, centilux)| *centilux).min();
        let last = self.0.last().filter(|(then, _)| at - *then <= REPORTS_APART_MAX).map(|(_, centilux)| *centilux);
        lately.into_iter().chain(last).min()
    }

    fn keep(&mut self, at: DateTime<Utc>, centilux: u32) {
        if self.0.len() == LIGHTS_MAX {
            self.0.remove(0);
        }
        self.0.push((at, centilux));
    }
}

/// A curtain that a step of light has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lit {
    at: DateTime<Utc>,
    centilux: u32,
    certain: bool,
    /// Since when it is dim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dim_since: Option<DateTime<Utc>>,
}

impl Lit {
    fn see(&mut self, at: DateTime<Utc>, centilux: u32) {
        let is_dim = u64::from(centilux) * 100 < u64::from(self.centilux) * DIM_PERCENT;
        self.dim_since = if is_dim { self.dim_since.or(Some(at)) } else { None };
    }

    /// Whether a step at that time opens what is open already.
    fn is_open(self, at: DateTime<Utc>) -> bool {
        at - self.at < LIT_MAX && self.dim_since.is_none_or(|since| at - since < DIM_MIN)
    }
}

/// How bright it is at night in this room: what lamps can do. A histogram, so that its size never grows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nights {
    /// Readings per step of [`STEPS`], and above.
    counts: Vec<u32>,
    /// Nights of which something is known, up to the number that is needed.
    known: u8,
    last: Option<NaiveDate>,
}

impl Nights {
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// A reading in the night that ends on this date.
    pub fn learn(&mut self, night: NaiveDate, centilux: u32) {
        self.counts.resize(STEPS.len() + 1, 0);
        if self.last != Some(night) {
            self.last = Some(night);
            self.known = (self.known + 1).min(NIGHTS_MIN);
        }
        let step = STEPS.partition_point(|end| *end < centilux);
        self.counts[step] += 1;
        if self.counts.iter().sum::<u32>() >= COUNTED_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// What 95 of 100 readings of night stay below, in hundredths of a lux.
    pub fn lamp_ceiling(&self) -> u32 {
        if self.known < NIGHTS_MIN {
            return LAMP_CENTILUX;
        }
        let all: u32 = self.counts.iter().sum();
        let mut below = 0;
        for (count, end) in self.counts.iter().zip(STEPS) {
            below += count;
            if u64::from(below) * 100 >= u64::from(all) * 95 {
                return end;
            }
        }
        // Somebody has floodlights: no light here is certain.
        u32::MAX
    }
}

/// A reading.
pub(super) fn read(state: &mut DeviceState, centilux: u32, fact: &Fact, rules: &SensorRules) -> Vec<Verdict> {
    if let Some(why) = not_now(state, fact, rules) {
        return vec![Verdict::Baseline(why)];
    }
    match state.memory.lights.0.last() {
        Some((last, _)) if fact.observed_at < *last => return vec![Verdict::Rejected(Rejection::OutOfOrder)],
        // A gateway repeats what it heard long ago as if it were new: the same value is not a later reading.
        Some((_, last)) if fact.cached && *last == centilux => return vec![Verdict::Unchanged],
        _ => {}
    }
    let before = state.memory.lights.before(fact.observed_at);
    let verdicts = if let Some(before) = before {
        step(state, (before, centilux), fact, rules)
    } else {
        height(state, fact, centilux);
        vec![Verdict::Baseline(Silent::FirstLevel)]
    };
    if matches!(verdicts[..], [Verdict::Evidence { .. } | Verdict::Settling { .. }, ..]) {
        // The step was told: what follows is measured from here.
        state.memory.lights = Lights::default();
    }
    if let Some(lit) = &mut state.memory.lit {
        lit.see(fact.observed_at, centilux);
    }
    state.memory.lights.keep(fact.observed_at, centilux);
    verdicts
}

/// A step that the device itself has seen within a minute.
pub(super) fn jump(state: &mut DeviceState, change: (u32, u32), fact: &Fact, rules: &SensorRules) -> Vec<Verdict> {
    not_now(state, fact, rules).map_or_else(|| step(state, change, fact, rules), |why| vec![Verdict::Baseline(why)])
}

/// True if the two happened by one cause.
pub(super) fn together(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    (one - other).abs() <= TOGETHER
}

/// The height of the sun at that moment; at night the reading teaches what lamps can do.
fn height(state: &mut DeviceState, fact: &Fact, centilux: u32) -> Option<f64> {
    let place = state.place?;
    let degrees = sun::elevation(place, fact.observed_at)?;
    if degrees <= NIGHT_DEGREES {
        // A night belongs to the day that it leads to.
        let night = (fact.observed_at.with_timezone(&place.zone).naive_local() + TimeDelta::hours(12)).date();
        state.memory.nights.learn(night, centilux);
    }
    Some(degrees)
}

fn step(state: &mut DeviceState, (before, after): (u32, u32), fact: &Fact, rules: &SensorRules) -> Vec<Verdict> {
    let by_day = height(state, fact, after).is_some_and(|degrees| degrees > DAY_DEGREES);
    if !by_day || after < STEP_CENTILUX_MIN || after < before.saturating_mul(STEP_TIMES) {
        return vec![Verdict::Moved];
    }
    let certain = u64::from(after) * 2 > u64::from(state.memory.nights.lamp_ceiling()) * 3;
    let told = state.memory.stepped.is_some_and(|(at, certainly)| fact.observed_at - at < STILL_MIN && (certainly || !certain));
    if told {
        return vec![Verdict::Moved];
    }
    state.memory.stepped = Some((fact.observed_at, certain));
    let was_open = state.memory.lit.is_some_and(|lit| lit.is_open(fact.observed_at) && (lit.certain || !certain));
    if !was_open {
        state.memory.lit = Some(Lit { at: fact.observed_at, centilux: after, certain, dim_since: None });
    }
    let changed = |class| {
        let told = Verdict::Evidence { class, deed: Deed::LightChanged, observed_at: fact.observed_at, key: fact.key };
        vec![if was_open { Verdict::Moved } else { told }]
    };
    if !certain {
        return changed(Class::C);
    }
    state.memory.brightened_at = Some(fact.observed_at);
    // Native devices date both themselves. The contact alone had been shut too briefly to say anything; now two senses agree.
    let uncovered = state.memory.uncovered_at.is_some_and(|at| together(at, fact.observed_at));
    if uncovered && !fact.cached && state.opening.is_none() {
        state.memory.uncovered_at = None;
        return vec![wait(state, fact, None, rules)];
    }
    changed(Class::B)
}

/// Light is dated by the sun, so it must be known when it was.
fn not_now(state: &DeviceState, fact: &Fact, rules: &SensorRules) -> Option<Silent> {
    silent(state, fact, rules).or((!fact.time_certain).then_some(Silent::WaitedSomewhere))
}

#[cfg(test)]
mod tests;
