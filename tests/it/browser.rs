//! The pages as people meet them: a real Chromium, driven over WebDriver, in front of a real server by the real clock. Every page
//! that a journey passes is looked at by axe-core and kept as a picture under `target/test-screens`.

pub mod desk;
pub mod device;
pub mod door;
pub mod drill;
pub mod driver;
pub mod office;
pub mod paper;
pub mod push;
pub mod round;
pub mod sign_in;
pub mod stage;
