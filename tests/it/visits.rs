//! The visit record through the store, on both engines.

use chenlian::app::App;
use chenlian::domain::access::Who;
use chenlian::domain::case::Actor;
use chenlian::domain::refusal::RefusalKind;
use chenlian::domain::visit::FindingState;
use chenlian::store::finding::{FindingFilter, FindingPatch};
use chenlian::store::register::{By, Page};
use chenlian::store::register::{consent, contact, home, senior};
use chenlian::store::visit::{DueFilter, NewVisit, Rights, VisitFilter};
use chenlian::store::{alert, case, finding, visit};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::done;
use crate::harness::{World, on_each_engine};
use crate::register::{audited, body, day, refused};

fn by(app: &App, world: &World) -> By {
    By { site_id: world.site, actor_id: Some(world.primary), now: app.clock.now() }
}

/// Somebody who sees the whole street.
fn reader(world: &World) -> Who {
    Who { site_id: world.site, member_id: world.administrator, today: day("2026-11-23") }
}

/// A care visit of just now with what is laid over it.
fn care_visit(world: &World, more: Value) -> NewVisit {
    let mut value = json!({
        "id": Uuid::now_v7(), "senior_id": world.seniors[0], "kind": "care_visit", "method": "door",
        "started_at": "2026-11-23T05:40:00+08:00", "ended_at": "2026-11-23T05:55:00+08:00", "result": "met", "contact_with": "senior",
        "conditions": {"health": "fair", "spirits": "good"}, "safety": {"gas": "hazard", "fire": "ok"},
        "needs": [{"item": "shopping", "note": "米和油"}]
    });
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    body(value)
}

/// A follow-up that began when the clock of the test stands, and ends then.
fn follow_up(world: &World, alert: Uuid, more: Value) -> NewVisit {
    let mut value = json!({
        "kind": "alert_followup", "alert_id": alert, "started_at": "2026-11-23T06:00:00+08:00", "ended_at": "2026-11-23T06:00:00+08:00"
    });
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    care_visit(world, value)
}

/// Somebody asked that her neighbour be looked at.
async fn raised(app: &App, world: &World, senior: Uuid) -> Uuid {
    let (site, now) = (world.site, app.clock.now());
    let actor = Actor { id: world.backup, may_silence: false, may_confirm: false };
    done!(app, |tx| case::raise(&mut tx, site, senior, actor, Uuid::now_v7(), None, now)).unwrap()
}

async fn findings(app: &App, world: &World) -> Vec<(String, FindingState)> {
    let who = reader(world);
    let rows = done!(app, |tx| finding::visible(&mut tx, &who, FindingFilter::default(), Page::default())).unwrap();
    rows.into_iter().map(|finding| (finding.item, finding.state)).collect()
}

async fn told(app: &App, key: &'static str) -> Vec<Uuid> {
    app.read(move |mut tx| async move {
        let sql = "select recipient_id from notice where key = $1 order by recipient_id";
        let people = chenlian::on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(key).fetch_all(conn).await)?;
        Ok((tx, people))
    })
    .await
    .unwrap()
}

fn dossier() -> Value {
    json!({
        "window": "从花坛往上数第四层左二", "walk_order": 3, "usual_rising": "06:30:00", "hearing": "hard", "sight": "good", "mobility": "with_aid",
        "key_holder": {"name": "李婶", "phone": "139 0000 0000"}, "consent_to_enter": true,
        "contacts": [
            {"name": "张强", "relation": "儿子", "phone": "137 0000 0000", "minutes_away": 20},
            {"name": "张丽", "relation": "女儿", "phone": "136 0000 0000"}
        ]
    })
}

