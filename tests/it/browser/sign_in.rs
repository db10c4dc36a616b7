//! The way in and the refusals on it.

use super::driver::Screen;
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_keeps_the_phone_number_and_the_right_one_leads_to_where_one_wanted_to_go() {
    let stage = Stage::set(1).await;
    crate::http::set_password(&stage.app, stage.world.social_worker, "13912345678").await;
    for screen in [Screen::Phone, Screen::Desk] {
        let Some(browser) = stage.stranger(screen, "anna").await else { return };
        browser.go("/").await;

        browser.look("sign-in").await;
        assert_eq!(browser.complaints().await, Vec::<String>::new());
        browser.write("input[name=phone]", "13912345678").await;
        browser.write("input[name=password]", "not this one").await;
        browser.tap("form button").await;
        browser.read("手机号或密码不对。").await;
        browser.look("sign-in-refused").await;
        assert_eq!(browser.script("return document.querySelector('input[name=phone]').value").await, "13912345678");
        browser.write("input[name=password]", crate::http::PASSWORD).await;
        browser.tap("form button").await;
        browser.wait("the page asked for", "return location.pathname === '/board'", Vec::new()).await;
    }
}
