"""What the sentences measure: names, SenML units, and the least and greatest value that can be meant."""

from __future__ import annotations

import msgspec

from device_bridge import Quality, Quantity, Reading

_ANGLE = (0, 360)
_ERROR_M = (0, 100_000)
_DEPTH_M = (0, 12_000)
_GPS_BEGINS_S = 315_964_800  # 1980-01-06
_TWO_DIGIT_YEARS_END_S = 3_471_292_800  # 2080-01-01

_POSITION = (
    Quantity("lat", "lat", (-90, 90), "latitude, WGS 84, north positive"),
    Quantity("lon", "lon", (-180, 180), "longitude, WGS 84, east positive", period=360),
)
_OTHERS = (
    Quantity("altitude", "m", (-1_000, 50_000), "antenna above mean sea level"),
    Quantity("geoid_separation", "m", (-120, 120), "mean sea level above the WGS 84 ellipsoid"),
    Quantity("speed", "m/s", (0, 2_000), "speed over ground"),
    Quantity("course", "deg", _ANGLE, "true course over ground", period=360),
    Quantity("course_magnetic", "deg", _ANGLE, "magnetic course over ground", period=360),
    Quantity("fix_quality", "", (0, 9), "GGA: 0 none, 1 GPS, 2 differential, 4 RTK, 5 float RTK, 6 estimated"),
    Quantity("fix_mode", "", (1, 3), "GSA: 1 none, 2 two-dimensional, 3 three-dimensional"),
    Quantity("satellites_used", "count", (0, 200), "satellites the fix is computed from"),
    Quantity("satellites_in_view", "count", (0, 200), "satellites above the horizon, of all systems heard so far"),
    Quantity("pdop", "/", (0, 100), "dilution of precision, position"),
    Quantity("hdop", "/", (0, 100), "dilution of precision, horizontal"),
    Quantity("vdop", "/", (0, 100), "dilution of precision, vertical"),
    Quantity("range_error", "m", _ERROR_M, "standard deviation of the ranges the fix is computed from"),
    Quantity("ellipse_major", "m", _ERROR_M, "semi-major axis of the error ellipse, one standard deviation"),
    Quantity("ellipse_minor", "m", _ERROR_M, "semi-minor axis of the error ellipse, one standard deviation"),
    Quantity("ellipse_orientation", "deg", (-180, 360), "semi-major axis of the error ellipse, from true north"),
    Quantity("lat_error", "m", _ERROR_M, "standard deviation of the latitude"),
    Quantity("lon_error", "m", _ERROR_M, "standard deviation of the longitude"),
    Quantity("altitude_error", "m", _ERROR_M, "standard deviation of the altitude"),
    Quantity(
        "receiver_time",
        "s",
        (_GPS_BEGINS_S, _TWO_DIGIT_YEARS_END_S),
        "the receiver's clock, seconds since 1970-01-01 UTC without leap seconds",
    ),
    Quantity("heading", "deg", _ANGLE, "true heading of the bow", period=360),
    Quantity("heading_magnetic", "deg", _ANGLE, "magnetic heading of the bow", period=360),
    Quantity("water_speed", "m/s", (0, 100), "speed through the water"),
    Quantity("water_temperature", "Cel", (-5, 60), "water temperature"),
    Quantity("depth_below_transducer", "m", _DEPTH_M, "water depth below the transducer"),
    Quantity("depth_below_surface", "m", _DEPTH_M, "water depth below the water line"),
    Quantity("depth_below_keel", "m", _DEPTH_M, "water depth below the keel"),
    Quantity(
        "apparent_wind_angle", "deg", _ANGLE, "direction the wind is felt from, clockwise from the bow", period=360
    ),
    Quantity("apparent_wind_speed", "m/s", (0, 150), "speed of the wind as it is felt on board"),
    Quantity(
        "true_wind_angle", "deg", _ANGLE, "direction the true wind comes from, clockwise from the bow", period=360
    ),
    Quantity("true_wind_speed", "m/s", (0, 150), "speed of the true wind"),
)
QUANTITIES = (*_POSITION, *(msgspec.structs.replace(each, optional=True) for each in _OTHERS))
_UNITS = {quantity.name: quantity.unit for quantity in QUANTITIES}


def reading_of(name: str, value: float | None, quality: Quality = Quality.GOOD, reason: str = "") -> Reading:
    """A reading of one of the quantities, in its unit."""
    return Reading(name, value, _UNITS[name], quality=quality, reason=reason)


def bad(reason: str, *names: str) -> list[Reading]:
    """These quantities without a value."""
    return [reading_of(name, None, Quality.BAD, reason) for name in names]