#[tokio::test]
async fn a_visit_is_recorded_once_and_what_it_found_runs_through_its_stages() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new = care_visit(&world, json!({}));
        let (id, again, other) = (new.id, new.clone(), NewVisit { note: Some("别的".to_owned()), ..new.clone() });
        let made = done!(app, |tx| visit::create(&mut tx, &by, new, Rights::default())).unwrap();
        assert_eq!(made.next_due, Some(day("2026-12-07")), "the yellow band comes again after 14 days");
        assert_eq!(made.visitors.0, [world.primary], "whoever enters it went");
        assert_eq!(done!(app, |tx| visit::create(&mut tx, &by, again, Rights::default())).unwrap(), made);
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, other, Rights::default()))).kind, RefusalKind::Conflict);
        assert_eq!(audited(&app, id, "create").await, 1);

        let who = reader(&world);
        let filter = FindingFilter { visit_id: Some(id), ..FindingFilter::default() };
        let found = done!(app, |tx| finding::visible(&mut tx, &who, filter, Page::default())).unwrap();
        let items: Vec<_> = found.iter().map(|finding| (finding.item.as_str(), finding.service_class.as_deref())).collect();
        assert!(items.contains(&("gas", None)) && items.contains(&("shopping", Some("05"))) && items.len() == 2, "{items:?}");
        let gas = found[0].id;
        let to = |state| FindingPatch { state: Some(state), note: None };
        let accepted = done!(app, |tx| finding::patch(&mut tx, &by, gas, 1, to(FindingState::Accepted))).unwrap();
        assert_eq!((accepted.state, accepted.closed_at), (FindingState::Accepted, None));
        assert_eq!(refused(done!(app, |tx| finding::patch(&mut tx, &by, gas, 2, to(FindingState::Requested)))).kind, RefusalKind::Conflict);
        assert_eq!(refused(done!(app, |tx| finding::patch(&mut tx, &by, gas, 1, to(FindingState::Rated)))).kind, RefusalKind::Stale);
        let closed = done!(app, |tx| finding::patch(&mut tx, &by, gas, 2, to(FindingState::Rated))).unwrap();
        assert_eq!(closed.closed_by, Some(world.primary));
    })
    .await;
}

#[tokio::test]
async fn a_correction_replaces_the_record_and_opens_no_finding_twice() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new = care_visit(&world, json!({}));
        let id = new.id;
        done!(app, |tx| visit::create(&mut tx, &by, new, Rights::default())).unwrap();
        let right = care_visit(&world, json!({"replaces_id": id, "note": "煤气阀已关"}));
        let right_id = right.id;
        done!(app, |tx| visit::create(&mut tx, &by, right, Rights::default())).unwrap();
        let who = reader(&world);
        let listed = done!(app, |tx| visit::visible(&mut tx, &who, VisitFilter::default(), Page::default())).unwrap();
        assert_eq!(listed.iter().map(|visit| visit.id).collect::<Vec<_>>(), [right_id]);
        let found = done!(app, |tx| finding::visible(&mut tx, &who, FindingFilter::default(), Page::default())).unwrap();
        assert_eq!(found.len(), 2);
        let third = care_visit(&world, json!({"replaces_id": id}));
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, third, Rights::default()))).key, "visit.already_replaced");
    })
    .await;
}

#[tokio::test]
async fn a_follow_up_resolves_its_alert_in_the_same_request_or_nothing_is_written() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let by = by(&app, &world);
        let site = world.site;
        let alert = raised(&app, &world, world.seniors[0]).await;
        let follow = |resolve: Value| follow_up(&world, alert, json!({ "resolve": resolve }));

        let without_proof = follow(json!({"safe": true, "outcome": "overslept"}));
        let id = without_proof.id;
        let no = refused(done!(app, |tx| visit::create(&mut tx, &by, without_proof, Rights::default())));
        assert_eq!(no.field.as_deref(), Some("resolve.contact_proof"));
        assert_eq!(refused(done!(app, |tx| visit::get(&mut tx, site, id))).kind, RefusalKind::NotFound, "all or nothing");

        let seen = follow(json!({"safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"}));
        let again = seen.clone();
        let made = done!(app, |tx| visit::create(&mut tx, &by, seen, Rights::default())).unwrap();
        assert_eq!(made.alert_id, Some(alert));
        assert_eq!(
            done!(app, |tx| visit::create(&mut tx, &by, again, Rights::default())).unwrap(),
            made,
            "a repeat resolves nothing twice"
        );
        let open: i64 = app
            .read(move |mut tx| async move {
                let sql = "select count(*) from alert where resolved_at is null";
                let open = chenlian::on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
                Ok((tx, open))
            })
            .await
            .unwrap();
        assert_eq!(open, 0);
        let of_another = follow_up(&world, alert, json!({"senior_id": world.seniors[1]}));
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, of_another, Rights::default()))).field.as_deref(), Some("alert_id"));
    })
    .await;
}

