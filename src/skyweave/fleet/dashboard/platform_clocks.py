"""The platforms' clocks as somebody sees them who only receives: none of them may decide what time it is."""

from collections import deque

MAX_LAGS = 16  # scenes of a platform, of which the quickest counts
MAX_LATENCY_S = 10.0  # that a platform may give
MIN_OFFSET_S, MAX_OFFSET_S = -0.5, 1.0  # of what comes after its capture; outside, the platform's clock is wrong
NEW_STREAM_S = 60.0  # by which a platform's clock is set back where it begins anew, and does not merely come later


class PlatformClocks:
    """Puts what each platform captured on one time, the receiver's. Clocks that are nearly right are taken as right."""

    def __init__(self) -> None:
        self._lags: dict[str, deque[float]] = {}

    def capture_time(self, platform: str, captured: float, latency: float, now: float) -> float:
        """Return when a scene was captured, UTC seconds by the receiver's clock; never much later than now.

        Args:
            platform: its name.
            captured: UTC seconds by the platform's clock.
            latency: seconds from capture to fused scene, as the platform says.
            now: UTC seconds by the receiver's clock.
        """
        lag = now - captured - min(max(latency, 0.0), MAX_LATENCY_S)
        lags = self._lags.setdefault(platform, deque(maxlen=MAX_LAGS))
        if lags and lag - min(lags) > NEW_STREAM_S:
            lags.clear()
        lags.append(lag)
        offset = min(lags)
        return captured if MIN_OFFSET_S <= offset <= MAX_OFFSET_S else captured + offset
