//! Two people change the register at the same moment. On SQLite one comes after the other; on PostgreSQL they meet, and must come
//! out as if one had come after the other.

use chenlian::app::App;
use chenlian::on;
use chenlian::store::register::duty::NewDuty;
use chenlian::store::register::home::NewHome;
use chenlian::store::register::leave::NewLeave;
use chenlian::store::register::member::NewMember;
use chenlian::store::register::pairing::NewPairing;
use chenlian::store::register::place::NewPlace;
use chenlian::store::register::role_grant::NewRoleGrant;
use chenlian::store::register::senior::{EndedWhy, NewSenior};
use chenlian::store::register::{By, duty, home, leave, member, pairing, place, role_grant, senior};
use chenlian::store::{Error, Result};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::done;
use crate::harness::{World, on_each_engine};
use crate::register::{body, by};
use crate::sensors::{install, native};

/// Without the locks one round in three goes wrong, so that all of them go right by chance once in a hundred.
const ROUNDS: usize = 12;

/// Done or refused: a race is never a failure of ours.
#[track_caller]
fn settled<T>(outcome: Result<T>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(Error::Refused(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

async fn count(app: &App, sql: &str) -> i64 {
    let sql = sql.to_owned();
    app.read(move |mut tx| async move {
        let rows = on!(&mut tx, |conn| sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("rows are counted")
}

async fn somebody(app: &App, by: By, round: usize, number: usize) -> Uuid {
    let new: NewMember =
        body(json!({"id": Uuid::now_v7(), "name": "赵一", "called": "赵师傅", "phone": format!("1391{round:03}{number:04}")}));
    done!(app, |tx| member::create(&mut tx, &by, new, None)).unwrap().id
}

async fn building(app: &App, by: By, compound: Uuid) -> Uuid {
    let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "building", "name": "9号楼", "parent_id": compound}));
    done!(app, |tx| place::create(&mut tx, &by, new)).unwrap().id
}

async fn empty_home(app: &App, by: By, building: Uuid, room: &str) -> Uuid {
    let new: NewHome = body(json!({"id": Uuid::now_v7(), "building_id": building, "unit": "1单元", "room": room}));
    done!(app, |tx| home::create(&mut tx, &by, new)).unwrap().id
}

fn in_home(home_id: Uuid) -> NewSenior {
    body(json!({"id": Uuid::now_v7(), "home_id": home_id, "name": "李秀芳", "called": "李奶奶", "risk_band": "green"}))
}

#[tokio::test]
async fn a_member_who_leaves_at_this_moment_is_given_nothing_that_stays() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        for round in 0..ROUNDS {
            let leaves = somebody(&app, by, round, 0).await;
            let home = empty_home(&app, by, world.building, &format!("9{round:02}")).await;
            let who = done!(app, |tx| senior::create(&mut tx, &by, in_home(home))).unwrap().id;
            let paired: NewPairing = body(json!({"id": Uuid::now_v7(), "member_id": leaves, "kind": "primary"}));
            let granted: NewRoleGrant =
                body(json!({"id": Uuid::now_v7(), "member_id": leaves, "role": "volunteer", "place_id": world.building}));
            let away: NewLeave =
                body(json!({"id": Uuid::now_v7(), "member_id": leaves, "from_date": "2026-11-25", "return_date": "2026-11-27"}));
            let walks: NewDuty = body(json!({
                "id": Uuid::now_v7(), "member_id": leaves, "slot": "morning", "weekdays": 127, "building_ids": [world.building]
            }));
            let (ended, ..) = tokio::join!(
                async { settled(done!(app, |tx| member::end(&mut tx, &by, leaves, 1))) },
                async { settled(done!(app, |tx| pairing::create(&mut tx, &by, who, paired))) },
                async { settled(done!(app, |tx| role_grant::create(&mut tx, &by, granted))) },
                async { settled(done!(app, |tx| leave::create(&mut tx, &by, away))) },
                async { settled(done!(app, |tx| duty::create(&mut tx, &by, walks))) },
            );
            assert!(ended);
        }
        for (table, open) in [
            ("pairing", "t.to_date is null"),
            ("role_grant", "t.to_date is null"),
            ("duty", "t.to_date is null"),
            ("leave_of_absence", "t.cancelled_at is null"),
        ] {
            let sql = format!("select count(*) from {table} t join member m on m.id = t.member_id where m.ended_at is not null and {open}");
            assert_eq!(count(&app, &sql).await, 0, "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_moves_into_a_building_that_ends_at_this_moment() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        for _ in 0..ROUNDS {
            let building = building(&app, by, world.compound).await;
            let home = empty_home(&app, by, building, "101").await;
            let new: NewHome = body(json!({"id": Uuid::now_v7(), "building_id": building, "unit": "1单元", "room": "102"}));
            tokio::join!(
                async { settled(done!(app, |tx| place::end(&mut tx, &by, building, 1))) },
                async { settled(done!(app, |tx| senior::create(&mut tx, &by, in_home(home)))) },
                async { settled(done!(app, |tx| home::create(&mut tx, &by, new))) },
            );
        }
        let living = "select count(*) from senior s join home h on h.id = s.home_id join place p on p.id = h.building_id
            where s.ended_at is null and (p.ended_at is not null or h.ended_at is not null)";
        assert_eq!(count(&app, living).await, 0);
        let homes = "select count(*) from home h join place p on p.id = h.building_id where h.ended_at is null and p.ended_at is not null";
        assert_eq!(count(&app, homes).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_compound_that_ends_at_this_moment_takes_the_new_building_along() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        for _ in 0..ROUNDS {
            let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "compound", "name": "东苑", "parent_id": world.community}));
            let compound = done!(app, |tx| place::create(&mut tx, &by, new)).unwrap().id;
            let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "building", "name": "1号楼", "parent_id": compound}));
            tokio::join!(async { settled(done!(app, |tx| place::end(&mut tx, &by, compound, 1))) }, async {
                settled(done!(app, |tx| place::create(&mut tx, &by, new)))
            },);
        }
        let orphans = "select count(*) from place b join place c on c.id = b.parent_id where b.ended_at is null and c.ended_at is not null";
        assert_eq!(count(&app, orphans).await, 0);
    })
    .await;
}