#[tokio::test]
async fn after_the_first_visit_the_next_alert_knows_the_window_the_key_and_whom_to_phone() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, site, id) = (by(&app, &world), world.site, world.seniors[0]);
        let known = body(
            json!({"id": Uuid::now_v7(), "position": 1, "name": "张丽", "relation": "侄女", "phone": "13600000000", "minutes_away": 45}),
        );
        done!(app, |tx| contact::create(&mut tx, &by, id, known)).unwrap();
        let first = care_visit(&world, json!({"kind": "first_visit", "dossier": dossier()}));
        let (visit_id, rights) = (first.id, Rights { register: true, ..Rights::default() });
        let made = done!(app, |tx| visit::create(&mut tx, &by, first, rights)).unwrap();
        assert!(made.dossier.0.is_some());

        let door = done!(app, |tx| alert::door(&mut tx, site, id)).unwrap();
        assert_eq!(door.window_hint, "从花坛往上数第四层左二");
        assert_eq!((door.key_holder.as_deref(), door.key_holder_phone.as_deref()), (Some("李婶"), Some("13900000000")));
        assert!(door.entry_consent && door.hearing_hint.contains("耳朵背"), "{door:?}");
        let order = |contacts: Vec<alert::ContactItem>| -> Vec<_> {
            contacts.into_iter().map(|contact| (contact.position, contact.name, contact.relation, contact.minutes_away)).collect()
        };
        let contacts = order(done!(app, |tx| alert::contacts(&mut tx, site, id)).unwrap());
        let expected = [(1, "张强", "儿子", Some(20)), (2, "张丽", "女儿", Some(45))];
        assert_eq!(contacts, expected.map(|(at, name, relation, minutes)| (at, name.to_owned(), relation.to_owned(), minutes)));
        let home = done!(app, |tx| async {
            let home_id = senior::get(&mut tx, site, id).await?.home_id;
            home::get(&mut tx, site, home_id).await
        })
        .unwrap();
        assert_eq!(home.walk_order, 3);
        assert_eq!(audited(&app, home.id, "change").await, 1, "the register's own audit says who changed the home");

        // She thinks again: the correction takes the consent back, and the contacts are not entered twice.
        let mut without = dossier();
        without["consent_to_enter"] = json!(false);
        let right = care_visit(&world, json!({"kind": "first_visit", "replaces_id": visit_id, "dossier": without}));
        done!(app, |tx| visit::create(&mut tx, &by, right, rights)).unwrap();
        assert!(!done!(app, |tx| alert::door(&mut tx, site, id)).unwrap().entry_consent);
        assert_eq!(done!(app, |tx| contact::list(&mut tx, site, id)).unwrap().len(), 2);
        assert_eq!(done!(app, |tx| consent::list(&mut tx, site, id)).unwrap().len(), 1, "withdrawn, not deleted");
    })
    .await;
}

