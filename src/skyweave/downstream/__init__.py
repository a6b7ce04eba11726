"""Using a backbone; its rooms offer it: labels, probing, finetuning, geobench."""

__all__: list[str] = []
