//! The register through the store: places and people, on both engines.

use chenlian::app::App;
use chenlian::domain::place::Role;
use chenlian::domain::refusal::{Refusal, RefusalKind};
use chenlian::on;
use chenlian::store::register::channel::{ChannelPatch, NewChannel};
use chenlian::store::register::grid::{GridPatch, NewGrid};
use chenlian::store::register::home::{HomePatch, NewHome};
use chenlian::store::register::member::{MemberFilter, MemberPatch, NewMember};
use chenlian::store::register::place::{NewPlace, PlaceFilter, PlacePatch};
use chenlian::store::register::role_grant::{NewRoleGrant, RoleGrantFilter};
use chenlian::store::register::site::SitePatch;
use chenlian::store::register::{By, Page, channel, grid, home, member, place, role_grant, site};
use chenlian::store::{Error, Result};
use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{World, on_each_engine};
use crate::outbox::SECRET;

/// One write in its own transaction.
#[macro_export]
macro_rules! done {
    ($app:expr, |$tx:ident| $work:expr) => {
        $app.write(move |mut $tx| async move {
            let answer = $work.await?;
            Ok(($tx, answer))
        })
        .await
    };
}

/// The reason why something was not done.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub fn by(app: &App, world: &World) -> By {
    By { site_id: world.site, actor_id: Some(world.administrator), now: app.clock.now() }
}

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("a literal date")
}

/// Reads what a client would send.
pub fn body<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a body that clients may send")
}

/// How many audit rows an object has for an act.
pub async fn audited(app: &App, object: Uuid, act: &'static str) -> i64 {
    app.read(move |mut tx| async move {
        let sql = "select count(*) from audit where object_id = $1 and act = $2";
        let rows = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(object).bind(act).fetch_one(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("the audit is read")
}

fn building(world: &World, id: Uuid, name: &str) -> NewPlace {
    body(json!({"id": id, "kind": "building", "name": name, "parent_id": world.compound}))
}

#[tokio::test]
async fn a_building_stands_under_a_compound_and_the_same_request_again_gets_the_same_answer() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let (by, id) = (by(&app, &world), Uuid::now_v7());
        let new = building(&world, id, " 4号楼 ");
        let (first, again) = (new.clone(), new.clone());
        let made = done!(app, |tx| place::create(&mut tx, &by, first)).unwrap();
        assert_eq!((made.name.as_str(), made.version), ("4号楼", 1));
        assert_eq!(done!(app, |tx| place::create(&mut tx, &by, again)).unwrap(), made);
        let other = building(&world, id, "5号楼");
        assert_eq!(refused(done!(app, |tx| place::create(&mut tx, &by, other))).kind, RefusalKind::Conflict);
        assert_eq!(audited(&app, id, "create").await, 1);

        let filter = PlaceFilter { under: Some(world.street), ..PlaceFilter::default() };
        let below = done!(app, |tx| place::list(&mut tx, by.site_id, filter, Page::default())).unwrap();
        assert_eq!(below.len(), 5, "the street, what the world has below it, and the new building");
        let wrong = NewPlace { id: Uuid::now_v7(), parent_id: Some(world.street), ..new };
        assert_eq!(refused(done!(app, |tx| place::create(&mut tx, &by, wrong))).field.as_deref(), Some("parent_id"));
    })
    .await;
}

