//! What changes in the course of a day: who walks tomorrow, whom an alert would not reach, whom nobody has seen or heard, devices,
//! and words that did not arrive. A reader sees of each what the API would show her.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::now::person;
use super::query_of;
use crate::app::App;
use crate::domain::access::Capability;
use crate::domain::device::{Bring, Care};
use crate::domain::reach::Gap;
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::pages::frame::Frame;
use crate::store::board::care::{self, Ailing, Door, Untold};
use crate::store::proof::{self, Planned};
use crate::store::register::mute::{self, MuteMember};
use crate::store::register::reach::{self, Judged, SeniorGaps};

/// Names of a list; beyond them the number says how many more.
const NAMES_MAX: usize = 12;
const UNTOLD_MAX: i64 = 10;
/// What did not arrive, or was put aside, in this time is shown.
const LATELY: TimeDelta = TimeDelta::days(1);

pub struct CarePart {
    pub at: String,
    pub query: String,
    /// Whom no message reaches: red until somebody has seen to it.
    pub mute: Vec<MuteRow>,
    pub mute_more: usize,
    pub tomorrow: String,
    pub uncovered: Vec<(String, i64)>,
    pub gaps: Vec<(String, usize)>,
    pub gap_rows: Vec<GapRow>,
    pub gap_total: usize,
    pub gap_more: usize,
    pub unheard: Vec<UnheardRow>,
    pub unheard_total: usize,
    pub unheard_more: usize,
    /// `None`: not for this reader.
    pub devices: Option<Devices>,
    pub untold: Option<UntoldList>,
    pub aside: Option<i64>,
}

pub struct MuteRow {
    pub member_id: Uuid,
    pub called: String,
    pub seniors: usize,
    pub why: String,
    /// What mends it.
    pub mend: String,
    /// Who may open the page on which it is mended.
    pub is_keeper: bool,
}

pub struct GapRow {
    pub senior_id: Uuid,
    pub who: String,
    pub what: String,
}

pub struct UnheardRow {
    pub senior_id: Uuid,
    pub who: String,
    pub last: String,
}

pub struct Devices {
    pub total: usize,
    pub counts: Vec<(String, usize)>,
    /// What stands behind one gateway is mended in one walk.
    pub groups: Vec<DeviceGroup>,
}

pub struct DeviceGroup {
    /// `None`: behind no gateway.
    pub gateway: Option<String>,
    /// What to take along, with how many need it.
    pub bring: Vec<String>,
    pub rows: Vec<DeviceRow>,
}

pub struct DeviceRow {
    pub name: String,
    pub home: Option<String>,
    pub role: String,
    pub cares: Vec<String>,
    pub seen: String,
}

pub struct UntoldList {
    pub rows: Vec<UntoldRow>,
    pub total: i64,
}

pub struct UntoldRow {
    pub alert_id: Option<Uuid>,
    pub recipient: String,
    pub at: String,
    pub what: String,
    pub why: Option<String>,
}

struct Found {
    uncovered: Vec<Planned>,
    mute: Vec<MuteMember>,
    gaps: Vec<SeniorGaps>,
    unheard: Vec<(Door, Option<DateTime<Utc>>)>,
    devices: Option<Vec<Ailing>>,
    untold: Option<Vec<Untold>>,
    aside: Option<i64>,
}

pub async fn read(app: &App, caller: &Caller, frame: &Frame, place: Option<Uuid>) -> Result<CarePart, HttpError> {
    let (now, asked) = (app.clock.now(), caller.clone());
    let tomorrow = caller.today.succ_opt().unwrap_or(caller.today);
    let found = app.read(move |mut tx| async move {
        if let Some(place) = place {
            asked.place(&mut tx, place, Capability::SeniorRead).await?;
        }
        let (who, site) = (asked.who(), asked.site_id);
        let doors = care::doors(&mut tx, &who, place).await?;
        let seen: BTreeSet<Uuid> = doors.iter().map(|door| door.senior_id).collect();
        let mut uncovered = proof::uncovered(&mut tx, site, tomorrow).await?;
        uncovered.retain(|check| seen.contains(&check.senior_id));
        let (judged, _) = reach::judge(&mut tx, site, place, asked.today).await?;
        let hers: Vec<&Judged> = judged.iter().filter(|judged| seen.contains(&judged.shown.senior_id)).collect();
        let mute = mute::among(&mut tx, site, asked.today, &hers).await?;
        let gaps = judged.into_iter().map(|judged| judged.shown).filter(|shown| !shown.gaps.is_empty() && seen.contains(&shown.senior_id));
        let gaps = gaps.collect();
        let unheard = care::unheard(&mut tx, site, &doors, asked.timezone, now).await?;
        let of_site = |capability| asked.require_site(capability).is_ok();
        let devices = if asked.may(Capability::DevicesRead) {
            Some(care::ailing(&mut tx, &who, place, of_site(Capability::DevicesRead), now).await?)
        } else {
            None
        };
        let untold = if asked.may(Capability::Notifications) {
            Some(care::untold(&mut tx, &who, place, of_site(Capability::Notifications), now - LATELY, UNTOLD_MAX).await?)
        } else {
            None
        };
        let aside = if of_site(Capability::DevicesRead) { Some(care::aside(&mut tx, site, now - LATELY).await?) } else { None };
        Ok((tx, Found { uncovered, mute, gaps, unheard, devices, untold, aside }))
    });
    let found = found.await?;
    let counts = counted(&found.gaps);
    Ok(CarePart {
        at: frame.time(&now),
        query: query_of(place),
        mute_more: found.mute.len().saturating_sub(NAMES_MAX),
        mute: found.mute.into_iter().take(NAMES_MAX).map(|one| mute_row(frame, caller, one)).collect(),
        tomorrow: frame.day(&tomorrow),
        uncovered: by_building(&found.uncovered),
        gaps: counts.into_iter().map(|(gap, count)| (frame.say(&format!("board.gap_{gap}")).to_string(), count)).collect(),
        gap_total: found.gaps.len(),
        gap_more: found.gaps.len().saturating_sub(NAMES_MAX),
        gap_rows: found.gaps.iter().take(NAMES_MAX).map(|shown| gap_row(frame, shown)).collect(),
        unheard_total: found.unheard.len(),
        unheard_more: found.unheard.len().saturating_sub(NAMES_MAX),
        unheard: found.unheard.iter().take(NAMES_MAX).map(|(door, last)| unheard_row(frame, door, last.as_ref())).collect(),
        devices: found.devices.map(|devices| shown_devices(frame, &devices)),
        untold: found.untold.map(|untold| UntoldList {
            total: untold.first().map_or(0, |first| first.total),
            rows: untold.into_iter().map(|row| untold_row(frame, row)).collect(),
        }),
        aside: found.aside,
    })
}

