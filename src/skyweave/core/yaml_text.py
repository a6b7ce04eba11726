"""YAML as people write it: ``yes`` and ``no`` are words, and a key is given once."""

import re
from typing import Any

import yaml

BOOLEAN_TAG = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 but for booleans, which are ``true`` and ``false`` alone (YAML 1.2.2, core schema, 10.3.2)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; a key that is given twice is an error, of which one value would be lost.

        Args:
            node: of the mapping.
            deep: construct nested content at once.
        """
        given = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for (key, _), name in zip(node.value, given, strict=False):
            if isinstance(name, str | int) and given.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN_TAG]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOLEAN_TAG, re.compile(r"^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> Any:
    """Return the content of one YAML document.

    Args:
        text: of the document.

    Raises:
        yaml.YAMLError: no YAML, nested without end, or a key that is given twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # a safe loader
    except RecursionError:
        raise yaml.YAMLError("it is nested deeper than anything that is read here; write it flat") from None
