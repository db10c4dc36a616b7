//! At noon and at six those who answer for a place hear whom nobody has reached.

use chenlian::app::App;
use chenlian::domain::outcome::Outcome;
use chenlian::jobs::prove;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{change, on_day, resolve, told};
use crate::harness::{World, local, on_each_engine};
use crate::morning::{pass_at, planned, set};

/// How many people hear of it at that moment.
async fn heard_at(app: &App, now: DateTime<Utc>) -> usize {
    set(app, now).await;
    prove::run_once(app).await.expect("the words are written").unresolved
}

fn heads(world: &World) -> Vec<Uuid> {
    let mut heads = vec![world.social_worker, world.secretary];
    heads.sort_unstable();
    heads
}

async fn lists(app: &App) -> Vec<(Uuid, Value)> {
    told(app, "notice.unresolved").await
}

#[tokio::test]
async fn at_noon_and_at_six_social_worker_and_secretary_hear_in_one_word_whom_nobody_has_reached() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(heard_at(&app, local("11:59:59")).await, 0);
        assert_eq!(heard_at(&app, local("12:00:00")).await, 2);
        assert_eq!(heard_at(&app, local("12:00:01")).await, 0, "once");
        let said = json!({"count": "3", "buildings": "[[\"3号楼\",3]]"});
        assert_eq!(lists(&app).await, heads(&world).into_iter().map(|member| (member, said.clone())).collect::<Vec<_>>());

        resolve(&app, &world, 0, Outcome::Unwell).await;
        assert_eq!(heard_at(&app, local("17:59:59")).await, 0);
        assert_eq!(heard_at(&app, local("18:00:00")).await, 2);
        assert!(lists(&app).await[2..].iter().all(|(_, arguments)| arguments["count"] == "2"));
        for senior in [1, 2] {
            resolve(&app, &world, senior, Outcome::Unwell).await;
        }
        assert_eq!(heard_at(&app, on_day(24, "12:00:00")).await, 0, "nobody is looked for any more");
    })
    .await;
}

#[tokio::test]
async fn after_a_stop_only_the_latest_list_comes_and_none_of_the_day_before() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        assert_eq!(heard_at(&app, local("19:30:00")).await, 2);
        assert_eq!(heard_at(&app, local("19:30:10")).await, 0);
        assert_eq!(lists(&app).await.into_iter().map(|(member, _)| member).collect::<Vec<_>>(), heads(&world));
        // The list of the 24th at six fell into the night: it comes no more, the next one at noon does.
        assert_eq!(heard_at(&app, on_day(25, "00:30:00")).await, 0);
        assert_eq!(heard_at(&app, on_day(25, "14:00:00")).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_day_that_an_outage_missed_stands_on_the_list_and_a_drill_or_a_canary_does_not() {
    on_each_engine(|app| async move {
        let world = planned(&app, 3).await;
        change(&app, &world, "update senior set purpose = 'canary' where site_id = $1 and id = $2", world.seniors[1]).await;
        pass_at(&app, on_day(24, "08:00:00")).await;
        change(&app, &world, "update alert set drill = true where site_id = $1 and senior_id = $2", world.seniors[2]).await;
        assert_eq!(told(&app, "notice.alert_look").await, [], "Monday is history: nobody is sent for it");
        assert_eq!(heard_at(&app, on_day(24, "12:00:00")).await, 2);
        assert!(lists(&app).await.iter().all(|(_, arguments)| arguments["count"] == "1"));
    })
    .await;
}

#[tokio::test]
async fn noon_is_noon_where_the_site_is_and_without_heads_somebody_hears_all_the_same() {
    on_each_engine(|app| async move {
        let world = planned(&app, 1).await;
        pass_at(&app, local("09:45:00")).await;
        change(&app, &world, "update site set timezone = 'Asia/Urumqi' where id = $1 and id <> $2", Uuid::nil()).await;
        for head in heads(&world) {
            change(&app, &world, "update role_grant set to_date = from_date where site_id = $1 and member_id = $2", head).await;
        }
        assert_eq!(heard_at(&app, local("13:59:59")).await, 0);
        assert_eq!(heard_at(&app, local("14:00:00")).await, 1);
        assert_eq!(lists(&app).await.into_iter().map(|(member, _)| member).collect::<Vec<_>>(), [world.primary]);
    })
    .await;
}
