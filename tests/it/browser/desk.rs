//! At the desk: the board that lives, and every page looked at in both sizes.

use super::driver::{Browser, Screen};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_board_shows_a_new_alert_by_itself_says_that_its_line_is_dead_and_recovers() {
    let mut stage = Stage::set(2).await;
    let Some(desk) = stage.browser(Screen::Desk, stage.world.social_worker, "desk").await else { return };
    desk.wait("the board is her first page", "return location.pathname === '/board'", Vec::new()).await;
    desk.wait("the line lives", "return document.getElementById('board-line').dataset.line === 'live'", Vec::new()).await;
    desk.look("board").await;
    stage.alarm().await;
    desk.read("张奶奶").await;
    desk.look("board-alert").await;
    stage.network_off().await;
    desk.see("#board-dead").await;
    desk.look("board-dead").await;
    stage.network_on().await;
    desk.see_gone("#board-dead").await;
}

/// What is wrong with these pages, each with its path.
async fn look_at_all(browser: &Browser, who: &str, paths: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        browser.go(path).await;
        let words = path.split('?').next().unwrap_or_default().split('/').filter(|part| part.len() < 30).collect::<Vec<_>>();
        let mut wrong = browser.findings(&format!("{who}{}", words.join("-"))).await;
        wrong.extend(browser.complaints().await);
        found.extend(wrong.into_iter().map(|wrong| format!("{path}: {wrong}")));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_readable_reachable_and_silent_on_the_console() {
    let stage = Stage::set(2).await;
    stage.alarm().await;
    let senior = stage.world.seniors[0];
    let staff = ["/board", "/charts", "/alerts", "/seniors", "/visits/due", "/board/devices", "/board/deliveries"];
    let mut staff: Vec<String> = staff.map(str::to_owned).into();
    let building = stage.world.building;
    staff.extend([format!("/seniors/{senior}"), format!("/visits/new?senior={senior}")]);
    staff.extend(["/round/sheet".to_owned(), format!("/round/sheet?place={building}"), format!("/round/enter?place={building}")]);
    let office = [
        "/system",
        "/audit",
        "/admin",
        "/admin/places",
        "/admin/members",
        "/admin/import",
        "/admin/export",
        "/admin/leaves",
        "/admin/notify",
        "/admin/drills",
        "/admin/devices",
        "/me",
        "/me/channels",
        "/me/sessions",
        "/me/channels",
        "/me/second-factor",
    ];
    let mut office: Vec<String> = office.map(str::to_owned).into();
    office.extend([
        format!("/admin/members/{}", stage.world.primary),
        format!("/members/{}/invite", stage.world.primary),
        format!("/admin/places/{}", stage.world.building),
        format!("/admin/homes/new?building={}", stage.world.building),
        format!("/admin/seniors/new?home={}", stage.home().await),
        format!("/seniors/{senior}/edit"),
        format!("/seniors/{senior}/consent-sheet"),
    ]);
    let mut found = Vec::new();
    let walk: Vec<String> =
        ["/round", "/round?slot=evening", "/round/sheet", "/round/enter", "/alerts", "/offline", "/me"].map(str::to_owned).into();
    for screen in [Screen::Phone, Screen::Desk] {
        let Some(worker) = stage.browser(screen, stage.world.social_worker, &format!("worker-{screen:?}")).await else { return };
        found.extend(look_at_all(&worker, "staff", &staff).await);
        drop(worker);
        let administrator =
            stage.browser(screen, stage.world.administrator, &format!("administrator-{screen:?}")).await.expect("a browser");
        found.extend(look_at_all(&administrator, "office", &office).await);
        drop(administrator);
        let volunteer = stage.browser(screen, stage.world.primary, &format!("volunteer-{screen:?}")).await.expect("a browser");
        found.extend(look_at_all(&volunteer, "walk", &walk).await);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
