//! Where the sun stands: light in a room says something only by day.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use solar_positioning::{Location, SolarPositions};

/// How far the rotation of the earth lags behind atomic time, in seconds. Ten more or less move the sun by a hundredth of a degree.
const DELTA_T_SECONDS: f64 = 70.0;

/// Where a site is on earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub zone: Tz,
    /// Degrees, north positive.
    pub latitude: f64,
    /// Degrees, east positive.
    pub longitude: f64,
}

/// How high the centre of the sun stands above the horizon, in degrees and without refraction; below it is negative. `None` for a
/// place that is not on earth or a time beyond the algorithm (NREL's SPA, years -2000 to 6000).
pub fn elevation(place: Place, at: DateTime<Utc>) -> Option<f64> {
    let location = Location { latitude: place.latitude, longitude: place.longitude };
    let position = SolarPositions::new().at(&at, location, 0.0, DELTA_T_SECONDS, None).ok()?;
    Some(position.elevation_angle())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values by the equations of NOAA's solar calculator (without its refraction term).
    #[test]
    fn the_sun_stands_where_noaa_says() {
        for (latitude, longitude, at, degrees) in [
            (37.87, 112.55, "2026-11-22T22:30:00Z", -9.652),
            (37.87, 112.55, "2026-11-22T23:10:00Z", -2.298),
            (37.87, 112.55, "2026-11-22T23:30:00Z", 1.257),
            (37.87, 112.55, "2026-11-22T16:00:00Z", -72.020),
            (37.87, 112.55, "2026-06-21T04:30:00Z", 75.564),
            (31.82, 117.23, "2026-03-20T23:00:00Z", 8.902),
            (53.48, 122.35, "2026-12-22T00:30:00Z", 1.905),
            (-33.87, 151.21, "2026-12-22T02:00:00Z", 79.472),
        ] {
            let place = Place { zone: Tz::Asia__Shanghai, latitude, longitude };
            let found = elevation(place, at.parse().unwrap()).unwrap();
            assert!((found - degrees).abs() < 0.05, "{latitude} {longitude} {at}: {found}, not {degrees}");
        }
        let nowhere = Place { zone: Tz::UTC, latitude: 91.0, longitude: 0.0 };
        assert_eq!(elevation(nowhere, "2026-11-23T00:00:00Z".parse().unwrap()), None);
    }
}
