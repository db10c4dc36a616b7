//! Makes the checks of today and tomorrow, and of the days that were missed.

use chrono::{DateTime, Utc};

use crate::app::App;
use crate::store::{Result, plan};

/// How many checks a pass made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub made: u64,
    /// Sites that could not be planned.
    pub failed: usize,
}

pub async fn run_once(app: &App) -> Result<Report> {
    let now = app.clock.now();
    let sites = app.read(|mut tx| async move { plan::sites(&mut tx).await.map(|sites| (tx, sites)) }).await?;
    let mut report = Report::default();
    for site in sites {
        let today = crate::domain::day::local_date(site.zone, now);
        if site.planned_through.is_some_and(|through| through > today) {
            continue;
        }
        let made = app
            .write(move |mut tx| async move {
                let made = plan::plan_site(&mut tx, site.id, now).await?;
                Ok((tx, made))
            })
            .await;
        match made {
            Ok(made) => report.made += made,
            // The other sites' mornings go on; this one is tried again at the next tick.
            Err(error) => {
                tracing::error!(site = %site.id, %error, "site not planned");
                report.failed += 1;
            }
        }
    }
    if report.made > 0 {
        app.wake.watch.notify_one();
    }
    Ok(report)
}

/// One pass for the loop; the next day is found within a tick.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    run_once(&app).await?;
    Ok(None)
}
