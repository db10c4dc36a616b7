//! Under the windows: the round with a network, without one, and with a phone whose battery falls out.

use serde_json::{Value, json};

use super::driver::{Browser, Screen};
use super::stage::Stage;
use crate::http::{PASSWORD, count};

const SIGNALS: &str = "select count(*) from signal";
const KEPT: &str = "return caches.match('/round').then(page => page !== undefined && page !== null)";

/// Waits until the server holds so many signals.
async fn arrived(stage: &Stage, signals: i64) {
    let started = tokio::time::Instant::now();
    while count(&stage.app, SIGNALS).await != signals {
        let waited = started.elapsed().as_secs();
        assert!(waited < 40, "{} of {signals} signals are there after {waited} s", count(&stage.app, SIGNALS).await);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

fn stop(number: usize) -> String {
    format!(".entrance li:nth-child({number})")
}

async fn tap(browser: &Browser, number: usize, kind: &str) {
    browser.tap(&format!("{} [data-kind={kind}]", stop(number))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_is_tapped_through_and_what_was_tapped_wrong_is_taken_back_or_corrected() {
    let stage = Stage::set(3).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.wait("the round is her first page", "return location.pathname === '/round'", Vec::new()).await;
    phone.look("round").await;
    phone.see("#no-offline, #count").await;
    tap(&phone, 1, "open").await;
    phone.wait("one of three is done", "return document.getElementById('done').textContent === '1'", Vec::new()).await;
    phone.look("round-tapped").await;
    phone.tap(&format!("{} [data-undo]", stop(1))).await;
    phone.wait("it is taken back", "return document.getElementById('done').textContent === '0'", Vec::new()).await;
    phone.see_gone("#unsent").await;
    tap(&phone, 2, "closed").await;
    phone.read("先打个电话").await;
    phone.look("round-shut").await;
    tap(&phone, 1, "open").await;
    arrived(&stage, 2).await;
    phone.tap(&format!("{} [data-correct]", stop(2))).await;
    phone.look("round-correct").await;
    phone.tap("#correct-kinds label:first-child").await;
    phone.tap("#correct-form button.primary").await;
    arrived(&stage, 3).await;
    assert_eq!(count(&stage.app, "select count(*) from signal where replaces_id is not null and reason is not null").await, 1);
    phone.wait("two of three are done", "return document.getElementById('done').textContent === '2'", Vec::new()).await;
    assert_eq!(count(&stage.app, "select count(*) from daily_check where state = 'ok'").await, 2);
    phone.go("/round").await;
    phone.see("#seen").await;
    assert_eq!(phone.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_nothing_that_was_tapped_is_lost_even_if_the_battery_falls_out() {
    let mut stage = Stage::set(4).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.see("#count").await;
    phone.wait("the phone keeps the page", KEPT, Vec::new()).await;
    stage.network_off().await;
    tap(&phone, 1, "open").await;
    tap(&phone, 2, "open").await;
    phone.read("还有2条没传上去").await;
    phone.look("round-unsent").await;
    phone.kill();

    let phone = stage.stranger(Screen::Phone, "phone").await.expect("the same browser as before");
    phone.go("/round").await;
    phone.read("还有2条没传上去").await;
    phone.wait("what was tapped is shown", "return document.getElementById('done').textContent === '2'", Vec::new()).await;
    tap(&phone, 3, "open").await;
    phone.read("还有3条没传上去").await;
    assert_eq!(count(&stage.app, SIGNALS).await, 0);
    stage.network_on().await;
    sign_in_again(&stage, &phone).await;
    arrived(&stage, 3).await;
    phone.see_gone("#unsent").await;
    phone.go("/round").await;
    phone.wait("the server says the same", "return document.getElementById('done').textContent === '3'", Vec::new()).await;
    assert_eq!(count(&stage.app, SIGNALS).await, 3, "each once");
}

/// A browser that was killed may have forgotten its cookie: then the page says so, keeps what was tapped, and sends it after the
/// sign-in.
async fn sign_in_again(stage: &Stage, phone: &Browser) {
    phone.tap("#send-now").await;
    let settled = "return !document.getElementById('said-out').hidden || document.getElementById('unsent').hidden";
    phone.wait("everything went, or the sign-in is asked for", settled, Vec::new()).await;
    if phone.script("return document.getElementById('said-out').hidden").await == Value::Bool(true) {
        return;
    }
    phone.read("登录过期了").await;
    phone.tap("#said-out a").await;
    phone.write("input[name=phone]", &stage.phone_of(stage.world.primary)).await;
    phone.write("input[name=password]", PASSWORD).await;
    phone.tap("form button").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_sign_in_keeps_what_was_tapped_and_another_member_does_not_send_it() {
    let stage = Stage::set(2).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.see("#count").await;
    tap(&phone, 1, "open").await;
    phone.client.delete_all_cookies().await.expect("the cookie is gone");
    phone.read("登录过期了").await;
    phone.look("round-signed-out").await;
    assert_eq!(count(&stage.app, SIGNALS).await, 0);
    stage.sign_in(&phone, stage.world.backup).await;
    phone.go("/round").await;
    phone.read("还有别人的1条没传").await;
    assert_eq!(count(&stage.app, SIGNALS).await, 0);
    phone.client.delete_all_cookies().await.expect("the cookie is gone");
    stage.sign_in(&phone, stage.world.primary).await;
    phone.go("/round").await;
    arrived(&stage, 1).await;
    let by = count(&stage.app, "select count(*) from signal s join pairing p on p.member_id = s.entered_by where p.kind = 'primary'").await;
    assert!(by > 0, "it counts as hers who tapped it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_entry_says_why_and_stays_until_it_was_read() {
    let stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.see("#count").await;
    let stranger = "const member = document.getElementById('round').dataset.member;
        return chenlianQueue.add({ member, id: chenlian.uuid(), senior: chenlian.uuid(), kind: 'open', at: new Date().toISOString(), holdUntil: 0 })
            .then(() => true)";
    phone.script(stranger).await;
    phone.go("/round").await;
    phone.read("没记上").await;
    phone.look("round-refused").await;
    phone.go("/round").await;
    phone.read("没记上").await;
    phone.tap("#refused button").await;
    phone.see_gone("#refused .notice").await;
    assert_eq!(phone.script("return chenlianQueue.all('refused').then(all => all.length)").await, json!(0));
}

/// What this browser still has to send.
async fn unsent(phone: &Browser) -> Value {
    phone.script("return chenlianQueue.all('waiting').then(all => all.length)").await
}

async fn tap_and_go_to_me(phone: &Browser, number: usize) {
    phone.go("/round").await;
    tap(phone, number, "open").await;
    phone.see(".mine").await;
    phone.go("/me").await;
    phone.tap("#sign-out button").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_out_with_something_unsent_is_warned_names_go_and_entries_stay() {
    let stage = Stage::set(2).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.wait("the phone keeps the page", KEPT, Vec::new()).await;
    tap_and_go_to_me(&phone, 1).await;
    phone.read("还有1条没传上去").await;
    phone.look("leave-unsent").await;
    phone.tap("#leave-anyway").await;
    phone.wait("she is signed out", "return location.pathname === '/sign-in'", Vec::new()).await;
    assert_eq!(phone.script(KEPT).await, json!(false), "no page with names is left");
    assert_eq!(count(&stage.app, SIGNALS).await, 0);
    stage.sign_in(&phone, stage.world.primary).await;
    phone.go("/round").await;
    arrived(&stage, 1).await;
    tap_and_go_to_me(&phone, 1).await;
    phone.tap("#send-first").await;
    phone.read("都传上去了").await;
    arrived(&stage, 2).await;
    assert_eq!(unsent(&phone).await, json!(0));
    phone.look("leave-sent").await;
    phone.tap("#leave-anyway").await;
    phone.wait("she is signed out", "return location.pathname === '/sign-in'", Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_nobody_is_signed_out_and_nothing_is_lost() {
    let mut stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    tap_and_go_to_me(&phone, 1).await;
    phone.see("#send-first").await;
    stage.network_off().await;
    phone.tap("#send-first").await;
    phone.read("现在传不上去").await;
    phone.tap("#leave-anyway").await;
    phone.see("#sign-out .problem").await;
    assert_eq!(unsent(&phone).await, json!(1));
    stage.network_on().await;
    phone.go("/round").await;
    arrived(&stage, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_saw_is_read_and_whoever_gets_no_answer_is_told_to_go_up_and_with_whom() {
    let stage = Stage::set(2).await;
    let other = stage.server.client(&stage.app, stage.world.site, stage.world.backup).await;
    for (senior, kind) in [(0, "closed"), (1, "open")] {
        let seen = json!({ "id": uuid::Uuid::now_v7(), "senior_id": stage.world.seniors[senior], "kind": kind, "observed_at": stage.app.clock.now() });
        assert_eq!(other.post("/api/v1/signals", seen).await.0, reqwest::StatusCode::CREATED);
    }
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.read("看过：没拉开").await;
    phone.read("先打个电话").await;
    phone.see("[data-next=look] a[href^='tel:']").await;
    let again = phone.script("return document.querySelector('[data-next=look] li:nth-child(2)').innerText").await;
    assert!(again.as_str().is_some_and(|said| said.contains("09:35") || said.contains("09:05")), "the time of the second look: {again}");
    phone.look("round-other").await;
    phone.tap("[data-tap=no_answer]").await;
    phone.read("上去敲敲门").await;
    phone.see_gone("[data-next=look]").await;
    phone.see("[data-next=up] a[href='tel:13800000001']").await;
    phone.look("round-no-answer").await;
    phone.tap("#seen summary").await;
    phone.read("看过：拉开了").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_a_request_does_not_hold_back_what_was_tapped() {
    let mut stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.see("#count").await;
    stage.network_off().await;
    // Connections are taken and kept, and nobody answers.
    let silent = tokio::net::TcpListener::bind(stage.server.address).await.expect("the address is free");
    let swallows = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (connection, _) = silent.accept().await.expect("a connection");
            let mut began = [0; 4];
            let reads = connection.peek(&mut began);
            let is_request = tokio::time::timeout(std::time::Duration::from_secs(1), reads).await.is_ok();
            kept.push(connection);
            if is_request && &began == b"POST" {
                return kept;
            }
        }
    });
    tap(&phone, 1, "open").await;
    phone.read("还有1条没传上去").await;
    // The network is well again, and the connections of before still say nothing.
    let swallowed = swallows.await.expect("a request is swallowed");
    stage.network_on().await;
    arrived(&stage, 1).await;
    drop(swallowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleared_cache_costs_nothing_that_was_tapped_and_the_next_opening_keeps_the_page_again() {
    let mut stage = Stage::set(2).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.see("#count").await;
    phone.wait("the phone keeps the page", KEPT, Vec::new()).await;
    stage.network_off().await;
    tap(&phone, 1, "open").await;
    phone.read("还有1条没传上去").await;
    // As "clear cached files" of a phone's settings does.
    let cleared = "return caches.keys().then(names => Promise.all(names.map(name => caches.delete(name)))).then(() => true)";
    phone.wait("the cache is cleared", cleared, Vec::new()).await;
    stage.network_on().await;
    phone.go("/round").await;
    arrived(&stage, 1).await;
    phone.see_gone("#unsent").await;
    phone.wait("the phone keeps the page again", KEPT, Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_cannot_keep_the_page_says_so_and_taps_are_sent_all_the_same() {
    let stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    // As inside of WeChat on an iPhone.
    phone.before_every_page("delete Navigator.prototype.serviceWorker").await;
    phone.go("/round").await;
    phone.read("没网请先记在纸上").await;
    phone.read("用手机自带的浏览器打开").await;
    phone.look("round-not-kept").await;
    tap(&phone, 1, "open").await;
    arrived(&stage, 1).await;
    assert_eq!(phone.complaints().await, Vec::<String>::new());
}
