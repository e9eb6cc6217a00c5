"""The application works with every extension of Flask, although it skips the features that nothing uses."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import flask
import pytest
from flask import Blueprint, Flask, Response, after_this_request, g, request, session, stream_with_context
from flask.sessions import SecureCookieSession, SessionInterface
from werkzeug.routing import BaseConverter

from scenext_service.server.application import LeanFlask
from tests.support.cases import case

Events = list[Any]

SIGNALS = (
    "request_started",
    "request_finished",
    "request_tearing_down",
    "got_request_exception",
    "appcontext_pushed",
    "appcontext_popped",
    "appcontext_tearing_down",
)


def build(kind: Callable[[str], Flask], extend: Callable[[Flask, Blueprint, Events], None]) -> tuple[Flask, Events]:
    """Create an application with a blueprint, and with the extension, which records its events."""
    app, blueprint = kind("example"), Blueprint("room", "example")
    events: Events = []
    extend(app, blueprint, events)
    blueprint.add_url_rule("/fixed", "fixed", lambda: "fixed", methods=["GET", "POST"])
    blueprint.add_url_rule("/plain", "plain", lambda: "plain", methods=["POST"], provide_automatic_options=False)
    blueprint.add_url_rule("/folder/", "folder", lambda: "folder")
    blueprint.add_url_rule("/job/<int:number>", "job", lambda number: f"job {number}")
    blueprint.add_url_rule("/broken", "broken", broken)
    blueprint.add_url_rule("/nothing", "nothing", empty)
    app.register_blueprint(blueprint)
    return app, events


def broken() -> str:
    raise ZeroDivisionError


def empty() -> Any:
    return None


def before(app: Flask, blueprint: Blueprint, events: Events) -> None:
    app.before_request(lambda: events.append("app"))
    blueprint.before_request(lambda: events.append("blueprint"))


def in_place_of_the_view(app: Flask, blueprint: Blueprint, events: Events) -> None:
    blueprint.before_request(lambda: ("instead", 202))


def after(app: Flask, blueprint: Blueprint, events: Events) -> None:
    for name, place in (("app", app), ("blueprint", blueprint)):

        @place.after_request
        def record(response: Response, name: str = name) -> Response:
            events.append(name)
            return response


def after_once(app: Flask, blueprint: Blueprint, events: Events) -> None:
    def once() -> str:

        @after_this_request
        def record(response: Response) -> Response:
            events.append("once")
            return response

        return "once"

    app.add_url_rule("/once", view_func=once)


def teardown(app: Flask, blueprint: Blueprint, events: Events) -> None:
    app.teardown_request(lambda error: events.append(("app", type(error))))
    blueprint.teardown_request(lambda error: events.append(("blueprint", type(error))))
    app.teardown_appcontext(lambda error: events.append(("context", type(error))))


def handlers(app: Flask, blueprint: Blueprint, events: Events) -> None:
    app.register_error_handler(404, lambda error: ("no such path", 404))
    blueprint.register_error_handler(ZeroDivisionError, lambda error: ("divided", 500))


def url_values(app: Flask, blueprint: Blueprint, events: Events) -> None:
    @app.url_value_preprocessor
    def record(endpoint: str | None, values: dict[str, Any] | None) -> None:
        events.append((endpoint, dict(values or {})))
        if values is not None and "number" not in values:
            values["number"] = 7  # a value of this request only
            values.pop("number")


def converter(app: Flask, blueprint: Blueprint, events: Events) -> None:
    class Upper(BaseConverter):
        def to_python(self, value: str) -> str:
            return value.upper()

    app.url_map.converters["upper"] = Upper
    app.add_url_rule("/name/<upper:name>", view_func=lambda name: name, endpoint="name")


def cookie_session(app: Flask, blueprint: Blueprint, events: Events) -> None:
    app.secret_key = "sentinel"

    def count() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return str(session["visits"])

    app.add_url_rule("/once", view_func=count)


class RecordedSessions(SessionInterface):
    """Sessions that are recorded when they are opened and saved."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def open_session(self, app: Flask, request: Any) -> Any:
        self.events.append("opened")
        return SecureCookieSession()

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        self.events.append("saved")


def own_sessions(app: Flask, blueprint: Blueprint, events: Events) -> None:
    app.session_interface = RecordedSessions(events)


def no_session(app: Flask, blueprint: Blueprint, events: Events) -> None:
    def use() -> str:
        events.append((type(session._get_current_object()), session.get("visits")))  # type: ignore[attr-defined]
        session["visits"] = 1
        return "never"

    app.add_url_rule("/once", view_func=use)


def nothing(app: Flask, blueprint: Blueprint, events: Events) -> None:
    pass


EXTENSIONS = [
    nothing,
    before,
    in_place_of_the_view,
    after,
    after_once,
    teardown,
    handlers,
    url_values,
    converter,
    cookie_session,
    own_sessions,
    no_session,
]
REQUESTS = [
    *[("GET", path) for path in ("/fixed", "/job/12", "/folder/", "/broken", "/nothing", "/none", "/once")],
    *[(method, "/fixed") for method in ("POST", "HEAD", "OPTIONS", "PUT")],
    *[(method, path) for method in ("GET", "OPTIONS") for path in ("/plain", "/name/a", "/fixed//", "//fixed")],
]


