//! MQTT: the ingest endpoint for devices (`endpoint`) and the client of an external broker (`external`). Both hand messages
//! through the same [`ports`] and acknowledge only when the receiver says that the message is committed: a broker that
//! acknowledges from memory loses what it acknowledged (stack.md §0). Neither knows a database.

pub mod endpoint;
pub mod external;
pub mod ports;
