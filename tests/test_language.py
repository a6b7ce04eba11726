"""Names are the field's, and one name means one thing; `docs/glossary.md` defines the terms.

``python tests/test_language.py`` counts what is left to change by room; ``--list`` names it, ``--room fleet`` of one.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from banned_terms import ALLOWED, BANNED
from glossary import Entry, entries_of, spellings, unused_terms
from language_rules import (
    Finding,
    Identifier,
    banned_identifiers,
    banned_terms,
    configuration_keys,
    docstring_weakness,
    identifiers,
    package_identifiers,
    repeated_classes,
    room_of,
    weak_docstrings,
    yaml_keys,
)

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "skyweave"
CONFIGURATIONS = REPOSITORY / "configs"
GLOSSARY = REPOSITORY / "docs" / "glossary.md"


def test_no_banned_identifier() -> None:
    demand_none(banned_identifiers(package_identifiers(PACKAGE) | configuration_keys(CONFIGURATIONS)))


def test_no_class_name_has_two_meanings() -> None:
    demand_none(class_findings())


def test_docstrings_are_full_phrases() -> None:
    demand_none(weak_docstrings(PACKAGE))


def test_what_is_allowed_is_still_there() -> None:
    by_file = package_identifiers(PACKAGE) | configuration_keys(CONFIGURATIONS)
    given = {(identifier.kind, identifier.name) for names in by_file.values() for identifier in names}
    assert ALLOWED.keys() <= given, f"take these out of ALLOWED: {sorted(ALLOWED.keys() - given)}"


def test_every_term_of_the_glossary_is_used() -> None:
    terms = unused_terms(glossary(), corpus())
    assert not terms, f"{len(terms)} terms of {GLOSSARY.name} are nowhere in code, configurations and docs: {terms}"


def test_every_banned_term_has_its_replacement_in_the_glossary() -> None:
    known = {spelling for entry in glossary() for spelling in entry.terms}
    missing = sorted({term for banned in BANNED for term in banned.terms if term not in known})
    assert not missing, f"define these in {GLOSSARY.name}: {missing}"


def test_every_entry_of_the_glossary_is_whole() -> None:
    entries = glossary()
    assert len(entries) >= 80
    assert all(entry.terms and entry.meaning and entry.source for entry in entries)
    spelled = Counter(term.lower() for entry in entries for term in entry.terms)
    assert not [term for term, count in spelled.items() if count > 1], "a term has one line"


def class_findings() -> list[Finding]:
    return [
        Finding(
            room_of(Path(place.split(":")[0])),
            place,
            f"class {name} is also at {', '.join(other for other in at if other != place)}",
        )
        for name, at in repeated_classes(PACKAGE).items()
        for place in at
    ]


def glossary() -> list[Entry]:
    return entries_of(GLOSSARY.read_text(encoding="utf-8"))


def corpus() -> str:
    paths = [*PACKAGE.rglob("*.py"), *CONFIGURATIONS.rglob("*.yaml"), REPOSITORY / "README.md"]
    paths += [path for path in (REPOSITORY / "docs").rglob("*.md") if path != GLOSSARY]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def demand_none(findings: list[Finding]) -> None:
    if findings:
        lines = "\n".join(f"  {finding.place}: {finding.text}" for finding in findings)
        pytest.fail(f"{len(findings)} to change:\n{lines}", pytrace=False)


# That the rules catch what they are for:


def kinds_of(name: str, kind: str = "variable") -> list[str]:
    return [term.word for term in banned_terms(Identifier(name, kind, 1))]


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("told", "argument", "told"),
        ("_was_told", "function", "told"),
        ("TOLD_BYTES", "variable", "told"),
        ("TrainingMoments", "class", "moments"),
        ("last_heard", "attribute", "heard"),
        ("own", "variable", "own"),
        ("own_visible", "attribute", "own"),
        ("OwnFusion", "class", "own"),
        ("MOST", "variable", "most"),
        ("LEAST_SCORE", "variable", "least"),
        ("found", "variable", "found"),
        ("_tell", "function", "tell"),
        ("late", "option", "late"),
        ("Late", "class", "late"),
        ("WORTH_TELLING", "variable", "telling"),
        ("Bucket", "class", "Bucket"),
        ("content", "function", "content"),
        ("NEAR", "variable", "NEAR"),
        ("LARGEST_SIDE", "variable", "LARGEST"),
        ("records", "module", "records"),
    ],
)
def test_a_banned_term_is_caught(name: str, kind: str, word: str) -> None:
    assert word in kinds_of(name, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("owner", "variable"),
        ("at_least", "variable"),
        ("least_squares", "function"),
        ("most_common", "function"),
        ("feed_forward", "attribute"),
        ("common_operating_picture", "variable"),
        ("late_fusion", "function"),
        ("LateFusion", "class"),
        ("latency", "variable"),
        ("objects_found", "attribute"),
        ("foundation", "variable"),
        ("look_at", "function"),
        ("something", "variable"),
        ("TokenBucket", "class"),
        ("bucket", "variable"),
        ("content", "variable"),
        ("near", "argument"),
        ("NEAR_PLANE", "variable"),
        ("largest", "variable"),
        ("records", "variable"),
        ("hours", "variable"),
    ],
)
def test_a_term_of_the_field_is_not_caught(name: str, kind: str) -> None:
    assert not kinds_of(name, kind)


CODE = """
import numpy as alias_name
from typing import Literal
class ClassName(Base[Generic]):
    field_name: int = 0
    def method_name(self, argument_name, *rest_name, keyword_name=1, **more_name) -> "Never":
        self.attribute_name = read_name
        for loop_name, (inner_name, _) in pairs: pass
        lambda lambda_name: [x for comprehension_name in y]
        with open() as with_name: (walrus_name := 1)
        try: pass
        except Error as error_name: pass
        match value:
            case [captured_name, *starred_name]: pass
