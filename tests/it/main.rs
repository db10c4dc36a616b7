//! One integration crate, so that everything is linked once; every test name is a sentence.

mod harness;

mod deploy;
mod tidy;
