//! The register through the store: seniors, and what is agreed with them and about them, on both engines.

use chenlian::app::App;
use chenlian::domain::check::Slot;
use chenlian::domain::id;
use chenlian::domain::reach::Gap;
use chenlian::domain::refusal::RefusalKind;
use chenlian::store::register::absence::NewAbsence;
use chenlian::store::register::agreement::NewAgreement;
use chenlian::store::register::consent::NewConsent;
use chenlian::store::register::contact::{ContactPatch, NewContact};
use chenlian::store::register::duty::NewDuty;
use chenlian::store::register::leave::NewLeave;
use chenlian::store::register::pairing::{NewPairing, PairingFilter};
use chenlian::store::register::senior::{EndedWhy, NewSenior, RevealReason, SeniorPatch};
use chenlian::store::register::{Page, absence, agreement, consent, contact, duty, leave, pairing, reach, senior};
use chenlian::{on, store};
use chrono::NaiveDate;
use serde_json::json;
use uuid::Uuid;

use crate::done;
use crate::harness::{World, local, on_each_engine};
use crate::register::{audited, body, by, day, refused};

/// State and cutoff of the morning check of a date.
async fn morning_check(app: &App, world: &World, date: NaiveDate) -> Option<(String, chrono::DateTime<chrono::Utc>)> {
    let check = id::check(world.site, world.seniors[0], date, Slot::Morning);
    app.read(move |mut tx| async move {
        let sql = "select state, cutoff_at from daily_check where id = $1";
        let row = on!(&mut tx, |conn| sqlx::query_as(sql).bind(check).fetch_optional(conn).await)?;
        Ok((tx, row))
    })
    .await
    .expect("the check is read")
}

/// Plans today and tomorrow.
async fn plan(app: &App, world: &World) {
    let (site, now) = (world.site, app.clock.now());
    done!(app, |tx| store::plan::plan_site(&mut tx, site, now)).expect("the days are planned");
}

#[tokio::test]
async fn a_senior_is_registered_once_corrected_and_her_sensitive_fields_are_opened_with_a_reason() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let home = done!(app, |tx| senior::get(&mut tx, by.site_id, world.seniors[0])).unwrap().home_id;
        let new: NewSenior = body(json!({
            "id": Uuid::now_v7(), "home_id": home, "name": "李秀芳", "called": "李奶奶", "risk_band": "red", "birth_year": 1940,
            "categories": ["living_alone", "advanced_age"]
        }));
        let (id, again, other) = (new.id, new.clone(), NewSenior { called: "李阿姨".to_owned(), ..new.clone() });
        let made = done!(app, |tx| senior::create(&mut tx, &by, new)).unwrap();
        assert_eq!(done!(app, |tx| senior::create(&mut tx, &by, again)).unwrap(), made);
        assert_eq!(refused(done!(app, |tx| senior::create(&mut tx, &by, other))).kind, RefusalKind::Conflict);
        let patch: SeniorPatch = body(json!({"phone": "0351-7001234", "categories": []}));
        let changed = done!(app, |tx| senior::patch(&mut tx, &by, id, 1, patch)).unwrap();
        assert_eq!((changed.phone.as_deref(), changed.categories.0.len()), (Some("03517001234"), 0));
        let stale: SeniorPatch = body(json!({"called": "李姨"}));
        assert_eq!(refused(done!(app, |tx| senior::patch(&mut tx, &by, id, 1, stale))).kind, RefusalKind::Stale);
        done!(app, |tx| senior::reveal(&mut tx, &by, id, RevealReason::Visit)).unwrap();
        assert_eq!(audited(&app, id, "read_sensitive").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_senior_who_is_no_longer_looked_after_has_no_check_tomorrow_and_nobody_paired() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        plan(&app, &world).await;
        let (by, id) = (by(&app, &world), world.seniors[0]);
        assert!(morning_check(&app, &world, day("2026-11-24")).await.is_some());
        let no = refused(done!(app, |tx| senior::end(&mut tx, &by, id, 1, EndedWhy::Moved, false)));
        assert_eq!(no.kind, RefusalKind::Forbidden);
        done!(app, |tx| senior::end(&mut tx, &by, id, 1, EndedWhy::Moved, true)).unwrap();
        assert_eq!(morning_check(&app, &world, day("2026-11-24")).await, None);
        let filter = PairingFilter { senior_id: Some(id), on: Some(day("2026-11-23")), ..PairingFilter::default() };
        assert!(done!(app, |tx| pairing::list(&mut tx, by.site_id, filter, Page::default())).unwrap().is_empty());
        let late: NewContact = body(json!({"position": 1, "name": "张强", "relation": "儿子", "phone": "13700000000"}));
        assert_eq!(refused(done!(app, |tx| contact::create(&mut tx, &by, id, late))).key, "register.senior_ended");
    })
    .await;
}

