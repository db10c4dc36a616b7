//! From the missed curtain to the reviewed alert, and two people who want to go at once.

use super::driver::Screen;
use super::stage::Stage;
use crate::http::count;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_goes_knocks_meets_her_writes_it_down_and_the_social_worker_reviews_it() {
    let stage = Stage::set(1).await;
    stage.alarm().await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    phone.go("/alerts").await;
    phone.look("alerts").await;
    phone.tap("#alerts a").await;
    phone.see("[data-act=claim]").await;
    phone.look("alert").await;
    phone.tap("[data-act=claim]").await;
    phone.read("前等您消息").await;
    phone.tap("[data-act=on_site]").await;
    phone.see_gone("[data-act=on_site]").await;
    phone.tap("[data-act=met]").await;
    phone.look("alert-met").await;
    phone.tap("#met label:has([name=safe][value=true])").await;
    phone.tap("#met label:has([value=overslept])").await;
    phone.tap("#met button.primary").await;
    phone.read("写").await;
    phone.look("alerts-done").await;
    phone.tap(".notice.good a.button").await;
    phone.see("#visit").await;
    phone.look("visit").await;
    phone.tap("#save-visit").await;
    phone.see("#saved").await;
    phone.look("visit-saved").await;
    assert_eq!(count(&stage.app, "select count(*) from visit").await, 1);

    let desk = stage.browser(Screen::Desk, stage.world.social_worker, "desk").await.expect("a second browser");
    desk.go("/alerts?all=true").await;
    desk.tap("#alerts a").await;
    desk.see("#review").await;
    desk.look("alert-review").await;
    desk.tap("[data-act=review]").await;
    desk.see_gone("#review").await;
    assert_eq!(count(&stage.app, "select count(*) from alert where reviewed_at is not null").await, 1);
    for browser in [&phone, &desk] {
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_tap_at_once_one_goes_and_the_other_reads_who() {
    let stage = Stage::set(1).await;
    stage.alarm().await;
    let Some(one) = stage.browser(Screen::Phone, stage.world.primary, "one").await else { return };
    let two = stage.browser(Screen::Phone, stage.world.backup, "two").await.expect("a second browser");
    for phone in [&one, &two] {
        phone.go("/alerts").await;
        phone.tap("#alerts a").await;
        phone.see("[data-act=claim]").await;
    }
    one.tap("[data-act=claim]").await;
    one.read("前等您消息").await;
    two.tap("[data-act=claim]").await;
    two.read("王师傅已经去了").await;
    two.look("alert-other-goes").await;
    assert_eq!(count(&stage.app, "select count(*) from alert_event where kind = 'claimed'").await, 1);
}
