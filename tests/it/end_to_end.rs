//! The built program from outside, as a street office meets it: commands, HTTP, MQTT clients that know nothing of the
//! server, and a receiver for what people are told.

mod demo;
mod morning;
mod street;
