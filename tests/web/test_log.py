"""No call of the log writes an id, an address or a secret, whatever its arguments."""

from __future__ import annotations

import inspect
import io
import json
import logging
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.web.log import MOST_A_SECOND, LibraryHandler, Log, What

SECRETS = (
    "ann@example.com", "+86 138 0013 8000", "203.0.113.77", "pp_live_5f3ZsecretKEY",
    "postgresql://app:hunter2@db/live", "user-8f14e45f", "会员一号", "C0042",
)  # fmt: skip
ROUTES = ("/v1/track", "/v1/users/{id}")


class Clock:
    def __init__(self):
        self.now = 1_700_000_000_000_000

    def __call__(self):
        self.now += 1_000_000
        return self.now


def make_log(**options):
    stream = io.StringIO()
    log = Log(Clock(), stream=stream, routes=ROUTES, inputs=("actions",), **options)
    return log, stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def thrown(secret):
    """An error whose message, cause and class name carry a secret."""
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            kind = type(f"Error_{secret}", (ValueError,), {})
            raise kind(f"customer {secret} cannot be read", secret) from error
    except ValueError as error:
        return error


def calls(log, secret):
    """Every public method of the log, given the secret wherever it takes something."""
    error = thrown(secret)
    return {
        "problem": lambda: log.problem(
            secret, error, level="error", route=f"/v1/users/{secret}"
        ),
        "notice": lambda: log.notice(secret, bundle=secret, input=secret),
        "access": lambda: log.access(f"/v1/users/{secret}", 200, 0.01),
        "library": lambda: log.library(
            logging.LogRecord(
                secret, logging.ERROR, f"/srv/{secret[:1]}/app.py", 3, f"GET /{secret} %s",
                (secret,), (type(error), error, error.__traceback__), func=secret, sinfo=secret,
            )
        ),
    }  # fmt: skip


def test_every_call_is_fed():
    public = {name for name, _ in inspect.getmembers(Log, inspect.isfunction) if name[0] != "_"}
    assert public == set(calls(make_log()[0], "x"))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("call", ["problem", "notice", "access", "library"])
def test_no_call_writes_a_secret(call, secret):
    log, stream = make_log(access_every=1)
    calls(log, secret)[call]()
    written = stream.getvalue()
    assert len(lines(stream)) == 1
    for part in (secret, secret.encode("unicode_escape").decode(), json.dumps(secret)[1:-1]):
        assert part not in written
    assert "hunter2" not in written and "example" not in written


# A class cannot be named with these; all else can.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


ALLOWED = re.compile("[0-9a-f]{6,16}|v[0-9]+|" + "|".join((*get_args(What), "actions")))


@given(NAMES.filter(lambda text: not ALLOWED.fullmatch(text)))
def test_no_text_at_all_gets_through(text):
    log, stream = make_log(access_every=1)
    for call in calls(log, text).values():
        call()
    written = json.dumps([{**line, "time": ""} for line in lines(stream)], ensure_ascii=False)
    expected = json.dumps(
        [{**line, "time": ""} for line in _lines_of("x.y")], ensure_ascii=False
    )  # fmt: skip
    assert written == expected, "what is written does not depend on what is secret"


def _lines_of(secret):
    log, stream = make_log(access_every=1)
    for call in calls(log, secret).values():
        call()
    return lines(stream)


def test_a_problem_says_what_and_where():
    log, stream = make_log(worker=3)
    log.problem("store failed", thrown("ann"), route="/v1/users/{id}", status=503, n=7)
    (line,) = lines(stream)
    assert line["what"] == "store failed" and line["level"] == "error" and line["worker"] == 3
    assert line["time"] == "2023-11-14T22:13:21.000+00:00"
    assert line["route"] == "/v1/users/{id}" and line["status"] == 503 and line["n"] == 7
    assert line["error"] == "other < KeyError"
    assert line["at"][-1].startswith("test_log.py:")


def test_a_number_too_long_is_no_number_of_anybody():
    log, stream = make_log()
    log.problem("defect", n=8613800138000, status=8613800138000)
    assert "8613800138000" not in stream.getvalue()


def test_known_words_are_kept_and_others_are_not():
    log, stream = make_log()
    log.notice("drift", input="actions", bundle="v0012")
    log.notice("drift", input="goal:ann", bundle="../etc")
    first, second = lines(stream)
    assert (first["input"], first["bundle"]) == ("actions", "v0012")
    assert (second["input"], second["bundle"]) == ("other", "other")


def test_the_access_log_is_off_unless_asked_for():
    log, stream = make_log()
    log.access("/v1/track", 200, 0.001)
    assert stream.getvalue() == ""
    log, stream = make_log(access_every=10)
    for _ in range(25):
        log.access("/v1/track", 200, 0.0015)
    assert [line["ms"] for line in lines(stream)] == [1.5, 1.5]


def test_a_thousand_problems_a_second_are_a_few_lines():
    now = [5_000_000]
    stream = io.StringIO()
    log = Log(lambda: now[0], stream=stream)
    for _ in range(1_000):
        log.problem("store failed")
    log.problem("defect")
    now[0] += 1_000_000
    log.problem("store failed")
    written = lines(stream)
    assert len(written) == MOST_A_SECOND + 2
    assert written[-1]["left_out"] == 1_000 - MOST_A_SECOND


def test_a_log_that_cannot_be_written_stops_nothing():
    stream = io.StringIO()
    log = Log(Clock(), stream=stream)
    stream.close()
    log.problem("defect")
    assert log.n_unwritten == 1


def test_libraries_speak_through_the_log():
    log, stream = make_log()
    logger = logging.getLogger("uvicorn.test")
    LibraryHandler(log).take_over("uvicorn.test")
    try:
        logger.info("203.0.113.77 - GET /v1/users/ann")
        logger.error("203.0.113.77 %s", "ann", exc_info=thrown("ann@example.com"))
    finally:
        logger.handlers.clear()
    (line,) = lines(stream)
    assert line["what"] == "library" and line["error"].endswith("KeyError")
    assert "203" not in json.dumps({**line, "time": ""}) and "ann" not in json.dumps(line)