parser.add_argument("place_name", "--option-name", help="help_text")
table = {"key_name": "value_name", "no key": 1}
choice: Literal["first_name", "second_name"]
"""
GIVEN = {
    "class": "ClassName",
    "function": "method_name",
    "argument": "self argument_name rest_name keyword_name more_name lambda_name",
    "attribute": "attribute_name",
    "variable": "field_name loop_name inner_name _ comprehension_name with_name walrus_name error_name captured_name "
    "starred_name table choice",
    "alias": "alias_name",
    "option": "place_name option_name",
    "key": "key_name",
    "choice": "first_name second_name",
}


def test_every_place_where_a_name_is_given_is_seen() -> None:
    given = {(identifier.kind, identifier.name) for identifier in identifiers(ast.parse(CODE))}
    assert given == {(kind, name) for kind, names in GIVEN.items() for name in names.split()}


def test_nested_keys_of_a_configuration_are_seen() -> None:
    document = yaml.compose("node: {told: 1}\nlist:\n  - heard: {found: 2}\n  - own\n")
    assert [(key.name, key.line) for key in yaml_keys(document)] == [
        ("node", 1),
        ("told", 1),
        ("list", 2),
        ("heard", 3),
        ("found", 3),
    ]


def test_a_package_is_searched(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "told.py").write_text(
        'class Twin:\n    """See `other`."""\n    def method(self):\n        """Of the peers that are here."""\n'
        "told = told = _hidden = 1\n"
    )
    (tmp_path / "single.py").write_text(
        'def outer():\n    """Too short."""\n    class Twin: ...\nclass _Hidden:\n    """Short."""\nclass Twin: ...\n'
        'if True:\n    def inner():\n        """Return the number of peers."""\n'
    )
    terms = "-> fusion input, message"
    assert banned_identifiers(package_identifiers(tmp_path)) == [
        Finding("room", "room/told.py:1", f"told (3 times) {terms}", 3)
    ]
    assert [(finding.room, finding.place, finding.text.split(":")[0]) for finding in weak_docstrings(tmp_path)] == [
        ("room", "room/told.py:1", "Twin"),
        ("room", "room/told.py:3", "Twin.method"),
        ("single", "single.py:1", "outer"),
    ]
    assert repeated_classes(tmp_path) == {"Twin": ["room/told.py:1", "single.py:6"]}


@pytest.mark.parametrize("rule", [package_identifiers, configuration_keys, weak_docstrings, repeated_classes])
def test_an_empty_folder_is_no_success(tmp_path: Path, rule: Callable[[Path], object]) -> None:
    with pytest.raises(FileNotFoundError):
        rule(tmp_path)


@pytest.mark.parametrize(
    ("docstring", "weak"),
    [
        ("See `Told`.", True),
        ("See the module for more of it.", True),
        ("Of the peers that are near.", True),
        ("For messages that come in late.", True),
        ("As bytes of a whole frame.", True),
        ("Boxes likewise.", True),
        ("Return the boxes.", True),
        ("Return the boxes of a frame.", False),
        ("Encode it.\n\nArgs:\n    frame: what to encode.", False),
        ("Format the table as Markdown.", False),
        ("Assign each box to a track.", False),
    ],
)
def test_a_weak_docstring_is_caught(docstring: str, weak: bool) -> None:
    assert bool(docstring_weakness(docstring)) == weak


def test_the_glossary_is_read() -> None:
    text = (
        "# Title\n\n| term | meaning | source |\n| --- | --- | --- |\n| bird's-eye view (BEV), top view | a map | X |\n"
    )
    (entry,) = entries_of(text)
    assert entry == Entry(("bird's-eye view", "BEV", "top view"), "a map", "X")


@pytest.mark.parametrize(
    ("term", "text", "used"),
    [
        ("token bucket", "class TokenBucket:", True),
        ("token bucket", "limits = token_buckets(3)", True),
        ("rate control", "the rate-control\nloop", True),
        ("category", "all categories", True),
        ("bird's-eye view", "a bird's-eye view", True),
        ("BEV", "BEVEncoder", True),
        ("rate control", "the rate and its control", False),
        ("lift", "shoplifting", False),
    ],
)
def test_use_of_a_term_is_seen(term: str, text: str, used: bool) -> None:
    assert (not unused_terms([Entry((term,), "meaning", "source")], text)) == used
    assert all(spelling == spelling.lower() for spelling in spellings(term))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name everything that is to be changed")
    parser.add_argument("--room", help="only what is in this room")
    arguments = parser.parse_args()
    by_rule = {
        "identifiers": banned_identifiers(package_identifiers(PACKAGE) | configuration_keys(CONFIGURATIONS)),
        "class names": class_findings(),
        "docstrings": weak_docstrings(PACKAGE),
    }
    if arguments.room:
        by_rule = {rule: [f for f in findings if f.room == arguments.room] for rule, findings in by_rule.items()}
    if arguments.list or arguments.room:
        for rule, findings in by_rule.items():
            print(f"\n{rule}")
            print("\n".join(f"  {finding.place}: {finding.text}" for finding in findings))
    print(f"\n{'room':16}" + "".join(f"{rule:>16}" for rule in ["occurrences", *by_rule]))
    for room in [*sorted({finding.room for findings in by_rule.values() for finding in findings}), ""]:
        here = [[f for f in findings if room in ("", f.room)] for findings in by_rule.values()]
        counts = [sum(finding.count for finding in here[0]), *map(len, here)]
        print(f"{room or 'all':16}" + "".join(f"{count:16}" for count in counts))


if __name__ == "__main__":
    main()