#[tokio::test]
async fn a_new_compound_is_in_trial_and_only_somebody_who_may_silence_prolongs_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "compound", "name": "东苑", "parent_id": world.community}));
        let made = done!(app, |tx| place::create(&mut tx, &by, new)).unwrap();
        assert_eq!(made.trial_until, Some(day("2026-12-07")), "14 days after 23 November");
        let longer = PlacePatch { trial_until: Some(Some(day("2027-01-01"))), ..PlacePatch::default() };
        let (first, second) = (longer.clone(), longer);
        let no = refused(done!(app, |tx| place::patch(&mut tx, &by, made.id, 1, first, false)));
        assert_eq!(no.kind, RefusalKind::Forbidden);
        let changed = done!(app, |tx| place::patch(&mut tx, &by, made.id, 1, second, true)).unwrap();
        assert_eq!((changed.trial_until, changed.version), (Some(day("2027-01-01")), 2));
        let late = PlacePatch { name: Some("西苑".to_owned()), ..PlacePatch::default() };
        assert_eq!(refused(done!(app, |tx| place::patch(&mut tx, &by, made.id, 1, late, true))).kind, RefusalKind::Stale);
    })
    .await;
}

#[tokio::test]
async fn a_place_where_seniors_live_does_not_end() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let no = refused(done!(app, |tx| place::end(&mut tx, &by, world.compound, 1)));
        assert_eq!((no.kind, no.arguments.get("count").map(String::as_str)), (RefusalKind::Conflict, Some("1")));
        let empty = building(&world, Uuid::now_v7(), "9号楼");
        let id = empty.id;
        done!(app, |tx| place::create(&mut tx, &by, empty)).unwrap();
        assert!(done!(app, |tx| place::end(&mut tx, &by, id, 1)).unwrap().ended_at.is_some());
        let home: NewHome = body(json!({"building_id": id, "unit": "1单元", "room": "101"}));
        assert_eq!(refused(done!(app, |tx| home::create(&mut tx, &by, home))).field.as_deref(), Some("building_id"));
    })
    .await;
}

#[tokio::test]
async fn a_grid_groups_buildings_of_its_own_site_only() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 0).await, World::seed(&app, 0).await);
        let by = by(&app, &world);
        let new: NewGrid = body(json!({"id": Uuid::now_v7(), "name": "一网格", "place_ids": [world.building]}));
        let (id, again) = (new.id, new.clone());
        let made = done!(app, |tx| grid::create(&mut tx, &by, new)).unwrap();
        assert_eq!(made.place_ids, [world.building]);
        assert_eq!(done!(app, |tx| grid::create(&mut tx, &by, again)).unwrap(), made);
        for foreign in [elsewhere.building, Uuid::now_v7()] {
            let patch = GridPatch { place_ids: Some(vec![foreign]), ..GridPatch::default() };
            let no = refused(done!(app, |tx| grid::patch(&mut tx, &by, id, 1, patch)));
            assert_eq!((no.kind, no.key), (RefusalKind::Invalid, "register.unknown_reference"), "foreign and unknown answer alike");
        }
        let emptied = GridPatch { place_ids: Some(Vec::new()), ..GridPatch::default() };
        assert!(done!(app, |tx| grid::patch(&mut tx, &by, id, 1, emptied)).unwrap().place_ids.is_empty());
        assert!(done!(app, |tx| grid::end(&mut tx, &by, id, 2)).unwrap().ended_at.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_home_keeps_its_key_holder_until_somebody_clears_the_name() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        let new: NewHome = body(json!({
            "id": Uuid::now_v7(), "building_id": world.building, "unit": "1单元", "floor": 3, "room": "301", "window_hint": "左一窗",
            "key_holder_name": "邻居李姐", "key_holder_phone": "138 0013 8000"
        }));
        let (id, again) = (new.id, new.clone());
        let made = done!(app, |tx| home::create(&mut tx, &by, new)).unwrap();
        assert_eq!(made.key_holder_phone.as_deref(), Some("13800138000"));
        assert_eq!(done!(app, |tx| home::create(&mut tx, &by, again)).unwrap(), made);
        let kept: HomePatch = body(json!({"room": "302"}));
        let changed = done!(app, |tx| home::patch(&mut tx, &by, id, 1, kept)).unwrap();
        assert_eq!((changed.room.as_str(), changed.key_holder_name.as_deref()), ("302", Some("邻居李姐")));
        let cleared: HomePatch = body(json!({"key_holder_name": null}));
        assert_eq!(done!(app, |tx| home::patch(&mut tx, &by, id, 2, cleared)).unwrap().key_holder_name, None);
        let basement: HomePatch = body(json!({"floor": -11}));
        assert_eq!(refused(done!(app, |tx| home::patch(&mut tx, &by, id, 3, basement))).field.as_deref(), Some("floor"));
    })
    .await;
}

