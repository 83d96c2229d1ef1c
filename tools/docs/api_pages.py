"""The pages of the API: one for each tag of the OpenAPI document, readable without JavaScript."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tools.docs import curl
from tools.docs.declared import Json, document, operations, resolved
from tools.docs.tables import cell, table

INTRODUCTION = """\
# API

Made from the OpenAPI document that the server itself publishes at `/api/v1/openapi.json`. A running server also shows
it at `/api/v1/docs/`, where each request can be tried in the browser.

Every path is below the issuer: with a server started by `make run` that is `http://127.0.0.1:2342`. In the examples
`$ISSUER` is the issuer, `$TOKEN` a token, and `$CLIENT_ID` and `$CLIENT_SECRET` are a client's.

A token stands in `Authorization: Bearer TOKEN`, in `X-Auth-Token: TOKEN` or in `X-Session-ID: TOKEN`. One is enough;
several must agree. A token is never read from a cookie or a query string.

How errors look follows from the path: see [Errors](../errors.md).
"""


def pages() -> Mapping[str, str]:
    """Return the pages: name to text."""
    tags = [tag["name"] for tag in document().get("tags", ())]
    made = {f"reference/api/{_file(tag)}": _page(tag) for tag in tags}
    return {"reference/api/index": _index(tags), "reference/api/objects": _objects(), **made}


def _index(tags: list[str]) -> str:
    parts = [INTRODUCTION]
    for tag in tags:
        rows = [
            f"| {_badge(method)} | [`{path}`]({_file(tag)}.md#{operation['operationId'].replace('_', '-')}) |"
            f" {cell(operation.get('summary', ''))} |"
            for method, path, operation in operations()
            if tag in operation["tags"]
        ]
        parts += [f"## {tag}\n", "| | path | |\n| --- | --- | --- |", *rows, ""]
    return "\n".join([*parts, "```{toctree}\n:hidden:\n", *map(_file, tags), "objects", "```\n"])


def _page(tag: str) -> str:
    about = next((item.get("description", "") for item in document()["tags"] if item["name"] == tag), "")
    parts = [f"# {tag}\n", f"{about}\n"]
    for method, path, operation in operations():
        if tag in operation["tags"]:
            parts += _operation(method, path, operation)
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"({operation['operationId'].replace('_', '-')})="
    yield f"## {operation.get('summary') or path}\n"
    yield f"{{.request}}\n{_badge(method)} `{path}`\n"
    if operation.get("deprecated"):
        yield "**Deprecated**: see [what the API promises](../../api-stability.md).\n"
    if operation.get("description"):
        yield f"{operation['description']}\n"
    yield f"{_security(operation)}\n"
    if operation.get("parameters"):
        yield from table(("parameter", "in", ""), (_parameter(resolved(one)) for one in operation["parameters"]))
    if operation.get("requestBody"):
        yield from _request(resolved(operation["requestBody"]))
    yield from _answers(operation)
    yield "Example:\n"
    yield f"```sh\n{curl.example(method, path, operation)}\n```\n"


def _security(operation: Json) -> str:
    schemes = document().get("components", {}).get("securitySchemes", {})
    ways = []
    for choice in operation.get("security", ()):
        ways.append(" and ".join(f"`{_scheme(name, schemes[name])}`" for name in choice) or "nothing")
    return f"Credentials: {' or '.join(ways)}." if ways else "Credentials: none."


def _scheme(name: str, scheme: Json) -> str:
    if scheme["type"] == "apiKey":
        return f"{scheme['name']}"
    return f"Authorization: {str(scheme.get('scheme', name)).capitalize()}"


def _parameter(parameter: Json) -> tuple[str, ...]:
    required = " (required)" if parameter.get("required") or parameter["in"] == "path" else ""
    schema = parameter.get("schema", {})
    text = " ".join(filter(None, [parameter.get("description", ""), _limits(schema)]))
    return f"`{parameter['name']}`{required}", parameter["in"], text


def _request(body: Json) -> Iterator[str]:
    kinds = list(body["content"])
    yield f"Body: {' or '.join(f'`{kind}`' for kind in kinds)}.\n"
    yield from _members(resolved(body["content"][kinds[0]].get("schema", {})))


def _answers(operation: Json) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    details: list[str] = []
    for status, reference in sorted(operation["responses"].items()):
        answer = resolved(reference)
        kinds = list(answer.get("content", {}))
        other = [f"`{kind}`" for kind in kinds if kind not in ("application/json", "application/problem+json")]
        headers = [f"`{name}`" for name in answer.get("headers", {}) if name in ("Retry-After", "Allow", "Location")]
        notes = [answer.get("description", ""), *other, *([f"Header {', '.join(headers)}."] if headers else [])]
        rows.append((f"`{status}`", " ".join(notes)))
        if status.startswith("2") and kinds:
            details += _good_answer(answer["content"][kinds[0]])
    yield from table(("answer", ""), rows)
    yield from details


def _good_answer(content: Json) -> Iterator[str]:
    schema = content.get("schema", {})
    if "$ref" in schema or "$ref" in schema.get("items", {}):
        yield f"The answer is {_type(schema)}, for example:\n"
    else:
        yield from _members(schema)
    example = _example(content)
    if isinstance(example, dict | list) and example:
        yield f"```json\n{json.dumps(example, indent=2, ensure_ascii=False)}\n```\n"


def _example(content: Json) -> Any:
    if "example" in content:
        return content["example"]
    for each in content.get("examples", {}).values():
        return resolved(each).get("value")
    return next(iter(resolved(content.get("schema", {})).get("examples", ())), None)


def _objects() -> str:
    """The page of everything that has a name."""
    parts = ["# Objects\n", "What requests and answers are made of. Members that are not marked may be missing.\n"]
    for name, schema in document().get("components", {}).get("schemas", {}).items():
        parts += [f"({_anchor(name)})=", f"## {name}\n"]
        parts += [f"{schema['description']}\n"] if schema.get("description") else []
        parts += list(_members(schema)) or [f"A {_type(schema)}.\n"]
    return "\n".join(parts)


def _members(schema: Json) -> Iterator[str]:
    """A table of the members of an object."""
    schema = _merged(schema)
    rows = []
    for name, member in schema.get("properties", {}).items():
        required = " (always)" if name in schema.get("required", ()) else ""
        about = resolved(member)
        text = about.get("description", "") if "$ref" not in member else ""
        rows.append((f"`{name}`{required}", _type(member), " ".join(filter(None, [text, _limits(about)]))))
    if rows:
        yield from table(("member", "type", ""), rows)


def _merged(schema: Json) -> Json:
    """A schema with the members of its parts."""
    merged = dict(schema)
    for part in schema.get("allOf", ()):
        inner = _merged(resolved(part))
        merged["properties"] = {**inner.get("properties", {}), **merged.get("properties", {})}
        merged["required"] = [*merged.get("required", ()), *inner.get("required", ())]
        merged.setdefault("description", inner.get("description", ""))
    return merged


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](objects.md#{_anchor(name)})"
    kind = schema.get("type")
    if kind is None:
        parts = [_type(part) for word in ("oneOf", "anyOf", "allOf") for part in schema.get(word, ())]
        return " or ".join(dict.fromkeys(parts))
    if kind == "array":
        items = _type(schema.get("items", {}))
        return f"list of {items}" if items else "list"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _anchor(name: str) -> str:
    return f"object-{name.lower()}"


def _limits(schema: Json) -> str:
    found = []
    if "const" in schema:
        found.append(f"Always `{schema['const']}`.")
    if "enum" in schema:
        found.append(f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.")
    if schema.get("minLength") == 1:
        found.append("Not empty.")
    elif "minLength" in schema:
        found.append(f"At least {schema['minLength']} characters.")
    if "maxLength" in schema:
        found.append(f"At most {schema['maxLength']} characters.")
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        found.append(f"{least} to {most}.")
    elif least is not None or most is not None:
        found.append(f"From {least}." if most is None else f"To {most}.")
    if "default" in schema:
        found.append(f"Default: `{json.dumps(schema['default'])}`.")
    return " ".join(found)


def _badge(method: str) -> str:
    return f"**{method}**"


def _file(tag: str) -> str:
    return tag.lower().replace(" ", "-")
