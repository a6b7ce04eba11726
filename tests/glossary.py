"""Reads `docs/glossary.md`: tables of a term, its meaning and its source."""

import re
from dataclasses import dataclass

CAPITALS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Entry:
    """One line of the glossary.

    Attributes:
        terms: its spellings, the usual one first; an abbreviation in parentheses is one of them.
        meaning: what it is.
        source: paper, standard or library.
    """

    terms: tuple[str, ...]
    meaning: str
    source: str


def entries_of(text: str) -> list[Entry]:
    """Return the entries of all tables.

    Args:
        text: Markdown; rows ``| term, other spelling (ABBREVIATION) | meaning | source |``.
    """
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    entries = []
    for row in rows:
        if row[0] == "term" or set(row[0]) <= {"-", " ", ":"}:
            continue
        terms = re.split(r"\s*[,()]\s*", row[0])
        entries.append(Entry(tuple(term for term in terms if term), *[*row, "", ""][1:3]))
    return entries


def unused_terms(entries: list[Entry], text: str) -> list[str]:
    """Return the terms none of whose spellings occurs.

    Args:
        entries: of the glossary.
        text: code and documentation; ``TokenBucket``, ``token_buckets`` and ``token bucket`` are one spelling.
    """
    words = f" {_normalise(text)} "
    return [
        entry.terms[0]
        for entry in entries
        if not any(f" {spelling} " in words for term in entry.terms for spelling in spellings(term))
    ]


def spellings(term: str) -> list[str]:
    """Return a term in singular and plural, in lower case and without hyphens.

    Args:
        term: as the glossary has it.
    """
    singular = _normalise(term)
    plural = f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"
    return [singular, plural, f"{singular}es"]


def _normalise(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", CAPITALS.sub(" ", text).lower()))
