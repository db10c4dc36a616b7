//! Makes the checks of today and tomorrow, and of the days that were missed; and makes up for any that is missing, at every pass.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::app::App;
use crate::domain::notice::Arguments;
use crate::store::plan::{self, SitePlan};
use crate::store::{Result, watch};

/// How many checks a pass made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub made: u64,
    /// Sites that could not be read or planned.
    pub failed: usize,
}

pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::all_sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut report = Report::default();
    for (id, site) in sites {
        let made = match site {
            Ok(site) => plan_site(app, site, now).await,
            Err(broken) => Err(tell_unreadable(app, id, now).await.err().unwrap_or(broken)),
        };
        match made {
            Ok(made) => report.made += made,
            // The other sites' mornings go on; this one is tried again at the next tick.
            Err(error) => {
                tracing::error!(site = %id, %error, "site not planned");
                report.failed += 1;
            }
        }
    }
    if report.made > 0 {
        app.wake.watch.notify_one();
    }
    Ok(report)
}

/// Looks first, because a look keeps no writer waiting and there is rarely anything to do.
async fn plan_site(app: &App, site: SitePlan, now: DateTime<Utc>) -> Result<u64> {
    let id = site.id;
    if app.read(move |mut tx| async move { plan::is_complete(&mut tx, &site, now).await.map(|complete| (tx, complete)) }).await? {
        return Ok(0);
    }
    app.write(move |mut tx| async move {
        let made = plan::plan_site(&mut tx, id, now).await?;
        Ok((tx, made))
    })
    .await
}

/// Nobody of this site is watched over until somebody mends its row.
async fn tell_unreadable(app: &App, site: Uuid, now: DateTime<Utc>) -> Result<()> {
    app.write(move |mut tx| async move {
        watch::tell_operators(&mut tx, site, "notice.site_broken", "site_broken", &Arguments::new(), now).await?;
        Ok((tx, ()))
    })
    .await
}

/// One pass for the loop; the next day is found within a tick.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    run_once(&app).await?;
    Ok(None)
}
