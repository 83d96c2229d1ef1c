"""Reading a request: sizes, types, duplicates. The same for the lane and for Flask."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import orjson

from auth_server.errors import InvalidInput
from auth_server.http.errors import HttpError
from auth_server.http.peer import came_by_http, peer_address
from auth_server.protocol.description import Schema
from auth_server.protocol.errors import InvalidRequest
from auth_server.protocol.feature import Body, Endpoint, Operation, Surface
from auth_server.protocol.messages import Request
from auth_server.settings import Settings

MAX_FIELDS = 100
PROBES = ("/livez", "/readyz")  # asked by those who run the server, not through its public address
MAY_REPEAT = frozenset(("resource", "audience"))  # RFC 8707 §2, RFC 8693 §2.1
_FORM, _MULTIPART, _JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"


def read(
    environ: Mapping[str, Any],
    endpoint: Endpoint,
    operation: Operation,
    settings: Settings,
    arguments: Mapping[str, str],
) -> Request:
    """Return the request as protocol code takes it.

    Raises:
        HttpError: 413 or 415; 400 where https belongs and a proxy says that it was not.
        InvalidRequest: a query string where none belongs, a repeated or unreadable parameter.
        InvalidInput: a body that is no JSON object.
    """
    request = Request(
        environ, environ["REQUEST_METHOD"], endpoint.path, peer_address(environ, settings.proxies), arguments=arguments
    )
    if settings.is_https and came_by_http(environ, settings.proxies) and endpoint.path not in PROBES:
        raise HttpError(400, "Use https")  # S-149
    query = environ.get("QUERY_STRING", "")
    if endpoint.repeats:
        request.pairs = _pairs(environ, query, settings.max_body)
        return request
    if operation.query:
        request.query = _query(query, operation)
    elif query and endpoint.surface is Surface.OAUTH and request.method == "POST":  # RFC 6749 §3.2 (S-010)
        raise InvalidRequest("Parameters belong into the body, not into the query string")
    if endpoint.body is not Body.NONE and request.method not in ("GET", "HEAD", "OPTIONS"):
        _read_body(request, endpoint.body, environ, settings.max_body, operation.request or {})
    return request


def _pairs(environ: Mapping[str, Any], query: str, limit: int) -> list[tuple[str, str]]:
    """The parameters of a GET or of a form, as they come; those without a value are left out (RFC 6749 §3.1)."""
    text = query
    if environ["REQUEST_METHOD"] == "POST":
        if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() not in (_FORM, ""):
            raise HttpError(415, f"The body must be {_FORM}")
        try:
            text = read_bytes(environ, limit).decode()
        except UnicodeDecodeError:
            raise InvalidInput("body", "is not UTF-8") from None
    try:
        pairs = parse_qsl(text, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidInput("query", "cannot be read") from None
    if any("\0" in value for _, value in pairs):
        raise InvalidInput("query", "holds a null character")
    return pairs


def _read_body(request: Request, accepted: Body, environ: Mapping[str, Any], limit: int, declared: Schema) -> None:
    body = read_bytes(environ, limit)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise HttpError(415, "A request body must not be compressed")
    if accepted is Body.ANY_JSON:
        try:
            request.json = _object(body) if body else None
        except InvalidInput as error:  # told when the body is looked at: who asks is checked first at some endpoints
            request.unreadable = error
        return
    kind, _, parameters = environ.get("CONTENT_TYPE", "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.partition("charset=")[2].strip(' "').lower()
    if charset not in ("", "utf-8", "us-ascii") and kind != _MULTIPART:
        raise HttpError(415, "The body must be UTF-8")
    if kind == _JSON and accepted is not Body.FORM:
        if accepted is Body.JSON:
            request.json = _object(body) if body else None
        elif body:
            request.form = _texts(_object(body), declared.get("properties", {}))
    elif accepted is Body.JSON:
        if body:
            raise HttpError(415, f"The body must be {_JSON}")
    elif kind == _FORM or not kind:
        request.form, request.lists = parse_form(body)
    elif kind == _MULTIPART:
        request.form, request.lists = _multipart(environ, body)
    elif body or accepted is Body.FORM:
        types = _FORM if accepted is Body.FORM else f"{_FORM} or {_JSON}"
        raise HttpError(415, f"The body must be {types}")


def read_bytes(environ: Mapping[str, Any], limit: int) -> bytes:
    """Return the body.

    Args:
        limit: bytes at most.

    Raises:
        HttpError: 413, it is longer; 400, it ended early.
    """
    declared, coding = environ.get("CONTENT_LENGTH") or "", environ.get("HTTP_TRANSFER_ENCODING", "")
    if coding and (declared or coding.strip().lower() != "chunked"):  # RFC 9112 §6.1, §6.3 (S-143)
        raise HttpError(400, "Transfer-Encoding must be chunked, without Content-Length")
    if declared:
        length = int(declared) if declared.isascii() and declared.isdigit() else -1
        if length < 0:
            raise HttpError(400, "Content-Length is malformed")
        if length > limit:
            raise HttpError(413, f"The body must have at most {limit} bytes")
        body = _take(environ, length) if length else b""
        if len(body) < length:
            raise HttpError(400, "The body ended early")
        return body
    if not coding and not environ.get("wsgi.input_terminated"):
        return b""
    body = _take(environ, limit + 1)
    if len(body) > limit:
        raise HttpError(413, f"The body must have at most {limit} bytes")
    return body


def _take(environ: Mapping[str, Any], most: int) -> bytes:
    try:
        return environ["wsgi.input"].read(most)  # type: ignore[no-any-return]
    except (BlockingIOError, TimeoutError):
        raise HttpError(408, "The body did not arrive in time") from None
    except Exception:  # a malformed chunk, a peer that has gone: each web server has its own errors for it
        raise HttpError(400, "The body cannot be read") from None


def parse_form(body: bytes) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return a form's parameters, and the lists of those that may repeat.

    Raises:
        InvalidRequest: not UTF-8, too many parameters, one repeated, control characters.
    """
    try:
        text = body.decode("utf-8")
        if "%" in text or "+" in text or text.count("&") >= MAX_FIELDS:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
        else:  # nothing is encoded, as in most requests for tokens
            pairs = [part.partition("=")[::2] for part in text.split("&") if part]
    except ValueError:
        raise InvalidRequest("The form cannot be read") from None
    return _without_repeats(pairs)


