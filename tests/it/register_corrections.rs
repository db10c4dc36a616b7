//! Mistakes of the register that can be taken back, and those that are refused with what to do instead. On both engines.

use chenlian::domain::place::Role;
use chenlian::domain::refusal::RefusalKind;
use chenlian::store::register::contact::{ContactPatch, NewContact};
use chenlian::store::register::home::HomePatch;
use chenlian::store::register::leave::{LeavePatch, NewLeave};
use chenlian::store::register::pairing::NewPairing;
use chenlian::store::register::place::{NewPlace, PlacePatch};
use chenlian::store::register::role_grant::{NewRoleGrant, RoleGrantFilter};
use chenlian::store::register::senior::{EndedWhy, NewSenior, SeniorPatch};
use chenlian::store::register::{Page, agreement, contact, home, leave, member, pairing, place, role_grant, senior};
use chenlian::store::{roster, verify};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::done;
use crate::harness::{World, on_each_engine};
use crate::register::{audited, body, by, day, refused};
use crate::register_changes::{agreed, make_building, make_home, new_home};

#[tokio::test]
async fn a_building_under_the_wrong_compound_and_a_home_in_the_wrong_building_are_put_right() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new: NewPlace = body(json!({"id": Uuid::now_v7(), "kind": "compound", "name": "东苑", "parent_id": world.community}));
        let compound = done!(app, |tx| place::create(&mut tx, &by, new)).unwrap().id;
        let under = |parent: Uuid| PlacePatch { parent_id: Some(parent), ..PlacePatch::default() };
        let no = refused(done!(app, |tx| place::patch(&mut tx, &by, world.building, 1, under(compound), false)));
        assert_eq!(no.key, "register.silencing", "a new compound is in trial");
        for (id, parent) in [(world.building, world.street), (world.compound, world.building), (world.street, world.community)] {
            let no = refused(done!(app, |tx| place::patch(&mut tx, &by, id, 1, under(parent), true)));
            assert_eq!(no.field.as_deref(), Some("parent_id"), "no kind stands under another than its own");
        }
        let moved = done!(app, |tx| place::patch(&mut tx, &by, world.building, 1, under(compound), true)).unwrap();
        assert_eq!(moved.parent_id, Some(compound));
        let now = app.clock.now();
        let findings = done!(app, |tx| verify::findings(&mut tx, now)).unwrap();
        assert!(!findings.iter().any(|finding| finding.rule == "place_closure"), "{findings:?}");
        let (site, who) = (world.site, world.seniors[0]);
        let rosters = done!(app, |tx| roster::load(&mut tx, site, &[who], day("2026-11-23"))).unwrap();
        assert!(rosters[&who].holders(Role::BranchSecretary).is_empty(), "the secretary of the other compound");

        let building = make_building(&app, by, compound, "4号楼").await;
        let home_id = done!(app, |tx| senior::get(&mut tx, site, who)).unwrap().home_id;
        let corrected: HomePatch = body(json!({"building_id": building, "floor": null}));
        let corrected = done!(app, |tx| home::patch(&mut tx, &by, home_id, 1, corrected)).unwrap();
        assert_eq!((corrected.building_id, corrected.floor), (building, None));
    })
    .await;
}

#[tokio::test]
async fn one_door_is_entered_once_and_ends_when_nobody_lives_there() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let id = make_home(&app, by, world.building, "101").await;
        let twice = new_home(world.building, "101");
        let no = refused(done!(app, |tx| home::create(&mut tx, &by, twice)));
        assert_eq!((no.kind, no.key, no.field.as_deref()), (RefusalKind::Conflict, "register.home_taken", Some("room")));
        let other = make_home(&app, by, world.building, "102").await;
        let same: HomePatch = body(json!({"room": "101"}));
        assert_eq!(refused(done!(app, |tx| home::patch(&mut tx, &by, other, 1, same))).key, "register.home_taken");
        let lived_in = done!(app, |tx| senior::get(&mut tx, world.site, world.seniors[0])).unwrap().home_id;
        assert_eq!(refused(done!(app, |tx| home::end(&mut tx, &by, lived_in, 1))).key, "register.place_not_empty");
        assert!(done!(app, |tx| home::end(&mut tx, &by, id, 1)).unwrap().ended_at.is_some());
        make_home(&app, by, world.building, "101").await;
        let new: NewSenior = body(json!({"id": Uuid::now_v7(), "home_id": id, "name": "李秀芳", "called": "李奶奶", "risk_band": "green"}));
        assert_eq!(refused(done!(app, |tx| senior::create(&mut tx, &by, new))).field.as_deref(), Some("home_id"));
    })
    .await;
}

