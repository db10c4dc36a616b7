//! A database file that is taken away under a running server: SQLite goes on writing into a file without a name, and what
//! was promised is gone with the process. So the server looks, saves what it still holds, and ends (I21).

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::Db;
use super::backup::{self, BackupError};
use super::open::{self, Target};

/// The files of an open SQLite database as they were at the start.
#[derive(Debug)]
pub struct Presence {
    path: PathBuf,
    /// With the write-ahead log, where the latest commits are.
    files: Vec<(PathBuf, (u64, u64))>,
}

impl Presence {
    /// `None`: the database is no file.
    pub fn of(url: &str) -> Option<Self> {
        let Ok(Target::Sqlite(path)) = Target::parse(url) else { return None };
        let files = ["", "-wal"].map(|ending| open::with_suffix(&path, ending));
        let files = files.into_iter().filter_map(|file| identity(&file).map(|identity| (file, identity))).collect();
        Some(Self { path, files })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same files still have their names.
    pub fn holds(&self) -> bool {
        self.files.iter().all(|(file, known)| identity(file) == Some(*known))
    }

    /// Saves what the open connection still reads, as a copy that `restore` takes.
    pub async fn rescue(&self, db: &Db, now: DateTime<Utc>) -> Result<PathBuf, BackupError> {
        let copy = open::beside(&self.path, &format!("rescued-{}", now.format("%Y%m%dT%H%M%SZ")));
        backup::copy_open(db, &copy).await?;
        Ok(copy)
    }
}

fn identity(file: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}
