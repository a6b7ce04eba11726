"""Readers of published recordings of several agents whose layouts are their own: OPV2V and Griffin."""
