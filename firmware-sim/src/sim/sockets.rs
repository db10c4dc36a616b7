//! How many sockets this process may have.

/// Kept for the program itself: standard streams, files, the event loop.
const RESERVED: u64 = 64;

/// Raises the limit of open files as far as this user may, and tells how many connections fit under it. `None` where there is no
/// such limit, or none that can be read.
#[cfg(unix)]
pub fn raise_limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, what there is must do.
    let _ = setrlimit(Resource::Nofile, limit);
    let now = getrlimit(Resource::Nofile).current?;
    usize::try_from(now.saturating_sub(RESERVED).max(1)).ok()
}

#[cfg(not(unix))]
pub const fn raise_limit() -> Option<usize> {
    None
}
