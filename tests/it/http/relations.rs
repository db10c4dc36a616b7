//! What ties a member to a senior, on real rows: role scope, pairing, duty, standing in, an open alert.

use chenlian::app::App;
use chenlian::domain::access::{Capability, Relation, Who};
use chenlian::domain::place::Role;
use chenlian::on;
use chenlian::store::access;
use chrono::NaiveDate;
use uuid::Uuid;

use crate::harness::{World, on_each_engine};

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a literal date")
}

async fn look(app: &App, site: Uuid, member: Uuid, senior: Uuid, today: &str) -> (Option<Relation>, bool) {
    let who = Who { site_id: site, member_id: member, today: day(today) };
    app.read(move |mut tx| async move {
        let relation = access::relation(&mut tx, &who, senior).await?;
        let listed = access::visible(&mut tx, &who).await?.contains(&senior);
        // The list and the single look never disagree.
        let seen = relation.as_ref().is_some_and(|relation| relation.may(Capability::SeniorRead));
        assert_eq!(seen, listed, "{relation:?}");
        Ok((tx, (relation, listed)))
    })
    .await
    .expect("relations are read")
}

async fn run(app: &App, sql: &'static str, binds: Vec<Uuid>) {
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| {
            let mut query = sqlx::query(sql);
            for id in binds {
                query = query.bind(id);
            }
            query.execute(conn).await.map(|_| ())
        })?;
        Ok((tx, ()))
    })
    .await
    .expect("a row is written");
}

const TODAY: &str = "2026-11-23";

#[tokio::test]
async fn everybody_around_a_senior_sees_her_and_nobody_of_another_site_does() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let other = World::seed(&app, 1).await;
        let senior = world.seniors[0];
        for (member, role) in [
            (world.building_lead, Role::BuildingLead),
            (world.social_worker, Role::SocialWorker),
            (world.secretary, Role::BranchSecretary),
            (world.street_duty, Role::StreetDuty),
            (world.administrator, Role::Administrator),
        ] {
            let (relation, listed) = look(&app, world.site, member, senior, TODAY).await;
            assert_eq!((relation.unwrap().roles, listed), (vec![role], true));
        }
        let (relation, listed) = look(&app, world.site, world.primary, senior, TODAY).await;
        let relation = relation.unwrap();
        assert!(listed && relation.paired && relation.primary && !relation.on_duty && !relation.told);
        let (relation, _) = look(&app, world.site, world.backup, senior, TODAY).await;
        assert!(relation.is_some_and(|relation| relation.paired && !relation.primary));
        assert!(!look(&app, world.site, world.operator, senior, TODAY).await.1, "the operator runs the server and reads nobody");
        assert_eq!(look(&app, other.site, other.administrator, senior, TODAY).await, (None, false));
        assert_eq!(look(&app, world.site, world.administrator, Uuid::now_v7(), TODAY).await, (None, false));
    })
    .await;
}

#[tokio::test]
async fn a_pairing_counts_from_its_first_day_to_the_day_before_its_last() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (senior, member) = (world.seniors[0], world.operator);
        insert_pairing(&app, &world, senior, member, "2026-11-20", "2026-11-24").await;
        for (today, seen) in [("2026-11-19", false), ("2026-11-20", true), ("2026-11-23", true), ("2026-11-24", false)] {
            assert_eq!(look(&app, world.site, member, senior, today).await.1, seen, "{today}");
        }
    })
    .await;
}

