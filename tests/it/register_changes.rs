//! What happens to everything around an entry of the register when it changes: days that go on, sensors that stay behind, history
//! that stays readable. On both engines.

use chenlian::app::App;
use chenlian::domain::access::Who;
use chenlian::domain::check::Slot;
use chenlian::domain::id;
use chenlian::domain::place::{RiskBand, Role};
use chenlian::domain::refusal::RefusalKind;
use chenlian::domain::signal::{Evidence, SignalKind, Source};
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::store::register::agreement::{Agreement, NewAgreement};
use chenlian::store::register::grid::{GridPatch, NewGrid};
use chenlian::store::register::home::NewHome;
use chenlian::store::register::place::NewPlace;
use chenlian::store::register::role_grant::{NewRoleGrant, RoleGrantFilter};
use chenlian::store::register::senior::{EndedWhy, SeniorPatch};
use chenlian::store::register::{By, Page, agreement, day as days, grid, history, home, place, role_grant, senior};
use chenlian::store::{access, check, device, proof, roster, round};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::done;
use crate::harness::{World, at, local, on_each_engine};
use crate::morning::{by_member, look, notices, pass_at, planned, send, set};
use crate::register::{audited, body, by, day, refused};
use crate::sensors::{install, native};

/// The cutoff of the morning check of a date.
async fn cutoff(app: &App, world: &World, date: NaiveDate) -> Option<DateTime<Utc>> {
    let check = id::check(world.site, world.seniors[0], date, Slot::Morning);
    app.read(move |mut tx| async move {
        let sql = "select cutoff_at from daily_check where id = $1";
        let row = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(check).fetch_optional(conn).await)?;
        Ok((tx, row))
    })
    .await
    .expect("the check is read")
}

pub fn agreed(weekdays: i64, deadline: &str, from: &str, to: Option<&str>) -> NewAgreement {
    body(json!({
        "id": Uuid::now_v7(), "slot": "morning", "weekdays": weekdays, "expected_sign": "open", "deadline": deadline,
        "sensor_policy": "sufficient", "from_date": from, "to_date": to
    }))
}

async fn agreements(app: &App, world: &World) -> Vec<Agreement> {
    let (site, who) = (world.site, world.seniors[0]);
    done!(app, |tx| agreement::list(&mut tx, site, who)).unwrap()
}

pub fn new_home(building: Uuid, room: &str) -> NewHome {
    body(json!({"id": Uuid::now_v7(), "building_id": building, "unit": "1单元", "room": room}))
}

pub async fn make_home(app: &App, by: By, building: Uuid, room: &str) -> Uuid {
    let new = new_home(building, room);
    done!(app, |tx| home::create(&mut tx, &by, new)).unwrap().id
}

pub async fn make_building(app: &App, by: By, compound: Uuid, name: &str) -> Uuid {
    let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "building", "name": name, "parent_id": compound}));
    done!(app, |tx| place::create(&mut tx, &by, new)).unwrap().id
}

// I1: a day for which something is agreed has a check.
#[tokio::test]
async fn another_time_for_the_weekend_leaves_the_working_days_as_they_were() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let old = agreements(&app, &world).await.remove(0);
        let new = agreed(0b110_0000, "10:00", "2026-11-24", None);
        let (new_id, again) = (new.id, new.clone());
        let made = done!(app, |tx| agreement::create(&mut tx, &by, who, new, true)).unwrap();
        let taken: Vec<_> = made.replaces.iter().map(|replaced| (replaced.id, replaced.weekdays, replaced.from_date)).collect();
        assert_eq!((made.effective_from, taken), (day("2026-11-24"), vec![(old.id, 0b110_0000, day("2026-11-24"))]));
        assert_eq!(done!(app, |tx| agreement::create(&mut tx, &by, who, again, true)).unwrap(), made, "the same request, the same answer");

        let all = agreements(&app, &world).await;
        let rows: Vec<_> = all.iter().map(|row| (row.weekdays, row.effective_from, row.to_date, row.replaced_by_id)).collect();
        assert_eq!(rows[0], (127, day("2020-01-01"), Some(day("2026-11-24")), Some(new_id)));
        assert!(rows[1..].contains(&(0b110_0000, day("2026-11-24"), None, None)), "{rows:?}");
        assert!(rows[1..].contains(&(0b001_1111, day("2026-11-24"), None, None)), "{rows:?}");
        assert_eq!(all.iter().filter(|row| row.continues_id == Some(old.id)).count(), 1);

        assert_eq!(cutoff(&app, &world, day("2026-11-24")).await, Some(local("09:45:00") + TimeDelta::days(1)), "Tuesday is checked");
        for (now, date, expected) in [
            ("2026-11-25T22:00:00Z", "2026-11-26", "2026-11-26T01:45:00Z"),
            ("2026-11-27T22:00:00Z", "2026-11-28", "2026-11-28T02:15:00Z"),
            ("2026-11-28T22:00:00Z", "2026-11-30", "2026-11-30T01:45:00Z"),
        ] {
            set(&app, at(now)).await;
            plan_day::run_once(&app).await.unwrap();
            assert_eq!(cutoff(&app, &world, day(date)).await, Some(at(expected)), "{date}");
        }
        let (site, from, to) = (world.site, day("2026-11-24"), day("2026-11-30"));
        let shown = done!(app, |tx| days::list(&mut tx, site, who, from, to)).unwrap();
        assert_eq!(shown.len(), 7, "every day has its check");
    })
    .await;
}