#[tokio::test]
async fn contacts_stand_in_order_and_there_are_at_most_ten() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let son: NewContact =
            body(json!({"id": Uuid::now_v7(), "position": 2, "name": "张强", "relation": "儿子", "phone": "13700000000"}));
        let (son_id, again) = (son.id, son.clone());
        let made = done!(app, |tx| contact::create(&mut tx, &by, who, son)).unwrap();
        assert_eq!(done!(app, |tx| contact::create(&mut tx, &by, who, again)).unwrap(), made);
        for number in 0..9 {
            let one: NewContact = body(
                json!({"position": 1, "id": Uuid::now_v7(), "name": "邻居", "relation": "邻居", "phone": format!("1370000001{number}")}),
            );
            done!(app, |tx| contact::create(&mut tx, &by, who, one)).unwrap();
        }
        let eleventh: NewContact = body(json!({"position": 1, "id": Uuid::now_v7(), "name": "某", "relation": "友", "phone": "110"}));
        let retry = eleventh.clone();
        assert_eq!(refused(done!(app, |tx| contact::create(&mut tx, &by, who, eleventh))).key, "register.contacts_max");
        let listed = done!(app, |tx| contact::list(&mut tx, by.site_id, who)).unwrap();
        assert_eq!(listed.last().map(|contact| contact.id), Some(son_id), "position 2 comes last");
        let first: ContactPatch = body(json!({"position": 0, "minutes_away": 20}));
        done!(app, |tx| contact::patch(&mut tx, &by, who, son_id, 1, first)).unwrap();
        assert_eq!(done!(app, |tx| contact::list(&mut tx, by.site_id, who)).unwrap()[0].id, son_id);
        done!(app, |tx| contact::end(&mut tx, &by, who, son_id, 2)).unwrap();
        done!(app, |tx| contact::create(&mut tx, &by, who, retry)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_consent_is_withdrawn_and_stays_on_record() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let new: NewConsent =
            body(json!({"id": Uuid::now_v7(), "scope": "key_entry", "given_at": "2026-11-20T10:00:00.123456+08:00", "given_how": "书面"}));
        let (id, again) = (new.id, new.clone());
        let made = done!(app, |tx| consent::create(&mut tx, &by, who, new)).unwrap();
        assert_eq!(done!(app, |tx| consent::create(&mut tx, &by, who, again)).unwrap(), made);
        done!(app, |tx| consent::withdraw(&mut tx, &by, who, id, 1)).unwrap();
        let all = done!(app, |tx| consent::list(&mut tx, by.site_id, who)).unwrap();
        assert!(all.len() == 1 && all[0].withdrawn_at.is_some());
        assert_eq!(refused(done!(app, |tx| consent::withdraw(&mut tx, &by, who, id, 2))).key, "register.already_ended");
        let tomorrow: NewConsent = body(json!({"scope": "visit", "given_at": "2026-11-24T10:00:00+08:00", "given_how": "口头"}));
        assert_eq!(refused(done!(app, |tx| consent::create(&mut tx, &by, who, tomorrow))).field.as_deref(), Some("given_at"));
    })
    .await;
}

