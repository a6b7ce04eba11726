"""Rate control: how many bytes a frame may take, so that as many as possible get through.

Receivers report in their heartbeats what share of the sent bytes arrived, and with which delay. Congestion is the
sender's doing and shows as loss that was not there before, or as a growing delay; then the budget falls to what was
delivered (multiplicative decrease, as in RFC 5681, from the delivered rate, as in BBR). A radio that loses half of
everything is not congested: its loss stays the same however little is sent, and sending less would not help.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from skyweave.core.errors import FleetError

MIN_BUDGET_BYTES = 200
RECENT_REPORTS = 12  # whose smallest loss counts as usual for the link
DELAY_FACTOR = 0.8  # of the budget where a queue stands
LOSS_FACTOR = 0.9  # of what was delivered
MAX_DECREASE = 0.5  # factor by which one report lowers the budget at most
MIN_USUAL_DELIVERY = 0.05


@dataclass(frozen=True)
class RateControlConfig:
    """Bounds and steps of the budget.

    Attributes:
        min_bytes: a frame, envelopes included.
        max_bytes: a frame, envelopes included.
        initial_bytes: of the first frames; None: ``max_bytes``.
        growth: factor by which the budget grows after a good report.
        loss_threshold: share of loss above what is usual from which the link counts as congested.
        delay_threshold: seconds by which even the quickest message is delayed, from which it does.
    """

    min_bytes: int = 400
    max_bytes: int = 20_000
    initial_bytes: int | None = None
    growth: float = 1.08
    loss_threshold: float = 0.05
    delay_threshold: float = 0.25

    def __post_init__(self) -> None:
        if not MIN_BUDGET_BYTES <= self.min_bytes <= self.max_bytes:
            raise FleetError(
                f"a budget from {self.min_bytes} to {self.max_bytes} bytes a frame must be rising and at least "
                f"{MIN_BUDGET_BYTES}"
            )


@dataclass
class RateController:
    """The budget of one sender, steered by its receivers' reports.

    Attributes:
        config: bounds and steps.
        budget: bytes a frame.
    """

    config: RateControlConfig = field(default_factory=RateControlConfig)
    budget: float = 0.0
    _recent_losses: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT_REPORTS))

    def __post_init__(self) -> None:
        self.budget = float(self.config.initial_bytes or self.config.max_bytes)

    @property
    def frame_bytes(self) -> int:
        """Bytes for the next frame."""
        return int(self.budget)

    def update(self, delivered: Sequence[float], delays: Sequence[float]) -> None:
        """Change the budget by what receivers report about the time since the last update.

        Args:
            delivered: share of the sent bytes that arrived, 0 to 1, for each receiver.
            delays: seconds that the quickest message took beyond the quickest ever, for each receiver.
        """
        if not delivered:
            return
        # The better median: a receiver that has flown away, or lies, must not silence the sender for the others.
        share, delay = -_lower_median([-value for value in delivered]), _lower_median(delays) if delays else 0.0
        usual_loss = min(self._recent_losses, default=0.0)
        self._recent_losses.append(1 - share)
        budget = self.budget * self._factor(share, usual_loss, delay)
        self.budget = min(max(budget, self.config.min_bytes), self.config.max_bytes)

    def _factor(self, share: float, usual_loss: float, delay: float) -> float:
        if delay > self.config.delay_threshold:
            return DELAY_FACTOR
        if 1 - share > usual_loss + self.config.loss_threshold:
            return max(LOSS_FACTOR * share / max(1 - usual_loss, MIN_USUAL_DELIVERY), MAX_DECREASE)
        return self.config.growth


def _lower_median(values: Sequence[float]) -> float:
    """Return the median; of an even number of values the lower of the two in the middle."""
    return float(sorted(values)[(len(values) - 1) // 2])