#[tokio::test]
async fn nobody_moves_into_a_building_that_ended() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let building = make_building(&app, by, world.compound, "4号楼").await;
        let home_id = make_home(&app, by, building, "101").await;
        done!(app, |tx| place::end(&mut tx, &by, building, 1)).unwrap();
        assert!(done!(app, |tx| home::get(&mut tx, by.site_id, home_id)).unwrap().ended_at.is_some(), "its homes ended with it");
        let new: NewSenior =
            body(json!({"id": Uuid::now_v7(), "home_id": home_id, "name": "李秀芳", "called": "李奶奶", "risk_band": "green"}));
        assert_eq!(refused(done!(app, |tx| senior::create(&mut tx, &by, new))).field.as_deref(), Some("home_id"));
        let moves = SeniorPatch { home_id: Some(home_id), ..SeniorPatch::default() };
        assert_eq!(refused(done!(app, |tx| senior::patch(&mut tx, &by, world.seniors[0], 1, moves))).field.as_deref(), Some("home_id"));
        let name: PlacePatch = body(json!({"name": "五号楼"}));
        assert_eq!(refused(done!(app, |tx| place::patch(&mut tx, &by, building, 2, name, true))).key, "register.already_ended");
    })
    .await;
}

#[tokio::test]
async fn who_was_ended_by_mistake_is_opened_again() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        done!(app, |tx| senior::end(&mut tx, &by, who, 1, EndedWhy::Moved, true)).unwrap();
        let name: SeniorPatch = body(json!({"called": "张姨"}));
        let no = refused(done!(app, |tx| senior::patch(&mut tx, &by, who, 2, name)));
        assert_eq!((no.kind, no.key), (RefusalKind::Conflict, "register.senior_ended"), "it is no question of versions");
        let open = done!(app, |tx| senior::reopen(&mut tx, &by, who, 2, None)).unwrap();
        assert_eq!((open.ended_at, open.ended_why, open.version), (None, None, 3));
        assert_eq!(audited(&app, who, "reopen").await, 1);
        assert_eq!(refused(done!(app, |tx| senior::reopen(&mut tx, &by, who, 3, None))).key, "register.not_ended");
        let anew: NewPairing = body(json!({"id": Uuid::now_v7(), "member_id": world.primary, "kind": "primary"}));
        done!(app, |tx| pairing::create(&mut tx, &by, who, anew)).expect("what ended with her is made anew");
        done!(app, |tx| agreement::create(&mut tx, &by, who, agreed(127, "08:00", "2026-11-24", None), false)).unwrap();

        let primary = world.primary;
        done!(app, |tx| member::end(&mut tx, &by, primary, 1)).unwrap();
        let open = done!(app, |tx| member::reopen(&mut tx, &by, primary, 2)).unwrap();
        assert_eq!((open.ended_at, audited(&app, primary, "reopen").await), (None, 1));
    })
    .await;
}

#[tokio::test]
async fn a_null_clears_what_may_be_unknown_and_is_refused_where_something_must_be_said() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let known: SeniorPatch = body(json!({"birth_year": 1940}));
        done!(app, |tx| senior::patch(&mut tx, &by, who, 1, known)).unwrap();
        let cleared: SeniorPatch = body(json!({"birth_year": null}));
        assert_eq!(done!(app, |tx| senior::patch(&mut tx, &by, who, 2, cleared)).unwrap().birth_year, None);
        let son: NewContact = body(json!({
            "id": Uuid::now_v7(), "position": 1, "name": "张强", "relation": "儿子", "phone": "13700000000", "minutes_away": 20
        }));
        let son_id = son.id;
        done!(app, |tx| contact::create(&mut tx, &by, who, son)).unwrap();
        let nobody_knows: ContactPatch = body(json!({"minutes_away": null}));
        assert_eq!(done!(app, |tx| contact::patch(&mut tx, &by, who, son_id, 1, nobody_knows)).unwrap().minutes_away, None);
        assert!(serde_json::from_value::<SeniorPatch>(json!({"called": null})).is_err());
        assert!(serde_json::from_value::<HomePatch>(json!({"room": null})).is_err());
        assert!(serde_json::from_value::<PlacePatch>(json!({"name": null})).is_err());
    })
    .await;
}

