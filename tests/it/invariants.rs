//! The invariants of the store, each named after what a person would see.
