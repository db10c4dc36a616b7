//! How long the pages take for a large site, of a desk and of somebody who looks at five hundred windows: five thousand seniors in a hundred buildings, a month of mornings behind
//! them, most of today looked at, and then an alert for every tenth. Processor time is this whole process: the client is in it, a
//! PostgreSQL is not.

use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use chenlian::jobs::watch;
use chenlian::store::{bulk, signal};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::intake::token;
use super::street::{BATCH, Street};
use super::{local, ms, on};

const SENIORS: usize = 5_000;
const BUILDINGS: usize = 100;
/// The largest round that one member may have to walk.
const ROUND: usize = 500;
const DAYS_BEFORE: u64 = 29;
const REQUESTS: usize = 60;

const DESK: [&str; 4] = ["/board", "/board/now", "/board/care", "/charts"];

pub async fn measure(app: App) {
    let street = Street::planned_for(&app, "http://127.0.0.1:1/nobody?", SENIORS).await;
    spread(&app, &street).await;
    month_before(&app, &street).await;
    long_round(&app, &street).await;
    let looks = street.looks(SignalKind::Open, local("05:50:00"));
    let shut = street.looks(SignalKind::Closed, local("05:50:00"));
    let seen = looks.into_iter().zip(shut).enumerate().filter(|(number, _)| number % 20 != 0);
    let seen: Vec<_> = seen.map(|(number, (open, shut))| if number % 10 == 1 { shut } else { open }).collect();
    for batch in seen.chunks(BATCH) {
        let (batch, site, now) = (batch.to_vec(), street.world.site, app.clock.now());
        app.write(move |mut tx| async move { signal::append(&mut tx, site, &batch, now).await.map(|_| (tx, ())) })
            .await
            .expect("looks are stored");
    }
    let token = self::token(&app, street.world.site, street.world.social_worker).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(chenlian::http::serve(app.clone(), listener, stop.clone()));
    app.clock.advance(local("08:30:00") - app.clock.now());
    pages(&app, &base, &token, &DESK, "before the cutoff").await;
    let walker = self::token(&app, street.world.site, street.world.primary).await;
    pages(&app, &base, &walker, &["/round"], "a round of 500").await;
    app.clock.advance(local("09:45:00") - app.clock.now());
    watch::run_once(&app).await.expect("the watch passes");
    pages(&app, &base, &token, &DESK, "750 alerts open").await;
    stop.cancel();
    let _ = serving.await;
}

async fn pages(app: &App, base: &str, token: &str, paths: &[&str], when: &str) {
    let client = reqwest::Client::new();
    for path in paths {
        let mut times = Vec::with_capacity(REQUESTS);
        let (mut bytes, mut processor, mut statements) = (0, Duration::ZERO, 0);
        for number in 0..=REQUESTS {
            // The first one only warms up.
            if number == 1 {
                (processor, statements) = (processor_time(), app.statements());
                times.clear();
            }
            let began = Instant::now();
            let answer = client.get(format!("{base}{path}")).bearer_auth(token).send().await.expect("it answers");
            assert!(answer.status().is_success(), "{path} {}", answer.status());
            bytes = answer.bytes().await.expect("the page is whole").len();
            times.push(began.elapsed());
        }
        let requests = u32::try_from(REQUESTS).expect("few");
        let processor = processor_time().saturating_sub(processor) / requests;
        let statements = (app.statements() - statements) / u64::from(requests);
        times.sort_unstable();
        let (middle, last) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "  {when:<18} {path:<12} p50 {:>6.1} ms  p99 {:>6.1} ms  processor {:>6.1} ms  {statements} statements  {} kB",
            ms(middle),
            ms(last),
            ms(processor),
            bytes / 1_000
        );
    }
}

