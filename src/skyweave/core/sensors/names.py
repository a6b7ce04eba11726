"""Bands by name: canonical name or alias, whatever the case, punctuation and leading zeros."""

from collections.abc import Iterator, Sequence
from itertools import chain

from skyweave.core.errors import UnknownNameError, did_you_mean, normalise_name
from skyweave.core.sensors.band import Band

MAX_LISTED_NAMES = 20  # valid names that a message lists in full


def band_spellings(bands: Sequence[Band]) -> dict[str, int]:
    """Return the index of the band that each normalised spelling means.

    Args:
        bands: of one sensor; the first band keeps a spelling that two of them claim.
    """
    spellings: dict[str, int] = {}
    for index, band in enumerate(bands):
        for spelling in (*band.aliases, band.name):
            spellings.setdefault(normalise_name(spelling), index)
    return spellings


def find_band(bands: Sequence[Band], name: str, owner: str) -> int:
    """Return the index of the band called ``name``; a canonical name goes before an alias.

    Args:
        bands: of one sensor.
        name: canonical name or alias, in any case and punctuation.
        owner: what to call the owner of the bands in the message (``sensor 'naip'``).

    Raises:
        UnknownNameError: no band has that name; lists the valid names and the nearest one.
    """
    index = next(_indices_called(bands, normalise_name(name)), None)
    if index is None:
        raise UnknownNameError(_no_such_band(bands, name, owner))
    return index


def _indices_called(bands: Sequence[Band], key: str) -> Iterator[int]:
    """Return the indices of the bands of that normalised name, then of those with such an alias."""
    canonical = (index for index, band in enumerate(bands) if normalise_name(band.name) == key)
    aliased = (index for index, band in enumerate(bands) if key in map(normalise_name, band.aliases))
    return chain(canonical, aliased)


def _no_such_band(bands: Sequence[Band], name: str, owner: str) -> str:
    hint = did_you_mean(name, {spelling: band.name for band in bands for spelling in (*band.aliases, band.name)})
    names = [band.name for band in bands]
    valid = ", ".join(names)
    if len(names) > MAX_LISTED_NAMES:
        valid = f"{', '.join(names[:3])} ... {names[-1]} ({len(names)} bands)"
    return f"{owner} has no band {name!r}{hint}; valid names: {valid}"