// I1, I23
#[tokio::test]
async fn an_agreement_for_some_days_gives_way_to_the_old_one_afterwards_and_a_judged_day_stays_judged() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let week = agreed(127, "08:00", "2026-11-24", Some("2026-11-26"));
        done!(app, |tx| agreement::create(&mut tx, &by, who, week, false)).expect("an earlier time silences nobody");
        let rows: Vec<_> = agreements(&app, &world)
            .await
            .iter()
            .map(|row| (row.weekdays, row.effective_from, row.to_date, row.deadline.is_some()))
            .collect();
        assert_eq!(
            rows,
            [
                (127, day("2020-01-01"), Some(day("2026-11-24")), false),
                (127, day("2026-11-24"), Some(day("2026-11-26")), true),
                (127, day("2026-11-26"), None, false),
            ]
        );
        set(&app, at("2026-11-25T22:00:00Z")).await;
        plan_day::run_once(&app).await.unwrap();
        assert_eq!(cutoff(&app, &world, day("2026-11-26")).await, Some(at("2026-11-26T01:45:00Z")));
        set(&app, at("2026-11-26T03:00:00Z")).await;
        let late = crate::register::by(&app, &world);
        let sunday = agreed(0b100_0000, "10:00", "2026-11-26", None);
        done!(app, |tx| agreement::create(&mut tx, &late, who, sunday, true)).expect("Thursday is judged, and is not taken");
        let thursday = agreed(0b000_1000, "10:00", "2026-11-26", None);
        let no = refused(done!(app, |tx| agreement::create(&mut tx, &late, who, thursday, true)));
        assert_eq!(no.field.as_deref(), Some("from_date"));
    })
    .await;
}

/// A reading of the sensor that still stands in the old home.
async fn reading(app: &App, world: &World, device: Uuid, time: &str) {
    let mut said = by_member(world.seniors[0], SignalKind::Open, local(time), world.primary);
    (said.source, said.evidence, said.observed_by, said.entered_by) = (Source::Device, Some(Evidence::B), None, None);
    said.device_id = Some(device);
    send(app, world, vec![said]).await;
}

async fn shown_by_sensor(app: &App, world: &World) -> Option<String> {
    let (site, who) = (world.site, world.primary);
    let stops = done!(app, |tx| round::of_member(&mut tx, site, who, day("2026-11-23"), Slot::Morning)).unwrap();
    stops
        .into_iter()
        .find(|stop| stop.senior_id == world.seniors[0])
        .expect("she is in the round")
        .sensor
        .map(|shown| shown.noted.kind.to_string())
}

