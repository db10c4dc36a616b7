//! Pop-ups in a real Chromium. Its own push service is not there in a closed network, which is what many in mainland China meet: that is
//! said. What a push service would hand over, the browser's own tools hand over.

use std::time::Duration;

use chenlian::app::App;
use chenlian::jobs::deliver;
use chenlian::on;
use serde_json::{Value, json};
use uuid::Uuid;

use super::driver::{Browser, Screen};
use super::stage::Stage;

/// What a push service would give to this browser.
const GIVES: &str = r"
    PushManager.prototype.subscribe = async function (options) {
        const bytes = length => btoa(String.fromCharCode(...new Uint8Array(length).fill(7))).replace(/=/g, '').replace(/[+]/g, '-').replace(/[/]/g, '_');
        window.asked = new Uint8Array(options.applicationServerKey).length;
        const made = {
            endpoint: 'http://127.0.0.1:9/push/desk',
            options: { applicationServerKey: options.applicationServerKey.buffer || options.applicationServerKey },
            toJSON: () => ({ endpoint: made.endpoint, expirationTime: null, keys: { p256dh: KEY, auth: bytes(16) } }),
            unsubscribe: async () => { sessionStorage.removeItem('made'); return true; },
        };
        const key = Array.from(new Uint8Array(made.options.applicationServerKey));
        sessionStorage.setItem('made', JSON.stringify(key));
        return made;
    };
    PushManager.prototype.getSubscription = async function () {
        const key = sessionStorage.getItem('made');
        return key ? PushManager.prototype.subscribe.call(this, { applicationServerKey: new Uint8Array(JSON.parse(key)) }) : null;
    };
";

async fn rows(app: &App, member: Uuid) -> Vec<(bool, bool)> {
    let read = app.read(move |mut tx| async move {
        let sql =
            "select verified_at is not null, secret_sealed is not null from member_channel where member_id = $1 and channel = 'web_push'";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(member).fetch_all(conn).await)?;
        Ok((tx, rows))
    });
    read.await.expect("the rows are read")
}

/// Title, text, tag, whether it stays, and how many alerts it waits for, of every pop-up that is shown, by tag.
const SHOWN: &str = "navigator.serviceWorker.ready.then(worker => worker.getNotifications()).then(shown =>
    shown.map(one => [one.title, one.body, one.tag, one.requireInteraction, one.data.alerts.length]).sort((a, b) => a[2] < b[2] ? -1 : 1))";