#[tokio::test]
async fn a_senior_has_one_primary_and_one_backup_at_a_time_and_they_are_two_people() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let second: NewPairing =
            body(json!({"member_id": world.social_worker, "kind": "primary", "id": Uuid::now_v7(), "from_date": "2026-12-01"}));
        let (id, later, again) = (second.id, second.clone(), second.clone());
        let no = refused(done!(app, |tx| pairing::create(&mut tx, &by, who, second)));
        assert_eq!((no.key, no.arguments["member"].as_str()), ("register.pairing_taken", "王建国"));
        let filter = PairingFilter { senior_id: Some(who), member_id: Some(world.primary), ..PairingFilter::default() };
        let old = done!(app, |tx| pairing::list(&mut tx, by.site_id, filter, Page::default())).unwrap().remove(0);
        done!(app, |tx| pairing::end(&mut tx, &by, who, old.id, 1, Some(day("2026-12-01")))).unwrap();
        let made = done!(app, |tx| pairing::create(&mut tx, &by, who, later)).unwrap();
        assert_eq!((made.id, made.from_date), (id, day("2026-12-01")));
        assert_eq!(done!(app, |tx| pairing::create(&mut tx, &by, who, again)).unwrap(), made);
        let both: NewPairing =
            body(json!({"member_id": world.backup, "kind": "primary", "from_date": "2026-11-25", "to_date": "2026-11-26"}));
        let no = refused(done!(app, |tx| pairing::create(&mut tx, &by, who, both)));
        assert_eq!(no.kind, RefusalKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn a_duty_names_its_windows_and_ends() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new: NewDuty = body(json!({
            "id": Uuid::now_v7(), "member_id": world.backup, "slot": "morning", "weekdays": 31,
            "building_ids": [world.building], "senior_ids": [world.seniors[0]]
        }));
        let (id, again) = (new.id, new.clone());
        let made = done!(app, |tx| duty::create(&mut tx, &by, new)).unwrap();
        assert_eq!((made.building_ids.len(), made.senior_ids.len()), (1, 1));
        assert_eq!(done!(app, |tx| duty::create(&mut tx, &by, again)).unwrap(), made);
        for (wrong, field) in [
            (json!({"member_id": world.backup, "slot": "morning", "weekdays": 128, "building_ids": [world.building]}), "weekdays"),
            (json!({"member_id": world.backup, "slot": "morning", "weekdays": 1}), "building_ids"),
            (json!({"member_id": world.backup, "slot": "morning", "weekdays": 1, "building_ids": [world.compound]}), "building_ids"),
            (json!({"member_id": Uuid::now_v7(), "slot": "morning", "weekdays": 1, "building_ids": [world.building]}), "member_id"),
        ] {
            let duty: NewDuty = body(wrong);
            let duty = NewDuty { id: Uuid::now_v7(), ..duty };
            assert_eq!(refused(done!(app, |tx| duty::create(&mut tx, &by, duty))).field.as_deref(), Some(field));
        }
        assert_eq!(done!(app, |tx| duty::end(&mut tx, &by, id, 1, None)).unwrap().to_date, Some(day("2026-11-23")));
    })
    .await;
}

fn leave_of(member: Uuid, from: &str, back: &str) -> NewLeave {
    body(json!({"id": Uuid::now_v7(), "member_id": member, "from_date": from, "return_date": back}))
}

#[tokio::test]
async fn primary_and_backup_are_never_away_on_the_same_day() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let first = leave_of(world.primary, "2026-11-25", "2026-11-27");
        let (first_id, again) = (first.id, first.clone());
        let made = done!(app, |tx| leave::create(&mut tx, &by, first)).unwrap();
        assert_eq!(done!(app, |tx| leave::create(&mut tx, &by, again)).unwrap(), made);
        let same_day = leave_of(world.backup, "2026-11-26", "2026-11-30");
        let later = same_day.clone();
        let no = refused(done!(app, |tx| leave::create(&mut tx, &by, same_day)));
        assert_eq!((no.kind, no.arguments["primary"].as_str()), (RefusalKind::Conflict, "王建国"));
        let day_after = leave_of(world.backup, "2026-11-27", "2026-11-28");
        done!(app, |tx| leave::create(&mut tx, &by, day_after)).unwrap();
        let stands_in = NewLeave { substitute_id: Some(world.primary), ..leave_of(world.building_lead, "2026-11-26", "2026-11-27") };
        assert_eq!(refused(done!(app, |tx| leave::create(&mut tx, &by, stands_in))).key, "register.already_on_leave");
        done!(app, |tx| leave::cancel(&mut tx, &by, first_id, 1)).unwrap();
        let no = refused(done!(app, |tx| leave::create(&mut tx, &by, later)));
        assert_eq!(no.key, "register.already_on_leave", "the backup's own leave of the 27th is still there");
    })
    .await;
}

