//! Looking after the database: bring it up to date, copy it, put a copy back, ask whether all is well.

use std::path::Path;

use super::Outcome;
use super::console::{Console, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::serve;
use crate::store::{backup as copies, open as database, verify as rules};

/// Changes the schema, or with `check` only says what would be changed.
pub async fn migrate(config: Config, check: bool, console: Console) -> Outcome {
    if check {
        return check_migrations(&config, console).await;
    }
    serve::make_folder(&config.data.folder).map_err(|error| console.start_failure(&error))?;
    let (db, lock) = database::connect(&config.database_url()).await.map_err(|error| console.open_failure(&error))?;
    let pending = database::pending_migrations(&db).await;
    let migrated = database::migrate(&db).await;
    db.close().await;
    drop(lock);
    let (pending, ()) = pending.and_then(|pending| Ok((pending, migrated?))).map_err(|error| console.open_failure(&error))?;
    for migration in &pending {
        console.say(&console.render("console.migrated", &[("migration", migration)]));
    }
    console.say(&console.render("console.up_to_date", &[]));
    Ok(())
}

async fn check_migrations(config: &Config, console: Console) -> Outcome {
    let db = database::connect_beside(&config.database_url()).await.map_err(|error| console.open_failure(&error))?;
    let pending = database::pending_migrations(&db).await;
    db.close().await;
    let pending = pending.map_err(|error| console.open_failure(&error))?;
    if pending.is_empty() {
        console.say(&console.render("console.up_to_date", &[]));
        return Ok(());
    }
    for migration in &pending {
        console.say(&console.render("console.pending", &[("migration", migration)]));
    }
    Err(Failure::new(console.render("console.pending_count", &[("count", &pending.len().to_string())])))
}

pub async fn backup(config: Config, file: &Path, console: Console) -> Outcome {
    copies::backup(&config.database_url(), file).await.map_err(|error| console.backup_failure(&error))?;
    let (path, key) = (file.display().to_string(), config.key_file().display().to_string());
    console.say(&console.render("console.backed_up", &[("path", &path), ("key", &key)]));
    Ok(())
}

pub async fn restore(config: Config, file: &Path, console: Console) -> Outcome {
    serve::make_folder(&config.data.folder).map_err(|error| console.start_failure(&error))?;
    let restored = copies::restore(&config.database_url(), file, Clock::System.now()).await;
    let aside = restored.map_err(|error| console.backup_failure(&error))?;
    if let Some(aside) = aside {
        console.say(&console.render("console.moved_aside", &[("path", &aside.display().to_string())]));
    }
    console.say(&console.render("console.restored", &[("path", &file.display().to_string())]));
    let key = config.key_file();
    if !key.exists() {
        console.complain(&console.render("console.restored_without_key", &[("key", &key.display().to_string())]));
    }
    Ok(())
}

/// Says what is wrong, by id and never by name.
pub async fn verify(config: Config, console: Console) -> Outcome {
    let app = serve::open_beside(config).await.map_err(|error| console.start_failure(&error))?;
    let damage = rules::integrity(&app.db).await;
    let now = app.clock.now();
    let findings = app.read(move |mut tx| async move { rules::findings(&mut tx, now).await.map(|found| (tx, found)) }).await;
    app.db.close().await;
    let damage = damage.map_err(|error| console.store_failure(&error))?;
    let findings = findings.map_err(|error| console.store_failure(&error))?;
    for line in &damage {
        console.say(&console.render("console.integrity", &[("why", line)]));
    }
    for finding in &findings {
        let what = console.render(&format!("console.rule_{}", finding.rule), &[]);
        console.say(&format!("{}: {what}: {}", finding.rule, finding.id));
    }
    let count = (damage.len() + findings.len()).to_string();
    if damage.is_empty() && findings.is_empty() {
        console.say(&console.render("console.all_well", &[("rules", &rules::rules().len().to_string())]));
        return Ok(());
    }
    Err(Failure::new(console.render("console.not_well", &[("count", &count)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn every_rule_of_verify_has_a_sentence_in_both_languages() {
        for locale in text::LOCALES {
            for rule in rules::rules() {
                let key = format!("console.rule_{rule}");
                assert_ne!(text::plain(locale, &key), key, "no text in {locale}");
            }
        }
    }
}
