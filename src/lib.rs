//! Chenlian (晨帘): curtain agreements for seniors who live alone.

pub mod domain;
pub mod ingest;