#[tokio::test]
async fn a_new_agreement_counts_from_tomorrow_and_todays_check_keeps_its_time() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        plan(&app, &world).await;
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let new: NewAgreement = body(json!({
            "id": Uuid::now_v7(), "slot": "morning", "expected_sign": "open", "deadline": "08:00", "sensor_policy": "sufficient"
        }));
        let (id, again) = (new.id, new.clone());
        let other = NewAgreement { weekdays: 31, ..new.clone() };
        let made = done!(app, |tx| agreement::create(&mut tx, &by, who, new, false)).unwrap();
        assert_eq!(made.effective_from, day("2026-11-24"));
        assert_eq!(done!(app, |tx| agreement::create(&mut tx, &by, who, again, false)).unwrap(), made);
        assert_eq!(refused(done!(app, |tx| agreement::create(&mut tx, &by, who, other, true))).kind, RefusalKind::Conflict);
        let all = done!(app, |tx| agreement::list(&mut tx, by.site_id, who)).unwrap();
        assert_eq!((all.len(), all[0].to_date, all[1].id), (2, Some(day("2026-11-24")), id), "the old one ended, nothing was changed");
        assert_eq!(morning_check(&app, &world, day("2026-11-23")).await.unwrap().1, local("09:45:00"));
        assert_eq!(morning_check(&app, &world, day("2026-11-24")).await.unwrap().1, local("08:15:00") + chrono::TimeDelta::days(1));
    })
    .await;
}

#[tokio::test]
async fn a_later_deadline_needs_somebody_who_may_silence_and_a_judged_day_stays_judged() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        plan(&app, &world).await;
        let (by_dawn, who) = (by(&app, &world), world.seniors[0]);
        let later = |from: Option<&str>| -> NewAgreement {
            body(json!({
                "id": Uuid::now_v7(), "slot": "morning", "expected_sign": "open", "deadline": "10:00", "sensor_policy": "sufficient", "from_date": from
            }))
        };
        let one = later(None);
        let no = refused(done!(app, |tx| agreement::create(&mut tx, &by_dawn, who, one, false)));
        assert_eq!((no.kind, no.key), (RefusalKind::Forbidden, "register.silencing"));
        app.clock.advance(chrono::TimeDelta::hours(4));
        let after_cutoff = by(&app, &world);
        let one = later(Some("2026-11-23"));
        let no = refused(done!(app, |tx| agreement::create(&mut tx, &after_cutoff, who, one, true)));
        assert_eq!((no.field.as_deref(), no.arguments["date"].as_str()), (Some("from_date"), "2026-11-24"));
        let one = later(None);
        let made = done!(app, |tx| agreement::create(&mut tx, &after_cutoff, who, one, true)).unwrap();
        assert!(refused(done!(app, |tx| agreement::end(&mut tx, &after_cutoff, who, made.id, None, false))).kind == RefusalKind::Forbidden);
        let ended = done!(app, |tx| agreement::end(&mut tx, &after_cutoff, who, made.id, None, true)).unwrap();
        assert_eq!(ended.to_date, Some(day("2026-11-24")));
        assert_eq!(morning_check(&app, &world, day("2026-11-24")).await, None, "nothing is agreed for tomorrow any more");
    })
    .await;
}

fn away(from: &str, back: &str) -> NewAbsence {
    body(json!({"id": Uuid::now_v7(), "kind": "with_family", "from_date": from, "return_date": back, "reported_by": "儿子张强"}))
}

