//! "Does it arrive?": a test message over a channel that nobody has verified yet.

use chenlian::jobs::deliver;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Play, Receiver, change, later, number, texts, webhook};
use crate::harness::{World, on_each_engine};
use crate::http::Server;

#[tokio::test]
async fn a_test_message_arrives_marked_as_a_drill_over_just_this_channel_and_once_per_key() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(204)]).await;
        let world = World::seed(&app, 0).await;
        let channel = webhook(&app, &world, world.primary, 0, &receiver.url).await;
        change(&app, "update member_channel set verified_at = null where channel = 'webhook'").await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let path = format!("/api/v1/members/{}/channels/{channel}/test", world.primary);
        let body = json!({ "id": Uuid::now_v7() });
        let (status, answer) = administrator.post(&path, body.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert_eq!(administrator.post(&path, body).await, (status, answer.clone()), "a second tap");
        deliver::run_once(&app).await.expect("the outbox passes");
        let requests = receiver.requests();
        assert_eq!(requests.len(), 1);
        let sent: Value = serde_json::from_str(&requests[0].body).expect("JSON");
        assert_eq!((&sent["type"], &sent["data"]["call_no"]), (&json!("notice.channel_test"), &answer["call_no"]));
        let text = sent["data"]["text"].as_str().expect("a text");
        assert!(text.starts_with("【演练") && text.contains("王师傅") && text.contains("试消息"), "{text}");
        assert_eq!(
            number(&app, "select count(*) from member_channel where id is not null and verified_at is null and channel = 'webhook'").await,
            1,
            "it verifies nothing by itself"
        );
        assert_eq!(number(&app, "select count(*) from audit where act = 'test' and object_kind = 'member_channel'").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_test_message_that_fails_says_so_and_goes_no_other_way() {
    on_each_engine(|app| async move {
        let receiver = Receiver::start(&[Play::Status(404)]).await;
        let world = World::seed(&app, 0).await;
        let channel = webhook(&app, &world, world.primary, 0, &receiver.url).await;
        let server = Server::start(&app).await;
        let administrator = server.client(&app, world.site, world.administrator).await;
        let path = |channel: Uuid| format!("/api/v1/members/{}/channels/{channel}/test", world.primary);
        let new = || json!({ "id": Uuid::now_v7() });
        assert_eq!(administrator.post(&path(channel), new()).await.0, StatusCode::CREATED);
        deliver::run_once(&app).await.expect("the outbox passes");
        later(&app, 60);
        deliver::run_once(&app).await.expect("the outbox passes again");
        assert_eq!(texts(&app, "select channel || ' ' || state from message").await, ["webhook failed"], "the log beside it stays silent");
        let (_, log) = administrator.get("/api/v1/notifications").await;
        assert_eq!((&log["items"][0]["state"], &log["items"][0]["says"]), (&json!("failed"), &json!([])), "{log}");
        change(&app, "update member_channel set disabled_at = created_at where channel = 'webhook'").await;
        let (status, problem) = administrator.post(&path(channel), new()).await;
        assert_eq!((status, &problem["key"]), (StatusCode::CONFLICT, &json!("channel.switched_off")));
        assert_eq!(administrator.post(&path(Uuid::now_v7()), new()).await.0, StatusCode::NOT_FOUND);
        let of_another = format!("/api/v1/members/{}/channels/{channel}/test", world.backup);
        assert_eq!(administrator.post(&of_another, new()).await.0, StatusCode::NOT_FOUND);
    })
    .await;
}
