//! Why something failed, as far as the system's own error tells: a sentence in the reader's language for what is known, so that
//! no foreign words stand in the middle of it.

use std::io::{Error as IoError, ErrorKind};

use sqlx::migrate::MigrateError;

use crate::seal::SealError;

/// The key of the reason; `None`: only the system's own words can say it.
pub type Known = Option<&'static str>;

pub fn io(error: &IoError) -> Known {
    Some(match error.kind() {
        ErrorKind::NotFound => "why.not_found",
        ErrorKind::PermissionDenied => "why.permission",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "why.full",
        ErrorKind::ReadOnlyFilesystem => "why.read_only",
        ErrorKind::AlreadyExists => "why.exists",
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "why.folder",
        ErrorKind::AddrInUse => "why.address_taken",
        ErrorKind::AddrNotAvailable => "why.address_foreign",
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => "why.refused",
        ErrorKind::TimedOut => "why.silent",
        _ => return None,
    })
}

pub fn database(error: &sqlx::Error) -> Known {
    match error {
        sqlx::Error::Io(error) => io(error),
        sqlx::Error::PoolTimedOut => Some("why.silent"),
        sqlx::Error::Database(error) => of_code(&error.code().unwrap_or_default()),
        _ => None,
    }
}

/// `SQLSTATE` has five places; the codes of `SQLite` hold the kind in their lowest byte.
fn of_code(code: &str) -> Known {
    if code.len() == 5 {
        return Some(match code {
            "28000" | "28P01" => "why.login",
            "3D000" => "why.no_such_database",
            "42501" => "why.permission",
            "53300" => "why.no_connection_left",
            "53100" => "why.full",
            "25006" => "why.read_only",
            "XX001" | "XX002" => "why.damaged",
            _ => return None,
        });
    }
    Some(match code.parse::<u32>().ok()? & 0xff {
        3 | 14 | 23 => "why.permission",
        5 | 6 => "why.busy",
        8 => "why.read_only",
        11 | 26 => "why.damaged",
        13 => "why.full",
        _ => return None,
    })
}

pub fn migration(error: &MigrateError) -> Known {
    match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) | MigrateError::VersionTooNew(..) => Some("why.newer_schema"),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => database(error),
        _ => None,
    }
}

pub fn key(error: &SealError) -> &'static str {
    match error {
        SealError::File { source, .. } => io(source).unwrap_or("why.permission"),
        SealError::Length { .. } => "why.key_length",
        SealError::WrongKey => "why.key_foreign",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_both_databases_say_what_is_wrong() {
        for (code, expected) in [
            ("28P01", Some("why.login")),
            ("3D000", Some("why.no_such_database")),
            ("13", Some("why.full")),
            // Read-only because its folder is: SQLITE_READONLY_DIRECTORY.
            ("1544", Some("why.read_only")),
            ("11", Some("why.damaged")),
            ("23505", None),
            ("", None),
        ] {
            assert_eq!(of_code(code), expected, "{code}");
        }
    }
}
