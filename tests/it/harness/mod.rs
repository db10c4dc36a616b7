//! What the tests stand on: things of the machine that may be missing, and servers started for one test.

pub mod broker;
pub mod needs;
