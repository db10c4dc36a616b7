//! The visit record through the store, on both engines.

use chenlian::app::App;
use chenlian::domain::access::Who;
use chenlian::domain::case::Actor;
use chenlian::domain::refusal::RefusalKind;
use chenlian::domain::visit::FindingState;
use chenlian::store::finding::{FindingFilter, FindingPatch};
use chenlian::store::register::{By, Page};
use chenlian::store::visit::{NewVisit, VisitFilter};
use chenlian::store::{case, finding, visit};
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

#[tokio::test]
async fn a_visit_is_recorded_once_and_what_it_found_runs_through_its_stages() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let new = care_visit(&world, json!({}));
        let (id, again, other) = (new.id, new.clone(), NewVisit { note: Some("别的".to_owned()), ..new.clone() });
        let made = done!(app, |tx| visit::create(&mut tx, &by, new, false)).unwrap();
        assert_eq!(made.next_due, Some(day("2026-12-07")), "the yellow band comes again after 14 days");
        assert_eq!(made.visitors.0, [world.primary], "whoever enters it went");
        assert_eq!(done!(app, |tx| visit::create(&mut tx, &by, again, false)).unwrap(), made);
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, other, false))).kind, RefusalKind::Conflict);
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
        done!(app, |tx| visit::create(&mut tx, &by, new, false)).unwrap();
        let right = care_visit(&world, json!({"replaces_id": id, "note": "煤气阀已关"}));
        let right_id = right.id;
        done!(app, |tx| visit::create(&mut tx, &by, right, false)).unwrap();
        let who = reader(&world);
        let listed = done!(app, |tx| visit::visible(&mut tx, &who, VisitFilter::default(), Page::default())).unwrap();
        assert_eq!(listed.iter().map(|visit| visit.id).collect::<Vec<_>>(), [right_id]);
        let found = done!(app, |tx| finding::visible(&mut tx, &who, FindingFilter::default(), Page::default())).unwrap();
        assert_eq!(found.len(), 2);
        let third = care_visit(&world, json!({"replaces_id": id}));
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, third, false))).key, "visit.already_replaced");
    })
    .await;
}

#[tokio::test]
async fn a_follow_up_resolves_its_alert_in_the_same_request_or_nothing_is_written() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let by = by(&app, &world);
        let (site, senior, now) = (world.site, world.seniors[0], app.clock.now());
        let actor = Actor { id: world.backup, may_silence: false, may_confirm: false };
        let alert = done!(app, |tx| case::raise(&mut tx, site, senior, actor, Uuid::now_v7(), None, now)).unwrap();
        let follow = |resolve: Value| care_visit(&world, json!({"kind": "alert_followup", "alert_id": alert, "resolve": resolve}));

        let without_proof = follow(json!({"safe": true, "outcome": "overslept"}));
        let id = without_proof.id;
        let no = refused(done!(app, |tx| visit::create(&mut tx, &by, without_proof, false)));
        assert_eq!(no.field.as_deref(), Some("contact_proof"));
        assert_eq!(refused(done!(app, |tx| visit::get(&mut tx, site, id))).kind, RefusalKind::NotFound, "all or nothing");

        let seen = follow(json!({"safe": true, "contact_proof": "seen_in_person", "outcome": "overslept"}));
        let again = seen.clone();
        let made = done!(app, |tx| visit::create(&mut tx, &by, seen, false)).unwrap();
        assert_eq!(made.alert_id, Some(alert));
        assert_eq!(done!(app, |tx| visit::create(&mut tx, &by, again, false)).unwrap(), made, "a repeat resolves nothing twice");
        let open: i64 = app
            .read(move |mut tx| async move {
                let sql = "select count(*) from alert where resolved_at is null";
                let open = chenlian::on!(&mut tx, |conn| sqlx::query_scalar(sql).fetch_one(conn).await)?;
                Ok((tx, open))
            })
            .await
            .unwrap();
        assert_eq!(open, 0);
        let of_another = care_visit(&world, json!({"kind": "alert_followup", "alert_id": alert, "senior_id": world.seniors[1]}));
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, of_another, false))).field.as_deref(), Some("alert_id"));
    })
    .await;
}

#[tokio::test]
async fn a_first_visit_keeps_the_dossier_and_an_unknown_visitor_is_refused() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let by = by(&app, &world);
        let dossier = json!({
            "window": "从花坛往上数第四层左二", "walk_order": 3, "usual_rising": "06:30:00", "hearing": "hard", "sight": "good", "mobility": "with_aid",
            "consent_to_enter": true, "contacts": [{"name": "张强", "relation": "儿子", "phone": "137 0000 0000", "minutes_away": 20}]
        });
        let first = care_visit(&world, json!({"kind": "first_visit", "dossier": dossier}));
        let made = done!(app, |tx| visit::create(&mut tx, &by, first, false)).unwrap();
        let kept = made.dossier.0.expect("a first visit has its dossier");
        assert_eq!(kept.contacts[0].phone, "13700000000");
        let stranger = care_visit(&world, json!({"visitors": [Uuid::now_v7()]}));
        assert_eq!(refused(done!(app, |tx| visit::create(&mut tx, &by, stranger, false))).field.as_deref(), Some("visitors"));
    })
    .await;
}
