//! What has moved on to a person's next channel: the copy over that says what it is, and what the first one was is not forgotten.

use chenlian::app::App;
use chenlian::domain::message::Channel;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::fake::{Break, Play};
use super::providers::{CHANNELS, Providers, members, ways};
use super::story::{CALLBACK_KEY, by_telephone, deliver, provider, pushed, way, with};
use crate::harness::{World, declare_channels, on_each_engine};
use crate::http::Server;
use crate::outbox::{Play as Hook, Receiver, cutoff, instance, later, number, shut_morning, silence, tell, texts, webhook};

/// What a text says that may be the second.
const MARK: &str = "补发";

/// I12.
#[tokio::test]
async fn what_one_channel_may_have_shown_the_next_one_marks_and_what_it_certainly_has_not_comes_plain() {
    for second in CHANNELS {
        for (play, in_doubt) in [(Hook::Vanish, true), (Hook::Status(404), false)] {
            on_each_engine(|app| async move {
                let (providers, first) = (Providers::start(&app.clock, |_| Vec::new()).await, Receiver::start(&[play]).await);
                let app = instance(&app, |config| {
                    providers.settings(config);
                    config.outbox.attempts_max = 2;
                });
                declare_channels(&app).await;
                let world = World::seed(&app, 0).await;
                let people = members(&app, &world, 1).await;
                webhook(&app, &world, people[0], 0, &first.url).await;
                ways(&app, world.site, vec![(people[0], 1, second, providers.address(second, 1))]).await;
                tell(&app, world.site, &people, 1).await;
                for wait in [0, 7] {
                    later(&app, wait);
                    deliver(&app).await;
                }
                assert_eq!(texts(&app, "select state from notice").await, ["delivered"]);
                assert!(first.requests().iter().all(|request| !request.body.contains(MARK)), "{second}: the first copy says nothing");
                let [accepted] = &providers.of(second).accepted()[..] else { panic!("{second}: once") };
                assert_eq!(accepted.contains(MARK), in_doubt, "{second}: {accepted}");
            })
            .await;
        }
    }
}

/// Two answers are lost; then the text is given up, although it has arrived.
async fn given_up(app: &App) -> (App, Value) {
    let lost = [Play::After(Break::Reset), Play::After(Break::Reset)];
    let (sms, voice) = (provider(&lost, "b").await, provider(&[], "v").await);
    let app = instance(&with(app, &sms, &voice).await, |config| config.outbox.attempts_max = 2);
    let world = shut_morning(&app, 1).await;
    by_telephone(&app, &world).await;
    cutoff(&app).await;
    for wait in [0, 7] {
        later(&app, wait);
        deliver(&app).await;
    }
    assert_eq!(
        texts(&app, "select channel || ' ' || state from message where priority = 1 order by call_no").await,
        ["aliyun_sms failed", "aliyun_voice sent"]
    );
    let first = sms.requests().remove(0);
    let said: Value = serde_json::from_str(&first.parameter("TemplateParam")).expect("JSON");
    (app, json!({ "link": said["link"], "out_id": first.parameter("OutId") }))
}

#[tokio::test]
async fn the_link_in_a_text_still_opens_after_its_alert_has_moved_on_to_another_channel() {
    on_each_engine(|app| async move {
        let (app, text) = given_up(&app).await;
        let server = Server::start(&app).await;
        let link = text["link"].as_str().expect("a link");
        let page = server.stranger().request(Method::GET, &format!("/{link}")).send().await.expect("a page");
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.text().await.expect("text").contains("张奶奶"));
        let claim = json!({ "key": link.trim_start_matches("c/"), "alert_id": super::story::alert_id(&app).await });
        let (status, answer) = server.stranger().post("/api/v1/claims", claim).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    })
    .await;
}

/// I11: nobody goes by it any more, but people ask what became of the text.
#[tokio::test]
async fn a_report_that_comes_after_its_message_was_given_up_is_found_by_it() {
    on_each_engine(|app| async move {
        let (app, text) = given_up(&app).await;
        let server = Server::start(&app).await;
        // The answer with the provider's number was lost, so that ours alone tells which message this is.
        let late = json!([{ "success": true, "err_code": "DELIVERED", "biz_id": "b1", "out_id": text["out_id"] }]);
        for _ in 0..2 {
            assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, late.clone()).await, StatusCode::OK);
        }
        let tied = "select count(*) from message_receipt r join message m on m.site_id = r.site_id and m.id = r.message_id
            where m.channel = 'aliyun_sms' and m.state = 'failed' and r.state = 'delivered'";
        assert_eq!(number(&app, tied).await, 1);
        let other = json!([{ "success": true, "err_code": "DELIVERED", "biz_id": "b9", "out_id": "c999999" }]);
        assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, other).await, StatusCode::OK);
        assert_eq!(
            number(&app, "select count(*) from message_receipt where message_id is null").await,
            1,
            "that one is of no message here"
        );
    })
    .await;
}

/// I11: accepted is not received, and the channel before had only paused.
#[tokio::test]
async fn a_text_that_is_reported_as_not_received_goes_back_to_the_channel_that_had_paused() {
    on_each_engine(|app| async move {
        let (sms, voice) = (provider(&[], "b").await, provider(&[], "v").await);
        let paused = Receiver::start(&[Hook::Later(429, 900), Hook::Status(200)]).await;
        let app = with(&app, &sms, &voice).await;
        let world = shut_morning(&app, 1).await;
        silence(&app, world.primary).await;
        webhook(&app, &world, world.primary, 2, &paused.url).await;
        way(&app, &world, world.primary, 3, Channel::AliyunSms.as_str(), "13900000001").await;
        cutoff(&app).await;
        deliver(&app).await;
        assert_eq!((paused.requests().len(), sms.requests().len()), (1, 1));
        let server = Server::start(&app).await;
        let failed = json!([{ "success": false, "err_code": "X", "biz_id": "b1" }]);
        assert_eq!(pushed(&server, "aliyun_sms", CALLBACK_KEY, failed).await, StatusCode::OK);
        let state = "select state from notice where level = 0 and class = 'alert'";
        assert_eq!(texts(&app, state).await, ["sealed"]);
        assert_eq!(
            number(&app, "select count(*) from alert_event where kind = 'undeliverable'").await,
            1,
            "other people are asked meanwhile"
        );
        later(&app, 900);
        deliver(&app).await;
        assert_eq!((texts(&app, state).await, paused.requests().len()), (vec!["delivered".to_owned()], 2));
    })
    .await;
}