/// Chromium takes away what is kept and not on the screen yet when somebody asks for the list just then, so it is asked rarely.
async fn shows(browser: &Browser, expected: &[Value]) {
    let script = format!("return {SHOWN};");
    let mut shown = Value::Null;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shown = browser.script(&script).await;
        if shown == json!(expected) {
            return;
        }
    }
    panic!("{shown} is shown, and it should be {}", json!(expected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_switches_pop_ups_on_is_told_in_plain_words_what_is_in_the_way() {
    let stage = Stage::with_push(1).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.social_worker, "refused").await else { return };
    desk.allow_pop_ups("denied").await;
    desk.go("/me/channels").await;
    desk.read("浏览器不让弹出提醒").await;
    desk.scroll_to("#push").await;
    desk.look("push-denied").await;
    desk.allow_pop_ups("granted").await;
    desk.go("/me/channels").await;
    desk.scroll_to("#push").await;
    desk.look("push-off").await;
    desk.tap("#push-on").await;
    desk.read("连不上浏览器厂家的提醒服务").await;
    desk.scroll_to("#push").await;
    desk.look("push-unreached").await;
    assert_eq!(rows(&stage.app, stage.world.social_worker).await, [], "nothing seems to be on");
    desk.before_every_page("delete window.PushManager;").await;
    desk.go("/me/channels").await;
    desk.read("这个浏览器不能弹出提醒").await;
    desk.see_gone("#push-on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_switched_on_and_off_and_leaves_with_its_reader() {
    let stage = Stage::with_push(1).await;
    for screen in [Screen::Desk, Screen::Phone] {
        let member = if screen == Screen::Desk { stage.world.social_worker } else { stage.world.primary };
        let Some(browser) = stage.browser(screen, member, &format!("on-{screen:?}")).await else { return };
        browser.allow_pop_ups("granted").await;
        let public = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        browser.before_every_page(&GIVES.replace("KEY", &format!("'{public}'"))).await;
        browser.go("/me/channels").await;
        browser.tap("#push-on").await;
        browser.read("这台电脑会弹出提醒").await;
        browser.scroll_to("#push").await;
        browser.look("push-on").await;
        assert_eq!(rows(&stage.app, member).await, [(true, true)]);
        browser.go("/me/channels").await;
        browser.tap("#push-off").await;
        browser.see("#push-on").await;
        assert_eq!(rows(&stage.app, member).await, [(false, false)]);
        browser.tap("#push-on").await;
        browser.read("这台电脑会弹出提醒").await;
        assert_eq!(rows(&stage.app, member).await, [(true, true)], "one channel");
        browser.go("/me").await;
        browser.tap("#sign-out button").await;
        browser.tap("dialog[open] button.primary").await;
        browser.wait("she is signed out", "return location.pathname === '/sign-in'", Vec::new()).await;
        assert_eq!(rows(&stage.app, member).await, [(false, false)], "the next one at this computer reads nothing of hers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pop_up_shows_the_message_once_and_goes_when_its_alerts_are_over() {
    let stage = Stage::with_push(1).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.social_worker, "shown").await else { return };
    desk.allow_pop_ups("granted").await;
    desk.go("/round").await;
    desk.wait(
        "the worker is ready",
        "return navigator.serviceWorker.ready.then(worker => worker.active.state === 'activated')",
        Vec::new(),
    )
    .await;
    let alert = |tag: &str, alerts: &[&str]| {
        json!({ "title": "还没有消息", "body": "3号楼2户今早还没有消息。", "link": "https://cl.example.org/c/abc", "tag": tag, "level": "alert",
            "at": 1_700_000_000, "alerts": alerts })
    };
    let over = |tag: &str, alerts: &[&str]| json!({ "title": "不用去了", "body": "张奶奶联系上了。", "tag": tag, "level": "notice", "alerts": alerts, "is_over": true });
    let waits = |tag: &str, alerts: usize| json!(["还没有消息", "3号楼2户今早还没有消息。", tag, true, alerts]);
    let news = |tag: &str| json!(["不用去了", "张奶奶联系上了。", tag, false, 0]);
    desk.push(&alert("m1", &["a", "b"])).await;
    shows(&desk, &[waits("m1", 2)]).await;
    // The repeat stands where the first copy stood, or the list would be longer once the next one is there.
    desk.push(&alert("m1", &["a", "b"])).await;
    desk.push(&alert("m2", &["c"])).await;
    shows(&desk, &[waits("m1", 2), waits("m2", 1)]).await;
    desk.push(&over("m3", &["a"])).await;
    shows(&desk, &[waits("m1", 1), waits("m2", 1), news("m3")]).await;
    // Both are well: it stands where the alert stood, and the other alert stays.
    desk.push(&over("m4", &["b"])).await;
    shows(&desk, &[news("m1"), waits("m2", 1), news("m3")]).await;
    assert_eq!(desk.complaints().await, Vec::<String>::new());
}

/// The page of an alert that somebody has open tells by itself what became of its messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_alert_tells_by_itself_who_was_told() {
    let stage = Stage::with_push(1).await;
    let alert = stage.raise().await;
    for screen in [Screen::Desk, Screen::Phone] {
        let Some(browser) = stage.browser(screen, stage.world.social_worker, &format!("news-{screen:?}")).await else { return };
        browser.go(&format!("/alerts/{alert}")).await;
        if screen == Screen::Desk {
            browser.see("#news").await;
            assert!(!browser.words().await.contains("还没有回执"));
            deliver::run_once(&stage.app).await.expect("messages go out");
        }
        browser.read("发给王师傅，还没有回执").await;
        browser.scroll_to("#news").await;
        browser.look("alert-news").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
}