// I31: a device speaks only for the senior whose curtain it sees.
#[tokio::test]
async fn who_moves_leaves_her_sensor_behind_and_is_looked_at_by_people_again() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let sensor = install(&app, &world, native(&world, "d-1"), Some(who)).await.device;
        set(&app, local("07:00:00")).await;
        reading(&app, &world, sensor.id, "06:30:00").await;
        assert_eq!(shown_by_sensor(&app, &world).await.as_deref(), Some("open"));

        let building = make_building(&app, by, world.compound, "4号楼").await;
        let home_id = make_home(&app, by, building, "101").await;
        let same = SeniorPatch {
            home_id: Some(done!(app, |tx| senior::get(&mut tx, by.site_id, who)).unwrap().home_id),
            ..SeniorPatch::default()
        };
        done!(app, |tx| senior::patch(&mut tx, &by, who, 1, same)).unwrap();
        assert_eq!(crate::sensors::device(&app, (world.site, sensor.id)).await.senior_id, Some(who), "she stayed where she was");
        let moves = SeniorPatch { home_id: Some(home_id), ..SeniorPatch::default() };
        done!(app, |tx| senior::patch(&mut tx, &by, who, 2, moves)).unwrap();

        let left = crate::sensors::device(&app, (world.site, sensor.id)).await;
        assert_eq!((left.senior_id, left.calibrated_at, left.level), (None, None, None));
        assert_eq!(audited(&app, sensor.id, "unbind").await, 1);
        assert_eq!(shown_by_sensor(&app, &world).await, None, "the round shows nothing of the old curtain");
        let told = notices(&app).await;
        let to = |key: &str| told.iter().filter(|(_, known, _)| known == key).map(|(to, ..)| *to).collect::<Vec<_>>();
        assert_eq!(to("notice.sensor_moved"), [world.primary]);
        assert_eq!(to("notice.sensor_collect"), [world.social_worker]);
    })
    .await;
}

// I31
#[tokio::test]
async fn who_is_no_longer_looked_after_has_no_sensor_and_a_look_of_this_morning_calls_nobody_to_her() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let sensor = install(&app, &world, native(&world, "d-1"), Some(who)).await.device;
        set(&app, local("08:00:00")).await;
        look(&app, &world, 0, SignalKind::Closed, local("08:00:00")).await;
        done!(app, |tx| senior::end(&mut tx, &by, who, 1, EndedWhy::Moved, true)).unwrap();
        assert_eq!(crate::sensors::device(&app, (world.site, sensor.id)).await.senior_id, None);
        let (site, version, now) = (world.site, 4, app.clock.now());
        let bound = done!(app, |tx| device::bind(&mut tx, (site, sensor.id), Some(who), version, world.social_worker, now));
        assert_eq!(refused(bound).field.as_deref(), Some("senior_id"), "nor does she get one again");
        assert_eq!(cutoff(&app, &world, day("2026-11-23")).await, None);
        pass_at(&app, local("09:45:00")).await;
        assert!(crate::morning::alerts(&app).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_is_taken_off_the_register_while_somebody_is_on_the_way_to_her() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let who = world.seniors[0];
        pass_at(&app, local("09:45:00")).await;
        let late = by(&app, &world);
        let no = refused(done!(app, |tx| senior::end(&mut tx, &late, who, 1, EndedWhy::Moved, true)));
        assert_eq!((no.kind, no.key), (RefusalKind::Conflict, "register.alert_open"));
        set(&app, local("09:50:00")).await;
        look(&app, &world, 0, SignalKind::SeenInPerson, local("09:50:00")).await;
        done!(app, |tx| senior::end(&mut tx, &late, who, 1, EndedWhy::Moved, true)).expect("she was seen, the alert is closed");
    })
    .await;
}