#[tokio::test]
async fn the_dossier_of_a_volunteer_waits_for_the_social_worker_and_changes_nothing_before() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (by, site, id) = (by(&app, &world), world.site, world.seniors[0]);
        let first = care_visit(&world, json!({"kind": "first_visit", "dossier": dossier(), "safety": {}, "needs": []}));
        let made = done!(app, |tx| visit::create(&mut tx, &by, first, Rights::default())).unwrap();
        assert_eq!(made.dossier.0.expect("it is kept").contacts[0].phone, "13700000000");
        let door = done!(app, |tx| alert::door(&mut tx, site, id)).unwrap();
        assert!(door.window_hint == "左二窗" && !door.entry_consent, "{door:?}");
        assert_eq!(findings(&app, &world).await, [("dossier".to_owned(), FindingState::Requested)]);
        assert_eq!(told(&app, "notice.dossier_waits").await, [world.social_worker]);
        let stranger = care_visit(&world, json!({"visitors": [Uuid::now_v7()]}));
        let no = refused(done!(app, |tx| visit::create(&mut tx, &by, stranger, Rights::default())));
        assert_eq!(no.field.as_deref(), Some("visitors"));
    })
    .await;
}

#[tokio::test]
async fn a_correction_opens_the_hazard_that_was_forgotten_and_withdraws_the_one_ticked_by_mistake() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new = care_visit(&world, json!({"needs": []}));
        let id = new.id;
        done!(app, |tx| visit::create(&mut tx, &by, new, Rights::default())).unwrap();
        let right = care_visit(&world, json!({"replaces_id": id, "safety": {"gas": "ok", "locks": "hazard"}}));
        let right_id = right.id;
        done!(app, |tx| visit::create(&mut tx, &by, right, Rights::default())).unwrap();
        let mut found = findings(&app, &world).await;
        found.sort();
        let expected = [("gas", FindingState::Withdrawn), ("locks", FindingState::Requested), ("shopping", FindingState::Requested)];
        assert_eq!(found, expected.map(|(item, state)| (item.to_owned(), state)));
        // A correction of the correction looks through the whole chain.
        let third = care_visit(&world, json!({"replaces_id": right_id, "safety": {"gas": "hazard", "locks": "hazard"}}));
        done!(app, |tx| visit::create(&mut tx, &by, third, Rights::default())).unwrap();
        let open = findings(&app, &world).await.into_iter().filter(|(_, state)| !state.is_closed()).count();
        assert_eq!(open, 3, "locks and shopping stay, gas is opened again");
    })
    .await;
}

/// I9
#[tokio::test]
async fn a_visit_that_contradicts_itself_closes_no_alert() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let alert = raised(&app, &world, world.seniors[0]).await;
        let seen = json!({"safe": true, "contact_proof": "seen_in_person", "outcome": "forgot_curtain"});
        let by_phone = follow_up(&world, alert, json!({"method": "phone", "result": "not_met", "contact_with": null, "resolve": seen}));
        let no = refused(done!(app, |tx| visit::create(&mut tx, &by, by_phone, Rights::default())));
        assert_eq!((no.field.as_deref(), no.key), (Some("resolve.contact_proof"), "visit.proof_contradicts"));
        let dead = follow_up(&world, alert, json!({"result": "deceased", "contact_with": null, "resolve": seen}));
        let no = refused(done!(app, |tx| visit::create(&mut tx, &by, dead, Rights::default())));
        assert_eq!(no.field.as_deref(), Some("resolve.outcome"));
        assert_eq!(told(&app, "notice.stand_down_well").await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_death_met_on_a_care_visit_reaches_the_social_worker_at_once_and_the_message_does_not_say_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let visit = care_visit(&world, json!({"result": "deceased", "contact_with": "family", "safety": {}, "needs": []}));
        let made = done!(app, |tx| visit::create(&mut tx, &by, visit, Rights::default())).unwrap();
        assert_eq!(made.next_due, None);
        assert_eq!(findings(&app, &world).await, [("deceased".to_owned(), FindingState::Requested)]);
        assert_eq!(told(&app, "notice.circumstance").await, [world.social_worker]);
        let due = DueFilter { until: day("2027-01-01"), band: None, place: None, after: None, limit: 10 };
        let who = reader(&world);
        assert_eq!(done!(app, |tx| visit::due(&mut tx, &who, &due)).unwrap(), [], "nobody is sent there by the calendar");
    })
    .await;
}

