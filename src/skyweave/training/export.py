"""The weights of a training, written with their card whenever a checkpoint is, and at the end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch.callbacks import Callback


class ExportWeights(Callback):
    """Write weights and card beside every checkpoint, so that a run can be used while it goes on.

    Args:
        save: called with the card's ``training`` record: steps, seconds, the facts and the configuration.
        facts: of the data, such as the number of samples.
        config: of the run, as plain JSON types.
    """

    def __init__(
        self, save: Callable[[dict[str, Any]], object], facts: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        self.save, self.facts, self.config = save, dict(facts), dict(config)
        self.start_time = time.time()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Export in the process that writes the checkpoint: Lightning's hook.

        Args:
            trainer: that runs the training.
            pl_module: what is trained.
            checkpoint: that is being written; nothing is added to it.
        """
        if trainer.is_global_zero:
            self.write(trainer.global_step)

    def write(self, steps: int) -> None:
        """Export now.

        Args:
            steps: optimiser steps taken in all.
        """
        seconds = round(time.time() - self.start_time)
        self.save({"steps": steps, "seconds": seconds, **self.facts, "config": self.config})