async fn insert_pairing(app: &App, world: &World, senior: Uuid, member: Uuid, from: &str, to: &str) {
    let (site, from, to, now) = (world.site, day(from), day(to), app.clock.now());
    app.write(move |mut tx| async move {
        let sql = "insert into pairing (site_id, id, senior_id, member_id, kind, from_date, to_date, version, created_at)
            values ($1, $2, $3, $4, 'backup', $5, $6, 1, $7)";
        on!(&mut tx, |conn| sqlx::query(sql)
            .bind(site)
            .bind(Uuid::now_v7())
            .bind(senior)
            .bind(member)
            .bind(from)
            .bind(to)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("a pairing is written");
}

#[tokio::test]
async fn who_stands_in_sees_the_seniors_of_the_absent_one_while_she_is_away() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (site, senior, away, substitute, now) = (world.site, world.seniors[0], world.primary, world.operator, app.clock.now());
        app.write(move |mut tx| async move {
            let sql = "insert into leave_of_absence (site_id, id, member_id, from_date, return_date, substitute_id, version, created_at)
                values ($1, $2, $3, $4, $5, $6, 1, $7)";
            on!(&mut tx, |conn| sqlx::query(sql)
                .bind(site)
                .bind(Uuid::now_v7())
                .bind(away)
                .bind(day("2026-11-23"))
                .bind(day("2026-11-25"))
                .bind(substitute)
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        for (today, seen) in [("2026-11-22", false), ("2026-11-23", true), ("2026-11-24", true), ("2026-11-25", false)] {
            let (relation, listed) = look(&app, site, substitute, senior, today).await;
            assert_eq!((listed, relation.unwrap().primary), (seen, seen), "{today}");
        }
        run(&app, "update leave_of_absence set cancelled_at = created_at where site_id = $1", vec![site]).await;
        assert!(!look(&app, site, substitute, senior, TODAY).await.1, "a leave that was called off gives nothing");
    })
    .await;
}

#[tokio::test]
async fn a_duty_for_a_building_or_for_one_senior_shows_just_those() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 2).await;
        let (site, member, now) = (world.site, world.operator, app.clock.now());
        let duty = Uuid::now_v7();
        app.write(move |mut tx| async move {
            let sql = "insert into duty (site_id, id, member_id, slot, weekdays, from_date, version, created_at)
                values ($1, $2, $3, 'morning', 127, $4, 1, $5)";
            on!(&mut tx, |conn| sqlx::query(sql)
                .bind(site)
                .bind(duty)
                .bind(member)
                .bind(day("2026-11-01"))
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        let scope = "insert into duty_scope (site_id, duty_id, scope_kind, scope_id) values ($1, $2, 'senior', $3)";
        run(&app, scope, vec![site, duty, world.seniors[0]]).await;
        assert!(look(&app, site, member, world.seniors[0], TODAY).await.1);
        assert!(!look(&app, site, member, world.seniors[1], TODAY).await.1);
        let scope = "insert into duty_scope (site_id, duty_id, scope_kind, scope_id) values ($1, $2, 'building', $3)";
        run(&app, scope, vec![site, duty, world.building]).await;
        assert!(look(&app, site, member, world.seniors[1], TODAY).await.0.unwrap().on_duty);
    })
    .await;
}

#[tokio::test]
async fn who_was_told_of_an_alert_sees_the_senior_until_it_is_resolved() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (site, senior, member, now, alert) = (world.site, world.seniors[0], world.operator, app.clock.now(), Uuid::now_v7());
        app.write(move |mut tx| async move {
            let raise =
                "insert into alert (site_id, id, senior_id, state, ladder, cause, epoch, level, trial, drill, opened_at, epoch_at, version)
                values ($1, $2, $3, 'open', 'missed', 'not_open', 1, 0, false, false, $4, $4, 1)";
            on!(&mut tx, |conn| sqlx::query(raise).bind(site).bind(alert).bind(senior).bind(now).execute(conn).await.map(|_| ()))?;
            let tell = "insert into notice (site_id, id, alert_id, epoch, step, level, recipient_id, key, arguments, class, state,
                channels_tried, not_before, created_at)
                values ($1, $2, $3, 1, 0, 0, $4, 'notice.alert_call', '{}', 'alert', 'pending', 0, $5, $5)";
            on!(&mut tx, |conn| sqlx::query(tell)
                .bind(site)
                .bind(Uuid::now_v7())
                .bind(alert)
                .bind(member)
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
            Ok((tx, ()))
        })
        .await
        .unwrap();
        assert!(look(&app, site, member, senior, TODAY).await.0.unwrap().told);
        run(&app, "update notice set key = 'notice.step_found_nobody' where site_id = $1", vec![site]).await;
        assert!(!look(&app, site, member, senior, TODAY).await.1, "that a rung found nobody is told to the operator, who goes nowhere");
        run(&app, "update notice set key = 'notice.help_door' where site_id = $1", vec![site]).await;
        assert!(look(&app, site, member, senior, TODAY).await.1);
        run(&app, "update notice set state = 'cancelled' where site_id = $1", vec![site]).await;
        assert!(!look(&app, site, member, senior, TODAY).await.1, "a notice that was never sent tells nobody");
        run(&app, "update alert set claimed_by = $2 where site_id = $1", vec![site, member]).await;
        assert!(look(&app, site, member, senior, TODAY).await.1, "who goes there sees where");
        run(&app, "update alert set resolved_at = opened_at where site_id = $1", vec![site]).await;
        assert!(!look(&app, site, member, senior, TODAY).await.1);
    })
    .await;
}

#[tokio::test]
async fn a_grid_shows_its_buildings_and_a_grant_without_scope_the_whole_site() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, 1).await;
        let (site, senior, now) = (world.site, world.seniors[0], app.clock.now());
        let (grid, building) = (Uuid::now_v7(), world.building);
        let grant = "insert into role_grant (site_id, id, member_id, role, grid_id, from_date, version, created_at)
            values ($1, $2, $3, $4, $5, $6, 1, $7)";
        for (member, role, scope) in [
            (world.operator, "grid_officer_full_time", Some(grid)),
            (world.backup, "social_worker", None),
            (world.primary, "volunteer", None),
        ] {
            app.write(move |mut tx| async move {
                on!(&mut tx, |conn| sqlx::query(grant)
                    .bind(site)
                    .bind(Uuid::now_v7())
                    .bind(member)
                    .bind(role)
                    .bind(scope)
                    .bind(day("2026-01-01"))
                    .bind(now)
                    .execute(conn)
                    .await
                    .map(|_| ()))?;
                Ok((tx, ()))
            })
            .await
            .unwrap();
        }
        assert!(!look(&app, site, world.operator, senior, TODAY).await.1, "the grid has no building yet");
        let held = "insert into grid_place (site_id, grid_id, place_id, from_date) select $1, $2, $3, min(from_date) from role_grant";
        run(&app, held, vec![site, grid, building]).await;
        let (relation, listed) = look(&app, site, world.operator, senior, TODAY).await;
        assert!(listed && relation.unwrap().roles.contains(&Role::GridOfficerFullTime));
        run(&app, "delete from pairing where site_id = $1", vec![site]).await;
        assert!(look(&app, site, world.backup, senior, TODAY).await.1, "a grant without scope is for the whole site");
        assert!(!look(&app, site, world.primary, senior, TODAY).await.1, "a volunteer sees nobody by her role");
    })
    .await;
}
