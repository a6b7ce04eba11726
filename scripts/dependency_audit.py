"""What the package depends on: versions against their pins, and licences. Reads installed packages; asks nobody.

    python scripts/dependency_audit.py             # a table, by class of licence
    python scripts/dependency_audit.py --check     # exits with 1 where one is unpinned, differs from its pin, or has a
                                                   # licence that is not known to be compatible
Known vulnerabilities are in no package: `pip-audit -r constraints.txt` asks for them, before each release.
"""

import argparse
import importlib.metadata
import re
import sys
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "skyweave"
CLASSES = {  # by what a licence says of itself; the first that fits counts
    "copyleft": r"\bA?GPL|GNU (Affero )?General Public",
    "weak copyleft": r"LGPL|GNU Lesser|\bMPL|Mozilla Public|EPL|Eclipse Public",
    "permissive": r"MIT|BSD|Apache|ISC|PSF|Python Software|Zlib|Unlicense|CC0|HPND|0BSD|Boost|BSL|Public Domain|EUPL",
}
READ = {  # of packages whose metadata does not say it: what was read where
    "apsw": "any licence approved by the OSI, at the user's choice; its documentation, `copyright`",
    "odc-stac": "Apache-2.0; the file LICENSE of its repository",
}
BUILD_TOOLS = {"setuptools"}  # the environment has its own
NOT_LINKED = re.compile(r"LGPL|GNU Lesser")  # read before "copyleft", whose pattern is in its name


def licence(distribution: importlib.metadata.Distribution) -> str:
    """Return what a package says of its licence, in a few words."""
    metadata = distribution.metadata
    expression = metadata.get("License-Expression")
    classifiers = [
        text.rsplit("::", 1)[-1].strip() for text in metadata.get_all("Classifier") or [] if "License ::" in text
    ]
    stated = (metadata.get("License") or "").strip().splitlines()
    return expression or "; ".join(classifiers) or (stated[0][:60] if stated else "not stated")


def licence_class(text: str) -> str:
    """Return which of the classes a licence belongs to."""
    if NOT_LINKED.search(text):
        return "weak copyleft"
    return next((name for name, pattern in CLASSES.items() if re.search(pattern, text, re.I)), "not known")


def requirements(name: str, extras: set[str]) -> list[Requirement]:
    """Return what a package needs with some of its extras, here."""
    wanted = []
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ({""} | extras)):
            wanted.append(requirement)
    return wanted


def dependencies(extras: set[str]) -> dict[str, importlib.metadata.Distribution]:
    """Return all that the package needs with its extras, directly or not, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = requirements(PROJECT, extras)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == PROJECT:
            waiting += requirements(PROJECT, requirement.extras)
        elif name not in found:
            try:
                found[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another system, or not installed
            waiting += requirements(name, requirement.extras)
    return found


def main() -> None:
    """Print the packages by class of licence, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extra", action="append", help="of the package (default: all)")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    pinned = {str(canonicalize_name(name)): version.split(";")[0].strip() for name, version in pins.items()}
    by_class, faults = defaultdict(list), []
    for name, distribution in sorted(dependencies(set(args.extra or ["all"])).items()):
        text = READ.get(name) or licence(distribution)
        kind = "permissive" if name in READ else licence_class(text)
        by_class[kind].append(f"{name} {distribution.version} ({text})")
        if name in BUILD_TOOLS:
            continue
        if name not in pinned:
            faults.append(f"{name} {distribution.version} has no pin in constraints.txt")
        elif distribution.version.split("+")[0] != pinned[name].split("+")[0]:
            faults.append(f"{name} {distribution.version} is installed, constraints.txt pins {pinned[name]}")
    for kind, packages in sorted(by_class.items()):
        print(f"{kind}: {len(packages)}")
        if kind != "permissive":
            print("".join(f"  {package}\n" for package in packages), end="")
    faults += [f"no licence that is known to be compatible: {package}" for package in by_class["copyleft"]]
    faults += [f"no licence that is known: {package}" for package in by_class["not known"]]
    print("".join(f"FAULT {fault}\n" for fault in faults), end="")
    sys.exit(bool(faults) and args.check)


if __name__ == "__main__":
    main()
