//! A drill from the button at the desk to the word on the phone, and how each person puts her channels and quiet hours in order.

use chenlian::jobs::deliver;
use serde_json::Value;

use super::driver::Screen;
use super::stage::Stage;
use crate::http::count;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_is_started_at_the_desk_read_on_a_phone_and_seen_in_its_report() {
    let stage = Stage::set(2).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.administrator, "desk").await else { return };
    desk.go("/admin/drills").await;
    desk.look("drills-none").await;
    let choose = format!("document.querySelector('#drill-now select').value = '{}'", stage.world.building);
    desk.script(&choose).await;
    desk.tap("#drill-now button.primary").await;
    desk.tap("dialog button.primary").await;
    desk.see("#people").await;
    deliver::run_once(&stage.app).await.expect("the outbox passes");

    let phone = stage.browser(Screen::Phone, stage.world.primary, "phone").await.expect("a second browser");
    phone.go("/alerts").await;
    phone.see("[data-drill]").await;
    phone.look("alerts-drill").await;
    phone.tap("[data-drill] button").await;
    phone.see_gone("[data-drill]").await;
    assert_eq!(count(&stage.app, "select count(*) from drill_person where confirmed_at is not null").await, 1);

    // The report is made while she looks on.
    crate::outbox::change(&stage.app, "update drill set report_at = started_at").await;
    chenlian::jobs::drill::run_once(&stage.app).await.expect("the report");
    let path = desk.path().await;
    desk.go(&path).await;
    desk.see("[data-reached=confirmed]").await;
    // Nobody else of this street has a channel that carries anything.
    desk.see("[data-reached=no_channel]").await;
    desk.look("drill-report").await;
    let small = stage.browser(Screen::Phone, stage.world.administrator, "small").await.expect("a third browser");
    small.go(&path).await;
    small.look("drill-report-phone").await;
    small.go("/admin/drills").await;
    small.look("drills").await;
    for browser in [&desk, &phone, &small] {
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_puts_her_channels_into_an_order_and_sets_her_quiet_hours_on_the_phone() {
    let stage = Stage::set(1).await;
    let Some(phone) = stage.browser(Screen::Phone, stage.world.primary, "phone").await else { return };
    let (site, member, now) = (stage.world.site, stage.world.primary, stage.app.clock.now());
    let written = stage.app.write(move |mut tx| async move {
        let sql = "insert into member_channel (site_id, id, member_id, position, channel, address, verified_at, version, created_at)
            values ($1, $2, $3, 2, 'aliyun_sms', '13900000001', $4, 1, $4)";
        let id = uuid::Uuid::now_v7();
        chenlian::on!(&mut tx, |conn| sqlx::query(sql).bind(site).bind(id).bind(member).bind(now).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    });
    written.await.expect("a second channel");
    phone.go("/me/channels").await;
    let first = "return document.querySelector('#channels strong').textContent";
    let before = phone.script(first).await;
    phone.look("channels").await;
    phone.tap("#channels [data-act=sooner] button").await;
    phone.see("[data-act=order-site]").await;
    assert_ne!(phone.script(first).await, before);
    phone.look("channels-own-order").await;
    phone.tap("[data-act=order-site] button").await;
    phone.see_gone("[data-act=order-site]").await;
    assert_eq!(phone.script(first).await, Value::from("短信（阿里云）"), "what the site puts first");
    phone.script("document.querySelector('[data-act=quiet] [name=from]').value = '12:00'").await;
    phone.script("document.querySelector('[data-act=quiet] [name=to]').value = '14:00'").await;
    phone.tap("[data-act=quiet] button").await;
    phone.read("12:00到14:00").await;
    phone.look("quiet-hours").await;
    phone.tap("[data-act=quiet-site] button").await;
    phone.see_gone("[data-act=quiet-site]").await;
    assert_eq!(phone.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_says_how_people_are_told() {
    let stage = Stage::set(1).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.administrator, "desk").await else { return };
    desk.go("/admin/notify").await;
    desk.look("notify").await;
    desk.tap("#drill-form label:has([value=on])").await;
    desk.tap("#drill-form button.primary").await;
    desk.see_gone("#drill-form ~ p.notice.wait, #site-drill ~ p.notice.wait").await;
    desk.tap("[data-order=staff][data-channel=aliyun_sms] button").await;
    desk.wait(
        "a text comes first now",
        "return document.querySelector('#order-staff ~ ol strong').textContent.includes('短信')",
        Vec::new(),
    )
    .await;
    let small = stage.browser(Screen::Phone, stage.world.administrator, "small").await.expect("a second browser");
    small.go("/admin/notify").await;
    small.look("notify-phone").await;
    for browser in [&desk, &small] {
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    }
}
