//! The built binary as its operator meets it: arguments in, sentences and exit codes out.

pub mod binary;
mod full;
mod keeping;
mod killed;
mod rules;
mod serving;