#[tokio::test]
async fn a_record_made_without_a_network_counts_from_its_own_day() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let weeks_ago = json!({"started_at": "2026-11-03T09:00:00+08:00", "ended_at": null, "next_due": "2026-11-10"});
        let early = care_visit(&world, weeks_ago);
        let made = done!(app, |tx| visit::create(&mut tx, &by, early, Rights::default())).unwrap();
        assert_eq!(made.next_due, Some(day("2026-11-10")), "due before it arrived");
        let later = json!({"started_at": "2026-11-05T09:00:00+08:00", "ended_at": null});
        let late = care_visit(&world, later);
        let made = done!(app, |tx| visit::create(&mut tx, &by, late, Rights::default())).unwrap();
        assert_eq!(made.next_due, Some(day("2026-11-19")), "14 days after the visit, not after its arrival");
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_second_keeps_her_record_and_the_gas_that_she_smelt() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let alert = raised(&app, &world, world.seniors[0]).await;
        let resolve = json!({"safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"});
        let first = follow_up(&world, alert, json!({"resolve": resolve, "safety": {}, "needs": []}));
        let made = done!(app, |tx| visit::create(&mut tx, &by, first, Rights::default())).unwrap();
        assert_eq!(made.resolve_result.as_deref(), Some("resolved"));
        let second = follow_up(&world, alert, json!({"resolve": resolve, "needs": []}));
        let made = done!(app, |tx| visit::create(&mut tx, &by, second, Rights::default())).unwrap();
        assert_eq!(made.resolve_result.as_deref(), Some("already_resolved"));
        assert_eq!(findings(&app, &world).await, [("gas".to_owned(), FindingState::Requested)]);
    })
    .await;
}

/// I9: an offline record is older than what happened since.
#[tokio::test]
async fn a_visit_from_before_the_call_for_help_does_not_answer_it() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let alert = raised(&app, &world, world.seniors[0]).await;
        let before = json!({
            "started_at": "2026-11-23T05:30:00+08:00", "ended_at": "2026-11-23T05:40:00+08:00",
            "resolve": {"safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"}
        });
        let old = follow_up(&world, alert, before);
        let made = done!(app, |tx| visit::create(&mut tx, &by, old, Rights::default())).unwrap();
        assert_eq!(made.resolve_result.as_deref(), Some("newer_trigger"));
        assert_eq!(told(&app, "notice.stand_down_well").await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn whoever_was_never_visited_is_due_first_and_a_shut_door_is_tried_again_the_next_day() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 3).await;
        let (by, who) = (by(&app, &world), reader(&world));
        let met = care_visit(&world, json!({"senior_id": world.seniors[0]}));
        let shut = care_visit(&world, json!({"senior_id": world.seniors[1], "result": "not_met", "contact_with": null}));
        for visit in [met, shut] {
            done!(app, |tx| visit::create(&mut tx, &by, visit, Rights::default())).unwrap();
        }
        let until = |date, after| DueFilter { until: day(date), band: None, place: Some(world.compound), after, limit: 10 };
        let list = async |filter: DueFilter| done!(app, |tx| visit::due(&mut tx, &who, &filter)).unwrap();
        let today: Vec<_> = list(until("2026-11-23", None)).await.into_iter().map(|due| due.senior_id).collect();
        assert_eq!(today, [world.seniors[2]]);
        let all = list(until("2026-12-31", None)).await;
        let order: Vec<_> = all.iter().map(|due| (due.senior_id, due.next_due)).collect();
        let expected = [(2, None), (1, Some("2026-11-24")), (0, Some("2026-12-07"))];
        assert_eq!(order, expected.map(|(number, date)| (world.seniors[number], date.map(day))));
        let rest = list(until("2026-12-31", Some(all[0].sort_key()))).await;
        assert_eq!(rest, all[1..]);
        let red = DueFilter { band: Some(chenlian::domain::place::RiskBand::Red), ..until("2026-12-31", None) };
        assert_eq!(list(red).await, []);
    })
    .await;
}
