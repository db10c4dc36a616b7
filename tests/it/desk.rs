//! The pages of a desk: the social worker's board, charts, the system page and the record of acts.

mod board;
mod pages;

use chenlian::app::App;
use chenlian::on;
use chenlian::store::plan;
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::harness::World;
use crate::http::Client;

/// A page as a browser gets it.
async fn html(client: &Client, path: &str) -> (StatusCode, String) {
    let answer = client.request(Method::GET, path).header("accept", "text/html").send().await.expect("the server answers");
    (answer.status(), answer.text().await.expect("the page is complete"))
}

/// The section of a page with this id.
fn section<'a>(page: &'a str, id: &str) -> &'a str {
    let start = page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no section {id}"));
    let end = page[start..].find("</section>").map_or(page.len(), |length| start + length);
    &page[start..end]
}

/// The big numbers of a board, in their order: due, seen, not yet due, missed, away.
fn numbers(page: &str) -> Vec<i64> {
    let list = page.split("board-numbers").nth(1).and_then(|rest| rest.split("</ul>").next()).expect("numbers");
    list.split("<b>").skip(1).map(|rest| rest.split("</b>").next().expect("closed").parse().expect("a number")).collect()
}

async fn planned(app: &App, seniors: usize) -> World {
    let world = World::seed(app, seniors).await;
    let (site, now) = (world.site, app.clock.now());
    crate::done!(app, |tx| plan::plan_site(&mut tx, site, now)).expect("the day is planned");
    world
}

async fn change(app: &App, sql: &'static str, id: Uuid) {
    app.write(move |mut tx| async move {
        on!(&mut tx, |conn| sqlx::query(sql).bind(id).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the row is changed");
}

/// A second building of the compound, to which these seniors move.
async fn second_building(app: &App, world: &World, seniors: &[Uuid]) -> Uuid {
    let (building, world, seniors) = (Uuid::now_v7(), world.clone(), seniors.to_vec());
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let place = "insert into place (site_id, id, kind, name, parent_id, walk_order, version, created_at)
            values ($1, $2, 'building', '9号楼', $3, 2, 1, $4)";
        on!(&mut tx, |conn| sqlx::query(place)
            .bind(world.site)
            .bind(building)
            .bind(world.compound)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?;
        let closure = "insert into place_closure (site_id, ancestor_id, descendant_id, depth) values ($1, $2, $3, 1)";
        for ancestor in [building, world.compound, world.community, world.street] {
            on!(&mut tx, |conn| sqlx::query(closure).bind(world.site).bind(ancestor).bind(building).execute(conn).await.map(|_| ()))?;
        }
        for senior in seniors {
            let home = "update home set building_id = $1 where id = (select home_id from senior where id = $2)";
            on!(&mut tx, |conn| sqlx::query(home).bind(building).bind(senior).execute(conn).await.map(|_| ()))?;
        }
        Ok((tx, ()))
    })
    .await
    .expect("the building stands");
    building
}
