//! Decisions only: no clock, no I/O, no randomness.

pub mod evidence;
