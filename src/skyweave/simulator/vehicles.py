"""Kinds of vehicles, one vehicle, and where something is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VehicleKind:
    """What vehicles of a kind have in common.

    Attributes:
        lane: kind of lane that it uses.
        lengths, widths, heights: metres, least and most.
        speed: desired, as a share of the limit, or metres a second for a bicycle.
        acceleration, braking: comfortable, metres per second squared.
        headway: seconds to the vehicle before.
        may_turn: whether it turns at crossings where it could go straight on.
    """

    lane: str
    lengths: tuple[float, float]
    widths: tuple[float, float]
    heights: tuple[float, float]
    speed: tuple[float, float]
    acceleration: float
    braking: float
    headway: float
    may_turn: bool = True


VEHICLE_KINDS = {
    "car": VehicleKind("road", (3.7, 5.0), (1.68, 1.95), (1.42, 1.85), (0.8, 1.0), 1.6, 2.0, 1.2),
    "truck": VehicleKind("road", (7.0, 10.5), (2.4, 2.55), (3.0, 3.8), (0.7, 0.85), 0.9, 1.6, 1.6, False),
    "bus": VehicleKind("road", (10.5, 12.0), (2.5, 2.55), (2.9, 3.2), (0.7, 0.85), 0.9, 1.5, 1.6, False),
    "bicycle": VehicleKind("cycle", (1.7, 1.9), (0.55, 0.7), (1.65, 1.85), (3.5, 6.0), 1.0, 2.0, 1.0),
}


@dataclass(eq=False)
class Vehicle:
    """One vehicle.

    Attributes:
        name: unique in the scene.
        kind: key of ``VEHICLE_KINDS``.
        size: length, width, height in metres.
        desired: metres a second on a free road.
        route: lanes that it is on or will take; ``place``: index of the one its middle is on.
        s: metres of its middle along that lane; v: metres a second; a: metres per second squared.
        appearance_seed: number from which its looks are drawn.
        reserved: way across a crossing that it may take, or has not left yet.
    """

    name: str
    kind: str
    size: tuple[float, float, float]
    desired: float
    route: list[int]
    s: float
    v: float
    appearance_seed: int
    place: int = 0
    a: float = 0.0
    reserved: int | None = None

    @property
    def axles(self) -> float:
        """Metres between the axles; they follow the lane, the body hangs between."""
        return 0.6 * self.size[0]


@dataclass(frozen=True)
class PlanarPose:
    """Where something is: metres, radians, metres a second."""

    x: float
    y: float
    yaw: float
    vx: float
    vy: float
