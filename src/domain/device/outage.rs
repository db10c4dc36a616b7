//! Many devices silent at once have one cause, and one notice says so. It suppresses nobody's alert.

use chrono::TimeDelta;

/// What falls silent behind one gateway waits so long for others: devices that stopped together spoke last at different seconds, and
/// the first two of them would each be told alone.
pub const GATHER: TimeDelta = TimeDelta::minutes(10);

/// So many silent devices of one gateway, and at least half of them, are its own silence.
const SILENT_MIN: i64 = 3;

/// What stands behind a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// The gateway itself is missed.
    pub gateway_silent: bool,
    /// Devices in use behind it, and those of them that are silent.
    pub devices: i64,
    pub silent: i64,
}

/// Whether the silence of a device behind it is the gateway's.
pub fn is_outage(behind: Behind) -> bool {
    behind.gateway_silent || (behind.silent >= SILENT_MIN && behind.silent * 2 >= behind.devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_silent_devices_of_one_gateway_have_one_cause() {
        for (gateway_silent, devices, silent, expected) in [
            (false, 10, 10, true),
            (false, 10, 5, true),
            (false, 10, 4, false),
            (false, 2, 2, false),
            (false, 3, 3, true),
            (true, 10, 1, true),
            (true, 0, 0, true),
        ] {
            assert_eq!(is_outage(Behind { gateway_silent, devices, silent }), expected, "{gateway_silent} {devices} {silent}");
        }
    }
}
