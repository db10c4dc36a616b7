//! Chenlian (晨帘): curtain agreements for seniors who live alone.

pub mod clock;
pub mod domain;
pub mod ingest;
pub mod mqtt;