fn member_named(name: &str, phone: &str) -> NewMember {
    body(json!({"id": Uuid::now_v7(), "name": name, "called": name, "phone": phone}))
}

#[tokio::test]
async fn a_phone_number_belongs_to_one_member_until_she_leaves() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        let first = member_named("赵一", "13900000001");
        let (first_id, again) = (first.id, first.clone());
        let made = done!(app, |tx| member::create(&mut tx, &by, first, None)).unwrap();
        assert_eq!(done!(app, |tx| member::create(&mut tx, &by, again, None)).unwrap(), made);
        let second = member_named("钱二", "139-0000-0001");
        let (second_id, later) = (second.id, second.clone());
        let no = refused(done!(app, |tx| member::create(&mut tx, &by, second, None)));
        assert_eq!((no.kind, no.field.as_deref()), (RefusalKind::Conflict, Some("phone")));
        done!(app, |tx| member::end(&mut tx, &by, first_id, 1)).unwrap();
        done!(app, |tx| member::create(&mut tx, &by, later, None)).unwrap();
        let patch = MemberPatch { called: Some("钱师傅".to_owned()), ..MemberPatch::default() };
        assert_eq!(done!(app, |tx| member::patch(&mut tx, &by, second_id, 1, patch)).unwrap().called, "钱师傅");
        let known = MemberFilter { id: Some(first_id), ..MemberFilter::default() };
        assert!(done!(app, |tx| member::list(&mut tx, by.site_id, known, Page::default())).unwrap().is_empty(), "lists leave out who left");
    })
    .await;
}

#[tokio::test]
async fn a_member_who_leaves_takes_her_roles_pairings_and_sessions_along() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let primary = world.primary;
        crate::http::bearer(&app, world.site, primary).await;
        done!(app, |tx| member::end(&mut tx, &by, primary, 1)).unwrap();
        let left = app
            .read(move |mut tx| async move {
                let sql = "select (select count(*) from role_grant where member_id = $1 and to_date is null)
                    + (select count(*) from pairing where member_id = $1 and to_date is null)
                    + (select count(*) from session where member_id = $1 and revoked_at is null)";
                let rows: i64 = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(primary).fetch_one(conn).await)?;
                Ok((tx, rows))
            })
            .await
            .unwrap();
        assert_eq!(left, 0);
        let filter = RoleGrantFilter { member_id: Some(primary), ..RoleGrantFilter::default() };
        let grants = done!(app, |tx| role_grant::list(&mut tx, by.site_id, filter, Page::default())).unwrap();
        assert_eq!(grants[0].to_date, Some(day("2026-11-23")), "it ends today, and stays readable");
        assert_eq!(audited(&app, grants[0].id, "end").await, 1);
        assert_eq!(refused(done!(app, |tx| member::end(&mut tx, &by, primary, 2))).key, "register.already_ended");
    })
    .await;
}