#[tokio::test]
async fn the_numbers_of_an_old_day_stay_with_the_building_and_the_band_of_that_day() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        let who = world.seniors[0];
        let first = by(&app, &world);
        let building = make_building(&app, first, world.compound, "4号楼").await;
        let home_id = make_home(&app, first, building, "101").await;
        let old_home = done!(app, |tx| senior::get(&mut tx, world.site, who)).unwrap().home_id;
        set(&app, at("2026-11-23T22:00:00Z")).await;
        plan_day::run_once(&app).await.unwrap();
        let next_day = by(&app, &world);
        let moves: SeniorPatch = body(json!({"home_id": home_id, "risk_band": "red"}));
        done!(app, |tx| senior::patch(&mut tx, &next_day, who, 1, moves)).unwrap();

        let site = world.site;
        let lived = done!(app, |tx| history::residences(&mut tx, site, who)).unwrap();
        let lived: Vec<_> = lived.iter().map(|row| (row.home_id, row.from_date, row.to_date)).collect();
        let moved_on = day("2026-11-24");
        assert_eq!(lived, [(old_home, day("2020-01-01"), Some(moved_on)), (home_id, moved_on, None)]);
        let rated = done!(app, |tx| history::ratings(&mut tx, site, who)).unwrap();
        let rated: Vec<_> = rated.iter().map(|row| (row.risk_band, row.from_date, row.to_date)).collect();
        assert_eq!(rated, [(RiskBand::Yellow, day("2020-01-01"), Some(moved_on)), (RiskBand::Red, moved_on, None)]);

        for (date, of) in [("2026-11-23", world.building), ("2026-11-24", building)] {
            for (place, there) in [(world.building, of == world.building), (building, of == building)] {
                let asker = Who { site_id: site, member_id: world.administrator, today: moved_on };
                let filter = check::Filter { date: day(date), slot: None, state: None, place: Some(place), after: None, limit: 10 };
                let found = done!(app, |tx| check::list(&mut tx, &asker, &filter)).unwrap();
                assert_eq!(!found.is_empty(), there, "{date}");
            }
        }
        let total = |date: NaiveDate, member: Uuid| {
            let app = app.clone();
            async move {
                let numbers = done!(app, |tx| proof::mornings(&mut tx, site, date)).unwrap();
                numbers.iter().find(|of| of.member_id == member).map_or(0, |of| of.total)
            }
        };
        assert_eq!(total(day("2026-11-23"), world.operator).await, 1);
        assert_eq!(total(moved_on, world.operator).await, 1, "counted once, where she lives now");
    })
    .await;
}

#[tokio::test]
async fn a_grid_that_ended_grants_nothing_and_what_it_held_before_stays_on_record() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who, officer) = (by(&app, &world), world.seniors[0], world.operator);
        let new: NewGrid = body(json!({"id": Uuid::now_v7(), "name": "一网格", "place_ids": [world.building]}));
        let id = new.id;
        done!(app, |tx| grid::create(&mut tx, &by, new)).unwrap();
        let granted: NewRoleGrant =
            body(json!({"id": Uuid::now_v7(), "member_id": officer, "role": "grid_officer_full_time", "grid_id": id}));
        done!(app, |tx| role_grant::create(&mut tx, &by, granted)).unwrap();
        let sees = |today: &'static str| {
            let (app, site) = (app.clone(), world.site);
            async move {
                let asker = Who { site_id: site, member_id: officer, today: day(today) };
                let roles = done!(app, |tx| access::relation(&mut tx, &asker, who)).unwrap().unwrap().roles;
                let listed = done!(app, |tx| access::visible(&mut tx, &asker)).unwrap().contains(&who);
                let rosters = done!(app, |tx| roster::load(&mut tx, site, &[who], day(today))).unwrap();
                let asked = rosters[&who].holders(Role::GridOfficerFullTime).contains(&officer);
                assert_eq!((roles.contains(&Role::GridOfficerFullTime), listed), (asked, asked), "all agree");
                asked
            }
        };
        assert!(sees("2026-11-23").await);
        set(&app, at("2026-11-24T22:00:00Z")).await;
        let later = crate::register::by(&app, &world);
        let emptied = GridPatch { place_ids: Some(Vec::new()), ..GridPatch::default() };
        assert!(done!(app, |tx| grid::patch(&mut tx, &later, id, 1, emptied)).unwrap().place_ids.is_empty());
        assert!(!sees("2026-11-25").await);
        assert!(sees("2026-11-24").await, "who was asked on an old day can still be said");
        let back = GridPatch { place_ids: Some(vec![world.building]), ..GridPatch::default() };
        done!(app, |tx| grid::patch(&mut tx, &later, id, 2, back)).unwrap();
        assert!(sees("2026-11-25").await);
        done!(app, |tx| grid::end(&mut tx, &later, id, 3)).unwrap();
        assert!(!sees("2026-11-25").await && sees("2026-11-24").await);
        let filter = RoleGrantFilter { member_id: Some(officer), on: Some(day("2026-11-25")), ..RoleGrantFilter::default() };
        let roles = done!(app, |tx| role_grant::list(&mut tx, later.site_id, filter, Page::default())).unwrap();
        assert!(roles.iter().all(|grant| grant.grid_id.is_none()), "{roles:?}");
    })
    .await;
}
