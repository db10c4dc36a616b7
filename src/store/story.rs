//! What was committed since a moment, as lines of the demo's story.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Result, Tx};
use crate::domain::notice::arguments;
use crate::on;

/// One line: key and arguments of its sentence.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub key: String,
    pub arguments: BTreeMap<String, String>,
}

/// All lines since a moment, in order.
pub async fn lines(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Line>> {
    let mut lines = looks(tx, since).await?;
    lines.extend(sensors(tx, since).await?);
    lines.extend(alerts(tx, since).await?);
    lines.extend(messages(tx, since).await?);
    lines.sort_by_key(|line| (line.at, line.id));
    Ok(lines)
}

type LookRow = (Uuid, String, String, DateTime<Utc>, String, String, i64);
type SensorRow = (Uuid, DateTime<Utc>, String, String, String, String);
type EventRow = (Uuid, DateTime<Utc>, String, String, String, String, String);

/// One line per walk past a building, and one per curtain that was not open.
async fn looks(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Line>> {
    let sql = "select h.building_id, b.name, m.called, s.received_at, s.kind, sr.called, count(*)
        from signal s join senior sr on sr.site_id = s.site_id and sr.id = s.senior_id
        join home h on h.site_id = sr.site_id and h.id = sr.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        join member m on m.site_id = s.site_id and m.id = s.entered_by
        where s.received_at >= $1 and s.source = 'member'
        group by h.building_id, b.name, m.called, s.received_at, s.kind, sr.called order by s.received_at";
    let rows: Vec<LookRow> = on!(tx, |conn| sqlx::query_as(sql).bind(since).fetch_all(conn).await)?;
    let mut open: BTreeMap<(DateTime<Utc>, Uuid), (String, String, i64)> = BTreeMap::new();
    let mut lines = Vec::new();
    for (building_id, building, member, at, kind, senior, count) in rows {
        if kind == "open" {
            open.entry((at, building_id)).or_insert((building, member, 0)).2 += count;
        } else {
            let arguments = arguments([("building", building), ("member", member), ("senior", senior), ("kind", kind)]);
            lines.push(Line { id: building_id, at, key: "demo.look_other".to_owned(), arguments });
        }
    }
    for ((at, id), (building, member, count)) in open {
        let arguments = arguments([("building", building), ("member", member), ("count", count.to_string())]);
        lines.push(Line { id, at, key: "demo.look_open".to_owned(), arguments });
    }
    Ok(lines)
}

async fn sensors(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Line>> {
    let sql = "select s.id, s.received_at, s.kind, b.name, h.unit, sr.called
        from signal s join senior sr on sr.site_id = s.site_id and sr.id = s.senior_id
        join home h on h.site_id = sr.site_id and h.id = sr.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where s.received_at >= $1 and s.source = 'device' order by s.received_at";
    let rows: Vec<SensorRow> = on!(tx, |conn| sqlx::query_as(sql).bind(since).fetch_all(conn).await)?;
    let line = |(id, at, kind, building, unit, senior): SensorRow| {
        let arguments = arguments([("kind", kind), ("building", building), ("unit", unit), ("senior", senior)]);
        Line { id, at, key: "demo.sensor".to_owned(), arguments }
    };
    Ok(rows.into_iter().map(line).collect())
}

async fn alerts(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Line>> {
    let sql = "select e.id, e.at, e.kind, e.detail, sr.called, b.name, h.unit
        from alert_event e join alert a on a.site_id = e.site_id and a.id = e.alert_id
        join senior sr on sr.site_id = a.site_id and sr.id = a.senior_id
        join home h on h.site_id = sr.site_id and h.id = sr.home_id
        join place b on b.site_id = h.site_id and b.id = h.building_id
        where e.at >= $1 order by e.at, e.id";
    let rows: Vec<EventRow> = on!(tx, |conn| sqlx::query_as(sql).bind(since).fetch_all(conn).await)?;
    let line = |(id, at, kind, detail, senior, building, unit): EventRow| {
        let mut all: BTreeMap<String, String> = serde_json::from_str(&detail).unwrap_or_default();
        // The kind of an event is the key; the detail's own `kind` would only repeat it.
        all.remove("kind");
        all.extend(arguments([("senior", senior), ("building", building), ("unit", unit)]));
        Line { id, at, key: format!("demo.event_{kind}"), arguments: all }
    };
    Ok(rows.into_iter().map(line).collect())
}

async fn messages(tx: &mut Tx, since: DateTime<Utc>) -> Result<Vec<Line>> {
    let sql = "select msg.id, msg.sent_at, m.called, msg.body from message msg
        join member m on m.site_id = msg.site_id and m.id = msg.recipient_id
        where msg.sent_at >= $1 and msg.channel = 'log' order by msg.sent_at";
    let rows: Vec<(Uuid, DateTime<Utc>, String, Vec<u8>)> = on!(tx, |conn| sqlx::query_as(sql).bind(since).fetch_all(conn).await)?;
    let line = |(id, at, member, body): (Uuid, DateTime<Utc>, String, Vec<u8>)| {
        let arguments = arguments([("member", member), ("text", String::from_utf8_lossy(&body).into_owned())]);
        Line { id, at, key: "demo.message".to_owned(), arguments }
    };
    Ok(rows.into_iter().map(line).collect())
}