#[tokio::test]
async fn a_channel_with_a_new_address_has_to_be_verified_again_and_its_secret_is_sealed() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let (by, owner) = (by(&app, &world), world.primary);
        let key = app.seal.clone();
        let new: NewChannel =
            body(json!({"id": Uuid::now_v7(), "position": 2, "channel": "webhook", "address": "https://example.org/a", "secret": SECRET}));
        let id = new.id;
        let made = done!(app, |tx| channel::create(&mut tx, &by, &key, owner, new)).unwrap();
        assert_eq!(made.verified_at, None);
        let sealed: Vec<u8> = app
            .read(move |mut tx| async move {
                let sql = "select secret_sealed from member_channel where id = $1";
                let sealed = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(id).fetch_one(conn).await)?;
                Ok((tx, sealed))
            })
            .await
            .unwrap();
        assert_eq!(app.seal.open(&format!("channel/{id}"), &sealed).unwrap(), SECRET.as_bytes());
        let verified = ChannelPatch { verified: Some(true), ..ChannelPatch::default() };
        assert!(done!(app, |tx| channel::patch(&mut tx, &by, owner, id, 1, verified)).unwrap().verified_at.is_some());
        let moved = ChannelPatch { address: Some("https://example.org/b".to_owned()), ..ChannelPatch::default() };
        assert_eq!(done!(app, |tx| channel::patch(&mut tx, &by, owner, id, 2, moved)).unwrap().verified_at, None);
        let key = app.seal.clone();
        let unknown: NewChannel = body(json!({"channel": "pigeon", "address": "x"}));
        let no = refused(done!(app, |tx| channel::create(&mut tx, &by, &key, owner, unknown)));
        assert_eq!(no.field.as_deref(), Some("channel"));
    })
    .await;
}

#[tokio::test]
async fn a_role_has_one_scope_and_ends_without_vanishing() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        let new: NewRoleGrant =
            body(json!({"id": Uuid::now_v7(), "member_id": world.backup, "role": "social_worker", "place_id": world.compound}));
        let (id, again) = (new.id, new.clone());
        let made = done!(app, |tx| role_grant::create(&mut tx, &by, new)).unwrap();
        assert_eq!((made.role, made.from_date), (Role::SocialWorker, day("2026-11-23")));
        assert_eq!(done!(app, |tx| role_grant::create(&mut tx, &by, again)).unwrap(), made);
        let nowhere: NewRoleGrant = body(json!({"member_id": world.backup, "role": "volunteer"}));
        assert_eq!(refused(done!(app, |tx| role_grant::create(&mut tx, &by, nowhere))).key, "register.one_scope");
        let past = Some(day("2026-11-22"));
        assert_eq!(refused(done!(app, |tx| role_grant::end(&mut tx, &by, id, 1, past))).field.as_deref(), Some("to_date"));
        assert_eq!(done!(app, |tx| role_grant::end(&mut tx, &by, id, 1, None)).unwrap().to_date, Some(day("2026-11-23")));
        assert_eq!(refused(done!(app, |tx| role_grant::end(&mut tx, &by, id, 2, None))).kind, RefusalKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn a_site_keeps_its_times_and_refuses_those_that_make_no_sense() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let by = by(&app, &world);
        for (settings, field) in [
            (json!({"check": {"garce": "20m"}}), "settings.check.garce"),
            (json!({"check": {"grace": "soon"}}), "settings.check.grace"),
            (json!({"check": {"grace": "5h"}}), "settings.check.grace"),
            (json!({"check": {"unobserved_delay": "61m"}}), "settings.check.unobserved_delay"),
            (json!({"ladder": {"l4": "10m"}}), "settings.ladder"),
        ] {
            let patch: SitePatch = body(json!({"settings": settings}));
            assert_eq!(refused(done!(app, |tx| site::patch(&mut tx, &by, 1, patch, true))).field.as_deref(), Some(field));
        }
        let longer: SitePatch = body(json!({"settings": {"check": {"grace": "20m"}}, "name": "新名"}));
        let (first, second) = (longer.clone(), longer);
        assert_eq!(refused(done!(app, |tx| site::patch(&mut tx, &by, 1, first, false))).kind, RefusalKind::Forbidden);
        let changed = done!(app, |tx| site::patch(&mut tx, &by, 1, second, true)).unwrap();
        assert_eq!(changed.rules().unwrap().check.grace.0, chrono::TimeDelta::minutes(20));
        assert_eq!(changed.rules().unwrap().ladder.l4.0, chrono::TimeDelta::minutes(45), "what was not named stays");
    })
    .await;
}
