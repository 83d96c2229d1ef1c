"""Schemas with names: each `title` becomes one component, wherever it stands."""

from collections.abc import Mapping
from typing import Any

from auth_server.protocol.description import Schema

_ONE = ("items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "dependentSchemas")


class Components:
    """The named schemas of one document.

    Attributes:
        schemas: by name, filled while operations are described.
    """

    def __init__(self) -> None:
        self.schemas: dict[str, dict[str, Any]] = {}
        self._given: dict[str, Schema] = {}

    def schema(self, given: Schema) -> dict[str, Any]:
        """Return *given* with a reference in place of each schema that has a title, itself among them.

        Raises:
            ValueError: two schemas that differ have one title.
        """
        name = given.get("title")
        if not isinstance(name, str):
            return self._inside(given)
        if name not in self._given:
            self._given[name] = given
            self.schemas[name] = {}  # keeps its place before those that it holds
            self.schemas[name].update(self._inside(given))
        elif self._given[name] != given:
            raise ValueError(f"there are two schemas with the title {name}")
        return {"$ref": f"#/components/schemas/{name}"}

    def _inside(self, given: Schema) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for word, value in given.items():
            if word in _NAMED:
                made[word] = {name: self.schema(schema) for name, schema in value.items()}
            elif word in _SEVERAL:
                made[word] = [self.schema(schema) for schema in value]
            elif word in _ONE and isinstance(value, Mapping):
                made[word] = self.schema(value)
            else:
                made[word] = value
        return made
