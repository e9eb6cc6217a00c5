"""The addresses of the sign-in, as a Flask blueprint: documents, registration, the page, and tokens.

No response depends on Host, Forwarded or X-Forwarded-*. A form is taken only if it arrived whole, because a part of a
form can be a form, too.

Source: RFC 8414, section 3; RFC 9728, section 3; RFC 6749, sections 3.2 and 5; RFC 7591, section 3; Fetch, "CORS
protocol" and "Origin"; Fetch Metadata, "Sec-Fetch-Site"; RFC 9110, section 15.4.3 (302: a 307 would repeat the POST).
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from flask import Blueprint, Response, jsonify, request
from werkzeug.wsgi import get_content_length, get_input_stream

from .clients import OAuthError, host, is_loopback
from .sign_in import ROOT, Fields, Request, SignIn, UnknownClient

MAX_BODY = 16 * 1024  # bytes
MAX_FIELDS = 40

_FORM = "application/x-www-form-urlencoded"
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, MCP-Protocol-Version",
}
_NOT_STORED = {"Cache-Control": "no-store"}


Page = tuple[str, Mapping[str, str]]  # the body and the headers


class Pages(Protocol):
    """The pages that people see. `fields` is the query, for the link to the other language."""

    def consent(self, fields: Fields, client: str, host: str, problem: str | None, *, loopback: bool) -> Page:
        """Return the form. `client` is the client's own name, and `problem` the name of the key's problem."""

    def rejection(self, fields: Fields, reason: str) -> Page:
        """Return a page without a form. `reason` is `client` or `foreign`."""


# Receives the typed text and the request's id. Returns the name of its problem, None if it can be used.
Check = Callable[[str, str], str | None]


def create_blueprint(sign_in: SignIn, pages: Pages, check: Check) -> Blueprint:
    """Create the blueprint."""
    blueprint = Blueprint("signin", __name__)
    address = sign_in.address

    protected = f"/.well-known/oauth-protected-resource{address.path}"
    server = "/.well-known/oauth-authorization-server"
    routes: list[tuple[str, Callable[[], Response], tuple[str, ...]]] = [
        (protected, lambda: _document(address.resource_document()), ("GET", "OPTIONS")),
        (f"{protected}/", lambda: _document(address.resource_document("/")), ("GET", "OPTIONS")),
        (server + address.path, lambda: _document(address.server_document()), ("GET", "OPTIONS")),
        (f"{address.path}/register", lambda: _registration(sign_in), ("POST", "OPTIONS")),
        (f"{address.path}/authorize", lambda: _authorization(sign_in, pages, check), ("GET", "POST")),
        (f"{address.path}/token", lambda: _token(sign_in), ("POST", "OPTIONS")),
    ]
    if address.path == ROOT:
        routes.append((server, lambda: _document(address.server_document()), ("GET", "OPTIONS")))
    for number, (path, view, methods) in enumerate(routes):
        blueprint.add_url_rule(path, str(number), view, methods=methods, provide_automatic_options=False)
    return blueprint


def _document(document: dict[str, Any]) -> Response:
    if request.method == "OPTIONS":
        return _preflight()
    return _json(document, 200, {"Cache-Control": "max-age=300"})


def _preflight() -> Response:
    response = Response(status=204, headers=_CORS)
    response.headers.remove("Content-Type")
    return response


def _registration(sign_in: SignIn) -> Response:
    if request.method == "OPTIONS":
        return _preflight()
    try:
        return _json(sign_in.register(_whole_body()), 201, _NOT_STORED)
    except OAuthError as failure:
        return _error(failure)


def _token(sign_in: SignIn) -> Response:
    if request.method == "OPTIONS":
        return _preflight()
    try:
        return _json(sign_in.exchange(_form(), request.environ.get("HTTP_AUTHORIZATION")), 200, _NOT_STORED)
    except OAuthError as failure:
        return _error(failure)


def _authorization(sign_in: SignIn, pages: Pages, check: Check) -> Response:
    """Show the page, or take its form. Each form is checked like the page before it, because nothing is kept."""
    fields = _query()
    posted = request.method == "POST"
    if posted and not _is_own_page(sign_in.address.origin):
        return _page(pages.rejection(fields, "foreign"), 403)
    try:
        asked = sign_in.read_request(fields)
    except UnknownClient:
        return _page(pages.rejection(fields, "client"), 400)
    if asked.error is not None:
        return _back(sign_in, asked, {"error": asked.error.code, "error_description": asked.error.description})
    problem = None
    if posted:
        form = dict(_form() or ())
        if "cancel" in form:
            return _back(sign_in, asked, {"error": "access_denied", "error_description": "The user cancelled."})
        typed = form.get("key", "").strip()
        problem = check(typed, request.environ["scenext.request_id"])
        if problem is None:
            return _back(sign_in, asked, {"code": sign_in.issue_code(asked, typed)})
    uri = asked.redirect_uri
    page = pages.consent(fields, asked.client.name, host(uri), problem, loopback=is_loopback(uri))
    return _page(page, 200 if problem is None else 400)


def _is_own_page(origin: str) -> bool:
    """Return whether a form was sent by the page itself. Other pages can set neither of these headers.

    Both must agree if both are present. Over plain HTTP, a page on a name that an attacker points at this server (DNS
    rebinding) is of the same origin for its browser, but its Origin has that name.
    """
    sent = {
        request.environ.get("HTTP_SEC_FETCH_SITE", "same-origin") == "same-origin",
        request.environ.get("HTTP_ORIGIN", origin) == origin,
    }
    return sent == {True} and not {"HTTP_SEC_FETCH_SITE", "HTTP_ORIGIN"}.isdisjoint(request.environ)


def _query() -> Fields:
    """Return the parameters of the query, none if there are too many."""
    text = request.environ.get("QUERY_STRING", "").encode("latin-1", "replace").decode("utf-8", "surrogateescape")
    try:
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def _form() -> Fields | None:
    """Return the fields of a form, None if it is not one or did not arrive whole."""
    body = _whole_body()
    if request.mimetype != _FORM or body is None:
        return None
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return None


def _whole_body() -> bytes | None:
    """Return the body, None if it is too large, encoded, incomplete, badly chunked or late."""
    environ = request.environ
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        return None
    if not environ.get("wsgi.input_terminated"):  # then Werkzeug 3.1.9 would ignore a Content-Length beside it
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    length = get_content_length(environ)
    body = b""
    try:
        stream = get_input_stream(environ)
        while len(body) <= MAX_BODY and (part := stream.read(MAX_BODY + 1 - len(body))):
            body += part
    except Exception:  # each WSGI server has its own, and their messages may quote the body
        return None
    return body if len(body) <= MAX_BODY and length in (None, len(body)) else None


def _back(sign_in: SignIn, asked: Request, answer: Mapping[str, str]) -> Response:
    headers = {**_NOT_STORED, "Referrer-Policy": "no-referrer", "Location": sign_in.redirect(asked, answer)}
    return Response(b"", 302, headers)


def _page(page: Page, status: int) -> Response:
    body, headers = page
    return Response(body, status, headers)


def _error(failure: OAuthError) -> Response:
    challenge = {"WWW-Authenticate": 'Basic realm="Scenext sign-in"'} if failure.status == 401 else {}
    content = {"error": failure.code, "error_description": failure.description}
    return _json(content, failure.status, {**_NOT_STORED, **challenge})


def _json(content: dict[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    response = jsonify(content)
    response.status_code = status
    response.headers.extend({**_CORS, **headers})
    return response