def _without_repeats(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]]]:
    form = dict(pairs)
    lists: dict[str, list[str]] = {}
    if len(form) != len(pairs):  # RFC 6749 §3.2: parameters must not be included more than once (S-011)
        names = [name for name, _ in pairs]
        if any(names.count(name) > 1 for name in form if name not in MAY_REPEAT):
            raise InvalidRequest("A parameter is repeated")
    if "" in form.values():  # RFC 6749 §3.2: parameters sent without a value must be treated as if they were omitted
        pairs = [(name, value) for name, value in pairs if value]
        form = dict(pairs)
    for name in MAY_REPEAT & form.keys():
        lists[name] = [value for other, value in pairs if other == name]
    _refuse_control(form)
    return form, lists


def _refuse_control(form: Mapping[str, str]) -> None:
    for value in form.values():
        if "\0" in value:
            raise InvalidRequest("A parameter holds a null character")


def _multipart(environ: Mapping[str, Any], body: bytes) -> tuple[dict[str, str], dict[str, list[str]]]:
    from io import BytesIO

    from werkzeug.exceptions import HTTPException
    from werkzeug.formparser import FormDataParser

    parser = FormDataParser(max_form_memory_size=len(body), max_form_parts=MAX_FIELDS, silent=False)
    options = dict(part.strip().split("=", 1) for part in environ["CONTENT_TYPE"].split(";")[1:] if "=" in part)
    options = {name.lower(): value.strip('"') for name, value in options.items()}
    try:
        _, form, files = parser.parse(BytesIO(body), _MULTIPART, len(body), options)
    except (ValueError, HTTPException):
        raise InvalidRequest("The form cannot be read") from None
    if files:
        raise InvalidRequest("A form with files is not taken")
    return _without_repeats(list(form.items(multi=True)))


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body.

    Raises:
        InvalidInput: no UTF-8, no JSON, no object, a member twice, a null character.
    """
    try:
        value = orjson.loads(body)  # refuses other encodings, lone surrogates, NaN and depth
    except orjson.JSONDecodeError:
        raise InvalidInput("body", "is no JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise InvalidInput("body", "must be a JSON object")
    if body.count(b":") > len(value):  # more than the names of that many members need
        _refuse_repeats(body)
    return value


def _refuse_repeats(body: bytes) -> None:
    import json

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(members)
        if len(made) != len(members):
            raise InvalidInput("body", "names a member twice")
        return made

    try:
        json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        raise InvalidInput("body", "is no JSON in UTF-8") from None


def _texts(members: Mapping[str, Any], declared: Mapping[str, Schema]) -> dict[str, str]:
    """JSON members as form parameters; null and the empty string mean absent.

    Args:
        declared: schemas of those that the operation knows; only these may be integers, and only where they say so.
    """
    form = {}
    for name, value in members.items():
        if isinstance(value, str):
            if value:
                form[name] = value
        elif type(value) is int and "integer" in declared.get(name, {}).get("type", ()):
            form[name] = str(value)
        elif value is not None:
            raise InvalidRequest("JSON members must be strings, or integers where the member is one")
    _refuse_control(form)
    return form


def _query(text: str, operation: Operation) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise InvalidInput("query", "cannot be read") from None
    known = [(name, value) for name, value in pairs if name in operation.query]
    if len(dict(known)) != len(known) or any("\0" in value for _, value in known):
        raise InvalidInput("query", "names a parameter twice, or holds a null character")
    return dict(known)