def observe(kind: Callable[[str], Flask], extend: Callable[[Flask, Blueprint, Events], None]) -> Events:
    """Return all responses and all events of two rounds of requests."""
    app, events = build(kind, extend)
    client = app.test_client()
    for method, path in 2 * REQUESTS:
        response = client.open(path, method=method)
        headers = [(name, comparable(name, value)) for name, value in response.headers]
        events.append((method, path, response.status, headers, response.data))
    return events


def comparable(name: str, value: str) -> Any:
    """Return a header's value without its order, if it has none, and without the time in a session's cookie."""
    if name == "Set-Cookie":
        return value.partition("=")[0]
    return sorted(value.split(", ")) if name == "Allow" else value


def test_extensions_of_flask_work_as_usual() -> None:
    """Ours: an extension must never be ignored silently. Flask itself is the reference, except for URLs."""
    for extend in EXTENSIONS:
        with case(extend.__name__):
            assert observe(LeanFlask, extend) == observe(Flask, extend)


def connect(events: Events, stack: ExitStack) -> None:
    """Record each signal of Flask until the stack ends."""
    for name in SIGNALS:

        def receive(sender: Flask, name: str = name, **values: Any) -> None:
            events.append((name, sorted(values)))

        stack.enter_context(getattr(flask, name).connected_to(receive))


def signalled(kind: Callable[[str], Flask]) -> Events:
    """Return the signals of some requests. They are connected only after the first request."""
    app, events = build(kind, nothing)
    app.test_client().get("/fixed")
    with ExitStack() as stack:
        connect(events, stack)
        for path in ("/fixed", "/broken", "/none"):
            app.test_client().get(path)
    app.test_client().get("/fixed")
    return events


def test_signals_of_flask_are_sent() -> None:
    """Ours: an extension may connect a signal at any time."""
    events = signalled(LeanFlask)
    assert events == signalled(Flask)
    assert {name for name, _ in events} == set(SIGNALS)


def test_each_request_has_its_own_context() -> None:
    """Ours: `g` must not carry anything from one caller to another."""
    app, _ = build(LeanFlask, nothing)
    app.add_url_rule("/seen", view_func=lambda: str(g.setdefault("caller", request.args["caller"])))
    client = app.test_client()
    assert [client.get(f"/seen?caller={name}").text for name in "ab"] == ["a", "b"]


@pytest.mark.parametrize("kind", [Flask, LeanFlask])
def test_contexts_can_be_kept_and_pushed_again(kind: Callable[[str], Flask]) -> None:
    """Ours: as in Flask, for tests with a client in a `with` block, and for streamed responses."""
    app, events = build(kind, teardown)

    def parts() -> Iterator[str]:
        yield request.path
        yield str(request.url_rule)

    app.add_url_rule("/stream", view_func=lambda: Response(stream_with_context(parts())))
    with app.test_client() as client:
        assert client.get("/stream").text == "/stream/stream"
        assert client.get("/fixed?a=b").text == "fixed"
        assert (request.args["a"], str(request.url_rule)) == ("b", "/fixed")
    with app.test_request_context("/fixed", method="POST"):
        assert str(request.url_rule) == "/fixed"
    assert not flask.has_request_context()
    assert events


def test_only_registered_paths_and_methods_are_remembered() -> None:
    """Ours: clients cannot fill the memory of a process with paths or methods that they invent."""
    app = LeanFlask("example")
    for path in ("/fixed", "/job/<int:number>"):
        app.add_url_rule(path, path, lambda **values: "ok", methods=["GET"], provide_automatic_options=False)
    app.url_map.add(app.url_rule_class("/any", endpoint="/fixed"))  # for every method
    client = app.test_client()
    for path in ("/fixed", "/any", "/job/1", "/job/2", "/none", "/fixed/"):
        for method in ("GET", "HEAD", "PUT", "INVENTED"):
            client.open(path, method=method)
    assert set(app.fixed_paths) == {("/fixed", "GET"), ("/fixed", "HEAD")}


def test_a_remembered_rule_wins_over_rules_that_are_added_later() -> None:
    """Spec: Werkzeug's manual, "URL Routing". Ours: the memory of paths is never outdated."""
    answers = []
    for kind in (Flask, LeanFlask):
        app = kind("example")
        app.add_url_rule("/<name>", view_func=lambda name: "variable", endpoint="variable")
        app.add_url_rule("/fixed", view_func=lambda: "first", endpoint="first")
        with app.test_request_context("/fixed"):
            assert str(request.url_rule) == "/fixed"
        app.add_url_rule("/fixed", view_func=lambda: "second", endpoint="second")
        answers.append([app.test_client().get(path).text for path in ("/fixed", "/fixed", "/other")])
    assert answers == [["first", "first", "variable"]] * 2
