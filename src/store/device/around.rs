//! Devices with the home that each looks after, and the people around them: read once per site, however many devices.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::super::{Result, Tx, plan, roster};
use crate::domain::day;
use crate::domain::notice::{Arguments, arguments};
use crate::domain::roster::Roster;

/// A device as people know it.
#[derive(Debug, Clone, FromRow)]
pub(super) struct Placed {
    pub site_id: Uuid,
    pub id: Uuid,
    pub name: String,
    pub senior_id: Option<Uuid>,
    pub called: Option<String>,
    pub unit: Option<String>,
    pub building: Option<String>,
}

/// The columns of [`Placed`] of a `device d`, and where they come from.
macro_rules! placed_columns {
    () => {
        "d.site_id, d.id, d.name, d.senior_id, s.called, h.unit, b.name as building"
    };
}
macro_rules! placed_joins {
    () => {
        "left join senior s on s.site_id = d.site_id and s.id = d.senior_id and s.ended_at is null
        left join home h on h.site_id = s.site_id and h.id = s.home_id
        left join place b on b.site_id = h.site_id and b.id = h.building_id"
    };
}
pub(super) use {placed_columns, placed_joins};

impl Placed {
    /// A gateway stands in no senior's home.
    pub fn of_gateway(site_id: Uuid, id: Uuid, name: &str) -> Self {
        Self { site_id, id, name: name.to_owned(), senior_id: None, called: None, unit: None, building: None }
    }

    /// The senior whom it looks after, and how she is named in a message.
    pub fn home(&self) -> Option<(Uuid, Arguments)> {
        let (Some(called), Some(unit), Some(building)) = (&self.called, &self.unit, &self.building) else { return None };
        Some((self.senior_id?, arguments([("senior", called), ("unit", unit), ("building", building)])))
    }
}

/// The people of one site.
pub(super) struct Around {
    pub today: NaiveDate,
    /// Offices are manned now.
    pub on_duty: bool,
    pub operators: Vec<Uuid>,
    rosters: HashMap<Uuid, Roster>,
}

impl Around {
    pub fn roster(&self, senior: Uuid) -> Option<&Roster> {
        self.rosters.get(&senior)
    }
}

/// The sites of these devices.
pub(super) async fn around(tx: &mut Tx, devices: &[&Placed], now: DateTime<Utc>) -> Result<BTreeMap<Uuid, Around>> {
    let mut by_site: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for device in devices {
        by_site.entry(device.site_id).or_default().extend(device.home().map(|(senior, _)| senior));
    }
    let mut around = BTreeMap::new();
    for (site_id, mut seniors) in by_site {
        seniors.sort_unstable();
        seniors.dedup();
        // A site that cannot be read is told by the day of the server's clock, and as if nobody sat in an office.
        let (today, on_duty) = plan::site(tx, site_id).await.map_or_else(
            |_| (now.date_naive(), false),
            |site| (day::local_date(site.zone, now), site.rules.ladder.is_on_duty(now.with_timezone(&site.zone).time())),
        );
        let rosters = if seniors.is_empty() { HashMap::new() } else { roster::load(tx, site_id, &seniors, today).await? };
        let operators = roster::operators(tx, site_id, today).await?;
        around.insert(site_id, Around { today, on_duty, operators, rosters });
    }
    Ok(around)
}
