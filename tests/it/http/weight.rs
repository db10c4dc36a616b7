//! What the volunteer's page weighs on a phone with a poor network: once, and every morning after.

use std::collections::BTreeSet;

use chenlian::jobs::plan_day;
use reqwest::{Method, header};

use super::{Client, Server};
use crate::harness::{World, on_each_engine};

/// As many as one volunteer looks at.
const SENIORS: usize = 23;
const FIRST_BYTES_MAX: usize = 80_000;
const AFTER_BYTES_MAX: usize = 10_000;

/// Body as it crosses the network, and whether the browser keeps it for good.
async fn fetched(client: &Client, path: &str) -> (Vec<u8>, bool) {
    let request = client.request(Method::GET, path).header(header::ACCEPT, "text/html,*/*").header(header::ACCEPT_ENCODING, "gzip");
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{path} {}", response.status());
    let kept = response.headers().get(header::CACHE_CONTROL).is_some_and(|kept| kept.to_str().unwrap_or_default().contains("immutable"));
    (response.bytes().await.expect("a body").to_vec(), kept)
}

async fn plain(client: &Client, path: &str) -> String {
    let request = client.request(Method::GET, path).header(header::ACCEPT, "text/html,*/*").header(header::ACCEPT_ENCODING, "identity");
    request.send().await.expect("an answer").text().await.expect("text")
}

#[tokio::test]
async fn the_round_with_all_its_files_is_light_the_first_time_and_lighter_every_morning_after() {
    on_each_engine(|app| async move {
        let world = World::seed(&app, SENIORS).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        let server = Server::start(&app).await;
        let client = server.client(&app, world.site, world.primary).await;
        // The page, what it needs, and what the service worker takes along for a morning without a network.
        let mut files = BTreeSet::from(["/sw.js".to_owned(), "/manifest.webmanifest".to_owned(), "/offline".to_owned()]);
        for page in ["/round", "/offline"] {
            let html = plain(&client, page).await;
            files.extend(html.split('"').filter(|part| part.starts_with("/static/")).map(str::to_owned));
        }
        let (page, _) = fetched(&client, "/round").await;
        let (mut first, mut after) = (page.len(), page.len());
        for file in &files {
            let (body, kept) = fetched(&client, file).await;
            first += body.len();
            // The offline page is asked for by the service worker when that itself has changed.
            if !kept && file != "/offline" {
                after += body.len();
            }
        }
        assert!(files.iter().any(|file| file.ends_with("round.js")), "{files:?}");
        println!("the round of {SENIORS}: {first} bytes at first, {after} after, in {} files", files.len());
        assert!(first <= FIRST_BYTES_MAX, "{first} bytes at first");
        assert!(after <= AFTER_BYTES_MAX, "{after} bytes after");
    })
    .await;
}
