"""Where a device is that drives round a closed way."""

from math import cos, pi, radians, sin

import numpy as np

from simulators.models.courses import Course
from simulators.models.moments import Moments
from simulators.models.noise import Float64s, stream, uniform_of
from simulators.models.spec import Track

_KM = 1 / 111.32
"""Degrees of latitude."""


class Way:
    """Straight pieces between corners, one corner in each direction seen from the middle."""

    def __init__(self, spec: Track, speed: Course) -> None:
        self._spec, self._speed = spec, speed
        turns = [2 * pi * n / spec.corners for n in range(spec.corners)]
        self._east, self._north = (np.array([round(of(turn), 9) for turn in turns]) for of in (sin, cos))
        self._wide = _KM / round(cos(radians(spec.center[0])), 9)
        self._numbers = np.arange(spec.corners, dtype=np.int64)

    def at(self, moments: Moments) -> dict[str, Float64s]:
        """Give latitude, longitude and heading, in degrees."""
        spec, key = self._spec, moments.key
        low, high = spec.radius
        radius = low + (high - low) * uniform_of(key[:, None], stream("track.corner"), self._numbers)
        east, north = radius * self._east, radius * self._north
        ahead_east, ahead_north = np.roll(east, -1, axis=1) - east, np.roll(north, -1, axis=1) - north
        ends = np.cumsum(np.sqrt(ahead_east * ahead_east + ahead_north * ahead_north), axis=1)
        driven = np.remainder(self._speed.total(moments), ends[:, -1])
        piece = np.minimum((ends <= driven[:, None]).sum(axis=1), spec.corners - 1)
        row = np.arange(len(piece))
        begin = np.where(piece > 0, ends[row, piece - 1], 0.0)
        part = (driven - begin) / (ends[row, piece] - begin)
        x_way, y_way = ahead_east[row, piece], ahead_north[row, piece]
        home = [spec.around * (2 * uniform_of(key, stream(f"track.{side}"), 0) - 1) for side in ("east", "north")]
        return {
            "latitude": spec.center[0] + _KM * (home[1] + north[row, piece] + part * y_way),
            "longitude": spec.center[1] + self._wide * (home[0] + east[row, piece] + part * x_way),
            "heading": np.remainder(np.degrees(np.arctan2(x_way, y_way)), 360.0),
        }
