//! From sensor messages to signals: pure decoders, one per ecosystem, and `explain`, which asks them about a
//! strange device; `judge` applies the rules of `crate::domain::evidence` to a
//! device's row; `writer` does it for many messages in one transaction; `doorkeeper` says who may connect; `running` starts it all.
//!
//! What must stay true: arbitrary bytes never panic, sizes are bounded before anything is parsed, and what is not understood is
//! said to be so instead of guessed.

mod behind;
mod cbor;
mod component;
pub mod discovery;
mod json;
pub mod said;
pub mod settings;
mod stamp;

pub mod esphome;
pub mod homie;
pub mod native;
pub mod rtl433;
pub mod shelly1;
pub mod shelly2;
pub mod statestream;
pub mod tasmota;
pub mod theengs;
pub mod tuya;
pub mod zigbee2mqtt;
pub mod zwave;

pub mod explain;

pub mod facts;
pub mod judge;
pub mod proposal;

pub mod doorkeeper;
pub mod writer;

pub mod running;
