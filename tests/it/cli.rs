//! The built binary as its operator meets it: arguments in, sentences and exit codes out.

pub mod binary;
mod keeping;
mod rules;
mod serving;