fn mute_row(frame: &Frame, caller: &Caller, one: MuteMember) -> MuteRow {
    MuteRow {
        member_id: one.member_id,
        called: one.called,
        seniors: one.seniors,
        why: frame.say(&format!("board.mute_{}", one.why)).to_string(),
        mend: frame.say(&format!("board.mend_{}", one.why)).to_string(),
        is_keeper: caller.require_site(Capability::MembersWrite).is_ok(),
    }
}

/// How many seniors of each building nobody walks for, in the order of the rows.
fn by_building(uncovered: &[Planned]) -> Vec<(String, i64)> {
    let mut seniors: BTreeMap<(&str, Uuid), BTreeSet<Uuid>> = BTreeMap::new();
    for check in uncovered {
        seniors.entry((&check.building, check.building_id)).or_default().insert(check.senior_id);
    }
    seniors.into_iter().map(|((name, _), seniors)| (name.to_owned(), i64::try_from(seniors.len()).unwrap_or(i64::MAX))).collect()
}

fn counted(gaps: &[SeniorGaps]) -> BTreeMap<Gap, usize> {
    let mut counts = BTreeMap::new();
    for gap in gaps.iter().flat_map(|shown| &shown.gaps) {
        *counts.entry(*gap).or_insert(0) += 1;
    }
    counts
}

fn gap_row(frame: &Frame, shown: &SeniorGaps) -> GapRow {
    let words: Vec<String> = shown.gaps.iter().map(|gap| frame.say(&format!("board.gap_{gap}")).to_string()).collect();
    GapRow {
        senior_id: shown.senior_id,
        who: person(frame, &shown.building_name, &shown.unit, &shown.called),
        what: words.join(&frame.say("board.comma").to_string()),
    }
}

fn unheard_row(frame: &Frame, door: &Door, last: Option<&DateTime<Utc>>) -> UnheardRow {
    UnheardRow {
        senior_id: door.senior_id,
        who: person(frame, &door.building, &door.unit, &door.called),
        last: last.map_or_else(
            || frame.say("board.unheard_never").to_string(),
            |at| frame.say("board.unheard_last").with("time", frame.when(at)).to_string(),
        ),
    }
}

fn to_bring(frame: &Frame, devices: &[&Ailing]) -> Vec<String> {
    let needed = |what: &Bring| devices.iter().filter(|device| device.bring.contains(what)).count();
    let said = |what: &Bring| {
        let count = needed(what);
        (count > 0).then(|| frame.say(&format!("board.bring_{what}")).with("count", count).to_string())
    };
    Bring::ALL.iter().filter_map(said).collect()
}

pub fn shown_devices(frame: &Frame, devices: &[Ailing]) -> Devices {
    let count = |care: &Care| devices.iter().filter(|device| device.care.contains(care)).count();
    let counts = Care::ALL.iter().map(|care| (frame.say(&format!("board.care_{care}")).to_string(), count(care)));
    let row = |device: &Ailing| DeviceRow {
        name: device.name.clone(),
        home: device.home.as_ref().map(|(called, building, unit)| person(frame, building, unit, called)),
        role: frame.say(&format!("board.device_{}", device.role)).to_string(),
        cares: device.care.iter().map(|care| frame.say(&format!("board.care_{care}")).to_string()).collect(),
        seen: device.last_seen_at.as_ref().map_or_else(
            || frame.say("board.device_never").to_string(),
            |at| frame.say("board.device_last").with("time", frame.when(at)).to_string(),
        ),
    };
    let mut groups: Vec<(Option<&(Uuid, String)>, Vec<&Ailing>)> = Vec::new();
    for device in devices {
        match groups.iter_mut().find(|(gateway, _)| *gateway == device.gateway.as_ref()) {
            Some((_, behind)) => behind.push(device),
            None => groups.push((device.gateway.as_ref(), vec![device])),
        }
    }
    let group = |(gateway, behind): (Option<&(Uuid, String)>, Vec<&Ailing>)| DeviceGroup {
        gateway: gateway.map(|(_, name)| name.clone()),
        bring: to_bring(frame, &behind),
        rows: behind.into_iter().map(row).collect(),
    };
    Devices {
        total: devices.len(),
        counts: counts.filter(|(_, count)| *count > 0).collect(),
        groups: groups.into_iter().map(group).collect(),
    }
}

fn untold_row(frame: &Frame, row: Untold) -> UntoldRow {
    UntoldRow {
        alert_id: row.alert_id,
        recipient: row.recipient,
        at: frame.when(&row.created_at),
        what: frame.say(&format!("board.class_{}", row.class)).to_string(),
        why: row.channel.map(|channel| frame.say(&format!("channel.name_{channel}")).to_string()),
    }
}
