//! Which channel comes first: the member's own order, or the site's for people with her roles.

use chenlian::app::App;
use chenlian::store::channel_account;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::change_settings;
use crate::harness::{World, on_each_engine};
use crate::http::{Client, Server, read};
use crate::outbox::change;

const KINDS: [&str; 3] = ["aliyun_voice", "wecom_app", "aliyun_sms"];

/// Adds three channels in an order that is nobody's.
async fn with_channels(client: &Client, member: Uuid) -> String {
    let path = format!("/api/v1/members/{member}/channels");
    for kind in KINDS {
        let address = if kind == "wecom_app" { "WangXiuLan" } else { "13900000001" };
        let (status, made) = client.post(&path, json!({"id": Uuid::now_v7(), "channel": kind, "address": address})).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    path
}

async fn order(client: &Client, path: &str) -> Vec<String> {
    let (_, list) = client.get(path).await;
    list["items"].as_array().expect("a list").iter().map(|item| item["channel"].as_str().expect("a word").to_owned()).collect()
}

async fn ids(client: &Client, path: &str) -> Vec<Value> {
    let (_, list) = client.get(path).await;
    list["items"].as_array().expect("a list").iter().map(|item| item["id"].clone()).collect()
}

async fn world(app: &App) -> (World, Server, Client) {
    let world = World::seed(app, 0).await;
    // Nobody has a channel yet.
    change(app, "delete from member_channel").await;
    let server = Server::start(app).await;
    let administrator = server.client(app, world.site, world.administrator).await;
    (world, server, administrator)
}

#[tokio::test]
async fn who_has_no_order_of_her_own_follows_the_site_as_roles_and_settings_change() {
    on_each_engine(|app| async move {
        let (world, _server, administrator) = world(&app).await;
        let walker = with_channels(&administrator, world.primary).await;
        let desk = with_channels(&administrator, world.social_worker).await;
        assert_eq!(order(&administrator, &walker).await, ["aliyun_sms", "aliyun_voice", "wecom_app"], "a text, then a call");
        assert_eq!(order(&administrator, &desk).await, ["wecom_app", "aliyun_sms", "aliyun_voice"], "what stands on the screen");

        let grant = json!({"id": Uuid::now_v7(), "member_id": world.social_worker, "role": "volunteer", "place_id": world.building});
        let (status, granted) = administrator.post("/api/v1/role-grants", grant).await;
        assert_eq!(status, StatusCode::CREATED, "{granted}");
        assert_eq!(order(&administrator, &desk).await, ["aliyun_sms", "aliyun_voice", "wecom_app"], "she walks now");

        change_settings(&administrator, &world, json!({"order_helpers": ["wecom_app", "aliyun_voice"]})).await;
        assert_eq!(order(&administrator, &walker).await, ["wecom_app", "aliyun_voice", "aliyun_sms"]);
    })
    .await;
}

#[tokio::test]
async fn an_order_of_her_own_stays_until_she_gives_it_back() {
    on_each_engine(|app| async move {
        let (world, server, administrator) = world(&app).await;
        let channels = with_channels(&administrator, world.primary).await;
        let own = server.client(&app, world.site, world.primary).await;
        let path = format!("/api/v1/members/{}/channel-order", world.primary);
        let put = |order: Vec<Value>| read(own.request(Method::PUT, &path).json(&json!({ "channels": order })));
        let mut known = ids(&own, &channels).await;
        for wrong in [vec![known[0].clone()], vec![known[0].clone(), known[0].clone(), known[1].clone()], vec![json!(Uuid::now_v7())]] {
            let (status, problem) = put(wrong).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("channels")), "{problem}");
        }
        known.rotate_left(1);
        let (status, arranged) = put(known.clone()).await;
        assert_eq!((status, &arranged["own"]), (StatusCode::OK, &json!(true)), "{arranged}");
        let mine = ["aliyun_voice", "wecom_app", "aliyun_sms"];
        assert_eq!(order(&own, &channels).await, mine);

        change_settings(&administrator, &world, json!({"order_helpers": ["wecom_app"]})).await;
        assert_eq!(order(&own, &channels).await, mine, "the site's order is not hers");
        let mail = json!({"id": Uuid::now_v7(), "channel": "email", "address": "wang@example.org"});
        let (status, made) = own.post(&channels, mail.clone()).await;
        assert_eq!((status, &made["position"]), (StatusCode::CREATED, &json!(4)), "a new one comes last: {made}");
        assert_eq!(own.post(&channels, mail).await.0, StatusCode::CREATED, "the same once more is the same");

        let (status, arranged) = put(Vec::new()).await;
        assert_eq!((status, &arranged["own"]), (StatusCode::OK, &json!(false)));
        assert_eq!(order(&own, &channels).await, ["wecom_app", "aliyun_voice", "aliyun_sms", "email"]);
    })
    .await;
}

#[tokio::test]
async fn the_first_working_channel_of_the_order_carries_the_message() {
    on_each_engine(|app| async move {
        let (world, _server, administrator) = world(&app).await;
        with_channels(&administrator, world.primary).await;
        change(&app, "update member_channel set verified_at = created_at").await;
        app.write(|mut tx| async move {
            let every = chenlian::domain::message::Channel::ALL.iter();
            let set_up = |channel| chenlian::domain::message::channel::Working { channel, configured: true, tells_contacts: false };
            let all: Vec<_> = every.copied().map(set_up).collect();
            channel_account::declare(&mut tx, &all).await?;
            Ok((tx, ()))
        })
        .await
        .expect("every channel is set up");
        let person = (world.site, world.primary);
        let recipients = app
            .read(move |mut tx| async move {
                let found = chenlian::store::outbox::recipients(&mut tx, &[person]).await?;
                Ok((tx, found))
            })
            .await
            .expect("channels are read");
        let routes: Vec<&str> = recipients[&person].routes.iter().map(|route| route.channel.as_str()).collect();
        assert_eq!(routes, ["aliyun_sms", "aliyun_voice", "wecom_app"]);
    })
    .await;
}
