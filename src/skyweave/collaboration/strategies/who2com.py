"""Who2com (arXiv 2003.09575): When2com's handshake, and one peer only."""

from skyweave.collaboration.strategies.when2com import When2com


class Who2com(When2com):
    """Attention that asks the best-matching peer alone."""

    keeps_best_only = True