#[tokio::test]
async fn two_contacts_in_one_position_are_phoned_in_the_order_in_which_they_were_entered() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let who = world.seniors[0];
        // The ids are made by phones and say nothing about the order.
        for (id, name) in [(3_u128, "大女儿"), (2, "二女儿"), (1, "三女儿")] {
            let one: NewContact =
                body(json!({"id": Uuid::from_u128(id), "position": 1, "name": name, "relation": "女儿", "phone": "13700000000"}));
            let by = by(&app, &world);
            done!(app, |tx| contact::create(&mut tx, &by, who, one)).unwrap();
            app.clock.advance(TimeDelta::milliseconds(1));
        }
        let site = world.site;
        let names: Vec<String> = done!(app, |tx| contact::list(&mut tx, site, who)).unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["大女儿", "二女儿", "三女儿"]);
        let script: Vec<String> =
            done!(app, |tx| chenlian::store::alert::contacts(&mut tx, site, who)).unwrap().into_iter().map(|one| one.name).collect();
        assert_eq!(script, names);
    })
    .await;
}

#[tokio::test]
async fn somebody_who_stands_in_is_named_later_and_changed_and_is_there_herself() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let of = |member: Uuid, from: &str, back: &str| -> NewLeave {
            body(json!({"id": Uuid::now_v7(), "member_id": member, "from_date": from, "return_date": back}))
        };
        let away = of(world.primary, "2026-11-25", "2026-11-27");
        let id = away.id;
        done!(app, |tx| leave::create(&mut tx, &by, away)).unwrap();
        let stands_in = |member: Option<Uuid>| LeavePatch { substitute_id: Some(member), ..LeavePatch::default() };
        let named = done!(app, |tx| leave::patch(&mut tx, &by, id, 1, stands_in(Some(world.building_lead)))).unwrap();
        assert_eq!((named.substitute_id, named.version), (Some(world.building_lead), 2));
        assert_eq!(audited(&app, id, "change").await, 1);
        let no = refused(done!(app, |tx| leave::patch(&mut tx, &by, id, 2, stands_in(Some(world.primary)))));
        assert_eq!(no.key, "register.own_substitute");
        let lead_away = of(world.building_lead, "2026-11-26", "2026-11-28");
        assert_eq!(refused(done!(app, |tx| leave::create(&mut tx, &by, lead_away))).key, "register.stands_in");
        done!(app, |tx| leave::create(&mut tx, &by, of(world.social_worker, "2026-11-26", "2026-11-28"))).unwrap();
        let no = refused(done!(app, |tx| leave::patch(&mut tx, &by, id, 2, stands_in(Some(world.social_worker)))));
        assert_eq!(no.key, "register.already_on_leave");
        assert_eq!(done!(app, |tx| leave::patch(&mut tx, &by, id, 2, stands_in(None))).unwrap().substitute_id, None);
        let backup = of(world.backup, "2026-11-26", "2026-11-28");
        assert_eq!(refused(done!(app, |tx| leave::create(&mut tx, &by, backup))).key, "register.both_on_leave");
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 0).await;
        let (by, admin) = (by(&app, &world), world.administrator);
        let filter = RoleGrantFilter { member_id: Some(admin), ..RoleGrantFilter::default() };
        let grant = done!(app, |tx| role_grant::list(&mut tx, by.site_id, filter, Page::default())).unwrap().remove(0).id;
        for no in [
            refused(done!(app, |tx| member::end(&mut tx, &by, admin, 1))),
            refused(done!(app, |tx| role_grant::end(&mut tx, &by, grant, 1, None))),
            refused(done!(app, |tx| role_grant::end(&mut tx, &by, grant, 1, Some(day("2026-12-31"))))),
            refused(done!(app, |tx| place::end(&mut tx, &by, world.street, 1))),
        ] {
            assert_eq!((no.kind, no.key), (RefusalKind::Conflict, "register.last_administrator"));
        }
        let second: NewRoleGrant =
            body(json!({"id": Uuid::now_v7(), "member_id": world.secretary, "role": "administrator", "place_id": world.street}));
        done!(app, |tx| role_grant::create(&mut tx, &by, second)).unwrap();
        done!(app, |tx| member::end(&mut tx, &by, admin, 1)).expect("another one is there");
    })
    .await;
}