/// What the kernel has counted for this process; 100 ticks a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// One member has taken over the seniors of five hundred others.
async fn long_round(app: &App, street: &Street) {
    let (site, member) = (street.world.site, street.world.primary);
    let rows: Vec<Value> = street.seniors[..ROUND].iter().map(|id| json!({ "site": site, "senior": id, "member": member })).collect();
    app.write(move |mut tx| async move {
        let pairing =
            "update pairing set member_id = taken.member from (select {site:uuid} as site, {senior:uuid} as senior, {member:uuid} as member
            from {rows}) taken where pairing.site_id = taken.site and pairing.senior_id = taken.senior";
        bulk::execute(&mut tx, pairing, &rows).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the pairings are changed");
}

/// Over a hundred buildings.
async fn spread(app: &App, street: &Street) {
    let (world, now) = (street.world.clone(), app.clock.now());
    let buildings: Vec<Value> = (0..BUILDINGS)
        .map(|number| json!({ "site": world.site, "id": Uuid::now_v7(), "name": format!("{number}号楼"), "parent": world.compound, "number": number, "at": bulk::time(now) }))
        .collect();
    let above = [world.compound, world.community, world.street];
    let closure: Vec<Value> = buildings
        .iter()
        .flat_map(|building| {
            let own = json!({ "site": world.site, "above": building["id"], "id": building["id"], "depth": 0 });
            let others = above
                .iter()
                .zip(1..)
                .map(|(above, depth)| json!({ "site": world.site, "above": above, "id": building["id"], "depth": depth }));
            [own].into_iter().chain(others).collect::<Vec<_>>()
        })
        .collect();
    let moves: Vec<Value> = street
        .seniors
        .iter()
        .enumerate()
        .map(|(number, senior)| json!({ "site": world.site, "senior": senior, "building": buildings[number % BUILDINGS]["id"] }))
        .collect();
    app.write(move |mut tx| async move {
        let place = "insert into place (site_id, id, kind, name, parent_id, walk_order, version, created_at)
            select {site:uuid}, {id:uuid}, 'building', {name:text}, {parent:uuid}, {number:int}, 1, {at:time} from {rows}";
        bulk::execute(&mut tx, place, &buildings).await?;
        let below = "insert into place_closure (site_id, ancestor_id, descendant_id, depth)
            select {site:uuid}, {above:uuid}, {id:uuid}, {depth:int} from {rows}";
        bulk::execute(&mut tx, below, &closure).await?;
        let home = "update home set building_id = moved.building from (select {site:uuid} as site, {senior:uuid} as senior, {building:uuid} as building
            from {rows}) moved, senior s where s.site_id = moved.site and s.id = moved.senior and home.site_id = s.site_id and home.id = s.home_id";
        bulk::execute(&mut tx, home, &moves).await?;
        Ok((tx, ()))
    })
    .await
    .expect("the buildings stand");
}

/// The mornings of the month before, most of them well.
async fn month_before(app: &App, street: &Street) {
    let (site, today) = (street.world.site, local("08:00:00").date_naive());
    let rows: Vec<Value> = street
        .seniors
        .iter()
        .enumerate()
        .flat_map(|(number, senior)| {
            (1..=DAYS_BEFORE).map(move |back| {
                let state = if (number + usize::try_from(back).unwrap_or_default()) % 50 == 0 { "not_observed" } else { "ok" };
                json!({ "site": site, "id": Uuid::now_v7(), "senior": senior, "date": today - chrono::Days::new(back), "state": state })
            })
        })
        .collect();
    app.write(move |mut tx| async move {
        let sql = "insert into daily_check (site_id, id, senior_id, agreement_id, local_date, slot, state, expected_sign, sensor_policy, counts_from,
                window_opens_at, deadline_at, cutoff_at, day_ends_at, unobserved_delay_seconds, received_late, triggered, decided_at)
            select d.site_id, {id:uuid}, d.senior_id, d.agreement_id, {date:date}, d.slot, {state:text}, d.expected_sign, d.sensor_policy, d.counts_from,
                d.window_opens_at, d.deadline_at, d.cutoff_at, d.day_ends_at, d.unobserved_delay_seconds, d.received_late, d.triggered, d.cutoff_at
            from {rows} join daily_check d on d.site_id = {site:uuid} and d.senior_id = {senior:uuid} and d.local_date = '2026-11-23'";
        bulk::execute(&mut tx, sql, &rows).await?;
        if let chenlian::store::Tx::Postgres(_) = tx {
            // A month after the import the planner knows its tables.
            on!(&mut tx, |conn| sqlx::query("analyze").execute(conn).await.map(|_| ()))?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("a month is written");
}
