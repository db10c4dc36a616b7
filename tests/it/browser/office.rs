//! At the office: the register from a table, a phone let in by a picture, and what comes out of the printer.

use std::path::PathBuf;

use serde_json::json;

use super::driver::{Browser, Screen};
use super::stage::Stage;
use crate::http::count;

const HEAD: &str = "楼栋,单元,房号,窗户位置,姓名,称呼,电话,结对党员,替补,约定时间\n";
const GOOD: &str = "3号楼,2单元,402,左二窗,李桂兰,李奶奶,0351-7000000,王建国,刘桂芳,9:30\n";
const BAD: &str = "9号楼,2单元,403,,赵玉珍,赵奶奶,12,赵六,,\n";

fn table(stage: &Stage, name: &str, rows: &str) -> PathBuf {
    let path = stage.profile(name);
    std::fs::write(&path, format!("{HEAD}{rows}")).expect("the table is written");
    path
}

async fn choose(browser: &Browser, file: &std::path::Path) {
    let field = browser.see("input[type=file]").await;
    field.send_keys(&file.display().to_string()).await.expect("the file is chosen");
    browser.tap("#import button.primary").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_mistakes_names_each_of_them_takes_nothing_and_is_taken_once_mended() {
    let stage = Stage::set(0).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.social_worker, "desk").await else { return };
    desk.go("/admin/import").await;
    choose(&desk, &table(&stage, "bad.csv", &format!("{GOOD}{BAD}"))).await;
    desk.read("9号楼").await;
    desk.read("不是电话号码").await;
    desk.read("没有“赵六”这个人").await;
    desk.see_gone("#import-take").await;
    desk.look("import-mistakes").await;
    assert_eq!(count(&stage.app, "select count(*) from senior").await, 0, "nothing is taken");

    choose(&desk, &table(&stage, "good.csv", GOOD)).await;
    desk.see("#import-take").await;
    desk.look("import-clean").await;
    desk.tap("#import-take").await;
    desk.see("#import-done").await;
    desk.look("import-done").await;
    assert_eq!(count(&stage.app, "select count(*) from senior").await, 1);
    desk.tap("#import-done a").await;
    desk.read("李奶奶").await;
    assert_eq!(desk.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_on_the_administrators_screen_lets_a_phone_in_without_a_password_and_once() {
    let stage = Stage::set(2).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.administrator, "desk").await else { return };
    desk.go(&format!("/members/{}/invite", stage.world.primary)).await;
    desk.tap("#invite button.primary").await;
    desk.see("#invite-qr").await;
    desk.look("invite-code").await;
    let link = desk.script("return document.getElementById('invite-link').textContent").await;
    let link = link.as_str().expect("a link").to_owned();
    let picture = desk.script("return document.getElementById('invite-qr').src").await;
    assert_eq!(picture, json!(chenlian::http::qr::address(&link)), "the picture is that of the link");
    let path = format!("/join/{}", link.rsplit_once("/join/").expect("a link to the page").1);

    let phone = stage.stranger(Screen::Phone, "new-phone").await.expect("a second browser");
    phone.go(&path).await;
    phone.read("王师傅").await;
    phone.look("join").await;
    phone.tap("#join button.primary").await;
    phone.wait("the round is her first page", "return location.pathname === '/round'", Vec::new()).await;
    phone.see("#count").await;

    let other = stage.stranger(Screen::Phone, "other-phone").await.expect("a third browser");
    other.go(&path).await;
    other.see_gone("#join").await;
    other.look("join-gone").await;
    assert_eq!(phone.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_with_an_empty_register_is_led_to_its_steps_and_tries_whether_a_message_arrives() {
    let stage = Stage::set(0).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.administrator, "desk").await else { return };
    desk.wait("the steps are her first page", "return location.pathname === '/admin'", Vec::new()).await;
    desk.see("#steps .next a").await;
    desk.look("first-steps").await;
    desk.go(&format!("/admin/members/{}", stage.world.primary)).await;
    desk.tap("#channels [data-act=test] button").await;
    desk.read("正在送").await;
    desk.look("channel-on-its-way").await;
    chenlian::jobs::deliver::run_once(&stage.app).await.expect("the outbox passes");
    desk.tap("#channels .last-message a").await;
    desk.read("送出去了一条").await;
    desk.look("channel-sent").await;
    desk.go("/board/deliveries").await;
    desk.read("试消息").await;
    desk.look("deliveries-test").await;
    assert_eq!(desk.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_visits_sheet_fits_on_one_page_of_a4_and_prints_no_button() {
    let stage = Stage::set(1).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.administrator, "desk").await else { return };
    desk.go(&format!("/seniors/{}/consent-sheet", stage.world.seniors[0])).await;
    assert_eq!(desk.printed("consent-sheet").await, [(595, 842)], "A4 in points");
    desk.show_as_printed().await;
    desk.see_gone("button, .ways a").await;
    desk.picture("consent-sheet-print").await;
}