#[tokio::test]
async fn an_absence_excuses_nothing_until_somebody_who_may_confirms_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        plan(&app, &world).await;
        let (by, who, today) = (by(&app, &world), world.seniors[0], day("2026-11-23"));
        let new = away("2026-11-23", "2026-11-30");
        let (id, again, other) = (new.id, new.clone(), NewAbsence { reported_by: "邻居".to_owned(), ..new.clone() });
        let made = done!(app, |tx| absence::propose(&mut tx, &by, who, new)).unwrap();
        assert_eq!(done!(app, |tx| absence::propose(&mut tx, &by, who, again)).unwrap(), made);
        assert_eq!(refused(done!(app, |tx| absence::propose(&mut tx, &by, who, other))).kind, RefusalKind::Conflict);
        assert_eq!(morning_check(&app, &world, today).await.unwrap().0, "expected");
        assert_eq!(refused(done!(app, |tx| absence::confirm(&mut tx, &by, who, id, 1, false))).kind, RefusalKind::Forbidden);
        done!(app, |tx| absence::confirm(&mut tx, &by, who, id, 1, true)).unwrap();
        let told = crate::morning::notices(&app).await;
        let told: Vec<Uuid> = told.into_iter().filter(|(_, key, _)| key == "notice.silenced_absence").map(|(member, ..)| member).collect();
        for member in [world.primary, world.backup, world.secretary] {
            assert!(told.contains(&member), "who silences is not the only one who knows");
        }
        assert!(by.actor_id.is_none_or(|actor| !told.contains(&actor)));
        assert_eq!(morning_check(&app, &world, today).await.unwrap().0, "excused");
        done!(app, |tx| absence::cancel(&mut tx, &by, who, id, 2)).unwrap();
        assert_eq!(morning_check(&app, &world, today).await.unwrap().0, "expected", "she is at home after all");
        for (from, back, field) in [
            ("2026-11-23", "2026-11-23", "return_date"),
            ("2026-11-23", "2026-12-08", "return_date"),
            ("2026-11-01", "2026-11-10", "from_date"),
        ] {
            let wrong = away(from, back);
            assert_eq!(refused(done!(app, |tx| absence::propose(&mut tx, &by, who, wrong))).field.as_deref(), Some(field), "{from} {back}");
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_of_another_site_can_be_named_or_read() {
    on_each_engine(|app| async move {
        let (world, elsewhere) = (World::seed(&app, 1).await, World::seed(&app, 1).await);
        let by = by(&app, &world);
        let (mine, foreign) = (world.seniors[0], elsewhere.seniors[0]);
        for unknown in [foreign, Uuid::now_v7()] {
            let one = away("2026-11-23", "2026-11-30");
            assert_eq!(refused(done!(app, |tx| absence::propose(&mut tx, &by, unknown, one))).kind, RefusalKind::NotFound);
            let reason = RevealReason::Alert;
            assert_eq!(refused(done!(app, |tx| senior::reveal(&mut tx, &by, unknown, reason))).kind, RefusalKind::NotFound);
        }
        let pairing: NewPairing = body(json!({"member_id": elsewhere.social_worker, "kind": "primary", "from_date": "2030-01-01"}));
        assert_eq!(refused(done!(app, |tx| pairing::create(&mut tx, &by, mine, pairing))).field.as_deref(), Some("member_id"));
    })
    .await;
}

#[tokio::test]
async fn every_gap_around_a_senior_is_counted_until_it_is_closed() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let (site, today) = (world.site, day("2026-11-23"));
        crate::outbox::change(&app, "update home set key_holder_member_id = (select id from member order by id limit 1)").await;
        let all = done!(app, |tx| reach::reachability(&mut tx, site, None, today)).unwrap();
        assert_eq!((all.seniors, all.covered, all.operator_reachable), (2, 2, true), "{all:?}");
        let secretary = world.secretary;
        app.write(move |mut tx| async move {
            let sql = "update member_channel set verified_at = null where member_id = $1";
            on!(&mut tx, |conn| sqlx::query(sql).bind(secretary).execute(conn).await.map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        let (by, who) = (by(&app, &world), world.seniors[0]);
        let filter = PairingFilter { senior_id: Some(who), member_id: Some(world.backup), ..PairingFilter::default() };
        let backup = done!(app, |tx| pairing::list(&mut tx, site, filter, Page::default())).unwrap().remove(0);
        done!(app, |tx| pairing::end(&mut tx, &by, who, backup.id, 1, None)).unwrap();
        let gaps = done!(app, |tx| reach::reachability(&mut tx, site, None, today)).unwrap();
        assert_eq!((gaps.covered, gaps.counts[&Gap::NoBackup], gaps.counts[&Gap::NoBranchSecretary]), (0, 1, 2));
        let building = done!(app, |tx| reach::reachability(&mut tx, site, Some(world.building), today)).unwrap();
        assert_eq!(building.seniors, 2);
    })
    .await;
}
