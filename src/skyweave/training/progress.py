"""How far a training has come, where no bar can be drawn."""

from typing import Any

from lightning.pytorch.callbacks import Callback

from skyweave.core.progress import ProgressLines


class ProgressLinesCallback(Callback):
    """Writes a line now and then: optimiser steps, the time that remains, and the last loss.

    Args:
        lines: that are written.
    """

    def __init__(self, lines: ProgressLines | None = None) -> None:
        self.lines = lines or ProgressLines()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Write a line if it is time: Lightning's hook.

        Args:
            trainer: that runs the training.
            pl_module: what is trained.
        """
        loss = trainer.callback_metrics.get("loss")
        note = "" if loss is None else f", loss {float(loss):.4g}"
        self.lines.report("training", trainer.global_step, trainer.max_steps, note)
