//! Tables as offices exchange them: what a file says, as lines of text, and tables to take away. A file is a stranger's: its size,
//! what it unpacks to, its lines and columns are bounded before anything is kept.

mod read;
mod write;

pub use read::{Unreadable, read};
pub use write::{Cell, Choices, Table, safe, write};