#[tokio::test]
async fn two_administrators_who_end_each_other_leave_one() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        let mut left = world.administrator;
        for round in 0..ROUNDS {
            let other = somebody(&app, by, round, 1).await;
            let granted: NewRoleGrant =
                body(json!({"id": Uuid::now_v7(), "member_id": other, "role": "administrator", "place_id": world.street}));
            done!(app, |tx| role_grant::create(&mut tx, &by, granted)).unwrap();
            let (first, second) = tokio::join!(async { settled(done!(app, |tx| member::end(&mut tx, &by, left, 1))) }, async {
                settled(done!(app, |tx| member::end(&mut tx, &by, other, 1)))
            },);
            assert!(first != second, "exactly one of them is ended");
            left = if first { other } else { left };
        }
    })
    .await;
}

// I31
#[tokio::test]
async fn a_sensor_bound_at_the_moment_at_which_the_care_ends_speaks_for_nobody() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, ROUNDS).await;
        let (by, now) = (by(&app, &world), app.clock.now());
        for (round, who) in world.seniors.iter().copied().enumerate() {
            let sensor = install(&app, &world, native(&world, &format!("d-{round}")), None).await.device;
            let (id, installer) = ((world.site, sensor.id), world.social_worker);
            tokio::join!(async { settled(done!(app, |tx| senior::end(&mut tx, &by, who, 1, EndedWhy::Moved, true))) }, async {
                settled(done!(app, |tx| chenlian::store::device::bind(&mut tx, id, Some(who), sensor.version, installer, now)))
            },);
        }
        let sql = "select count(*) from device d join senior s on s.id = d.senior_id where s.ended_at is not null";
        assert_eq!(count(&app, sql).await, 0);
    })
    .await;
}
