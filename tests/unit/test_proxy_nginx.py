"""The distribution's own nginx with our configuration: what it passes, what it hides, how long it waits.

Skipped where nginx is missing; make test brings it.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from roles.plan.errors import PlanError
from roles.run import tls
from roles.run.api import Api
from roles.verify import outside
from tests.examples import examples
from tests.unit.proxy_bench import NGINX, PAUSE, PIECES, Engine, Front, behind_nginx, certificate

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
KEY = "sk-Ab'\"$;{}\\z~#"
SGLANG = "sglang/nvidia-tp4"


@contextmanager
def up(folder: Path, recipe: str = "lab/a2-single", key: str = "", **keys: Any) -> Iterator[tuple[Front, Engine]]:
    """nginx and the engine behind it."""
    folder.chmod(0o755)
    made = behind_nginx(recipe, **keys)
    with Front(made, folder, key).running() as front, Engine(int(made.nodes[0].ports["api"])).running() as engine:
        yield front, engine


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Engine]]:
    with up(tmp_path_factory.mktemp("plain")) as both:
        yield both


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Engine]]:
    with up(tmp_path_factory.mktemp("asking"), SGLANG, KEY) as both:
        yield both


Both = tuple[Front, Engine]


def paths(engine: Engine, since: int = 0) -> list[str]:
    return [path for _, path, _, _ in engine.asked[since:]]


def test_nginx_takes_every_form_of_it(tmp_path: Path) -> None:
    crt, pem = certificate(tmp_path)
    for recipe, key in (("lab/a2-single", ""), (SGLANG, KEY), ("xinference/awq", "k")):
        for certified in ({}, {"tls": {"cert": crt, "key": pem}}):
            folder = tmp_path / f"{recipe.partition('/')[0]}{len(certified)}"
            folder.mkdir()
            for kind, file in (("crt", crt), ("pem", pem)):
                (folder / kind).write_bytes(Path(file).read_bytes())
            model = {"model": "MiniMax-M2"} if recipe.startswith("xinference") else {}
            assert Front(behind_nginx(recipe, **certified, **model), folder, key).accepted() == ""


@pytest.mark.parametrize("target", ["/v1/models", "/v1/chat/completions", "/v1/x?a=1&b=%0d%0a", "/health"])
def test_the_api_and_health_pass(plain: Both, target: str) -> None:
    front, engine = plain
    assert front.status(target) == 200
    assert paths(engine)[-1] == target


@pytest.mark.parametrize(
    "target",
    ["/", "/v1", "/metrics", "/docs", "/invocations", "/health/", "/healthz", "/pause", "/v1/../metrics", "/v1/%2e%2e/metrics",
     "/v1/..%2fmetrics", "/v1/./../metrics", "http://10.0.0.1/metrics", "/v1;/metrics", "/V1/models", "/bringup/503"],
)  # fmt: skip
def test_everything_else_is_not_there_and_never_asked(plain: Both, target: str) -> None:
    front, engine = plain
    before = len(engine.asked)
    assert front.status(target) == 404
    assert paths(engine, before) == []


@examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            ["v1", "..", ".", "metrics", "health", "%2e%2e", "%2f", "/", "//", "%25", "%00", "\\", ";", "?", "#", "%0d%0a", "é"]
        )
    )
)
def test_whatever_path_is_sent_the_engine_sees_the_api_or_nothing(plain: Both, parts: list[str]) -> None:
    front, engine = plain
    before = len(engine.asked)
    front.status("/" + "/".join(parts))
    for path in paths(engine, before):
        clean = path.partition("?")[0]
        assert clean == "/health" or clean.startswith("/v1/"), path
        assert ".." not in clean.split("/")
        assert "//" not in clean


def test_a_malformed_request_is_answered_and_not_passed(plain: Both) -> None:
    front, engine = plain
    before = len(engine.asked)
    for head in (b"BAD\r\n\r\n", b"GET /v1/x HTTP/1.1\r\n\r\n", b"GET /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"):
        assert front.raw(head).startswith(b"HTTP/1.1 400 ")
    smuggled = (
        b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
    )
    front.raw(smuggled)
    assert "/metrics" not in paths(engine, before)


def test_the_engines_own_errors_pass_unchanged(plain: Both) -> None:
    front, _ = plain
    answer = httpx2.get(f"http://127.0.0.1:{front.port}/v1/teapot", trust_env=False)
    assert (answer.status_code, answer.text) == (418, "/v1/teapot 0")


def test_tokens_come_one_by_one_as_the_engine_makes_them(plain: Both) -> None:
    front, _ = plain
    began, times = time.monotonic(), []
    with httpx2.Client(trust_env=False) as client, client.stream("POST", f"http://127.0.0.1:{front.port}/v1/stream", json={}) as answer:
        for line in answer.iter_lines():
            if line:
                times.append(time.monotonic() - began)
    assert len(times) == PIECES
    assert times[0] < PAUSE
    assert times[-1] > (PIECES - 1) * PAUSE * 0.9


def test_a_long_prompt_reaches_the_engine_whole(plain: Both) -> None:
    front, _ = plain
    answer = httpx2.post(f"http://127.0.0.1:{front.port}/v1/chat/completions", content=b"x" * 20_000_000, trust_env=False, timeout=60)
    assert answer.text == "/v1/chat/completions 20000000"


def test_what_is_larger_than_any_prompt_is_refused_before_it_is_sent(plain: Both) -> None:
    front, _ = plain
    answer = front.raw(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 300000000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == 413


def test_while_the_engine_is_down_an_openai_client_is_told_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Front(behind_nginx(), tmp_path).running() as front:
        for target in ("/v1/models", "/health"):
            answer = httpx2.get(f"http://127.0.0.1:{front.port}{target}", trust_env=False)
            assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "10", "application/json")
            assert answer.json()["error"]["message"] == "the engine does not answer: it is stopped, or still starting"
            assert "127.0.0.1" not in answer.text, "where the engine is, is nobody's business"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], 401), ([f"Authorization: Bearer {KEY}"], 200), ([f"Authorization: bearer {KEY}"], 200), ([f"Authorization: {KEY}"], 401),
        ([f"Authorization: Bearer {KEY.lower()}"], 401), ([f"Authorization: Bearer {KEY}x"], 401), ([f"Authorization: Bearer x{KEY}"], 401),
        ([f"Authorization: Basic {KEY}"], 401), (["Authorization: Bearer "], 401), (["Authorization: Bearer .*"], 401),
        ([f"X-Api-Key: {KEY}"], 401), ([f"Authorization: Bearer x, Bearer {KEY}"], 401),
    ],
)  # fmt: skip
def test_the_key_is_asked_for_where_the_engine_asks_for_none(asking: Both, headers: list[str], code: int) -> None:
    front, engine = asking
    before = len(engine.asked)
    assert front.status("/v1/models", *headers) == code
    assert len(engine.asked) - before == (code == 200)


def test_health_wants_no_key_and_is_the_engines_own_path(asking: Both) -> None:
    front, engine = asking
    assert front.status("/health") == 200
    assert paths(engine)[-1] == "/health_generate"


def test_the_key_goes_no_further_and_stands_in_no_log(asking: Both) -> None:
    front, engine = asking
    front.status("/v1/models", f"Authorization: Bearer {KEY}")
    assert "authorization" not in engine.asked[-1][2]
    assert KEY not in front.said


def test_an_engine_that_asks_for_the_key_itself_is_given_it(plain: Both) -> None:
    front, engine = plain
    front.status("/v1/models", f"Authorization: Bearer {KEY}")
    assert engine.asked[-1][2]["authorization"] == f"Bearer {KEY}"


def test_what_a_client_says_of_itself_is_not_believed(plain: Both) -> None:
    front, engine = plain
    front.status("/v1/models", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    seen = engine.asked[-1][2]
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert seen["host"] == f"127.0.0.1:{engine.port}"


def test_one_configuration_knows_all_odd_keys(tmp_path: Path) -> None:
    for key in ("$host", "a;b", '"', "\\", "{}", "#", "~.*", "default", "include", "a" * 500, "'\\\"$x", "\\z", "%s"):
        front = Front(behind_nginx(SGLANG), tmp_path, key)
        assert front.accepted() == "", key


# TLS: the certificate's files on this machine, and the proof that it is that very certificate which is shown


def over_tls(front: Front, crt: str, pem: str) -> None:
    for kind, file in (("crt", crt), ("pem", pem)):
        (front.folder / kind).write_bytes(Path(file).read_bytes())


def test_the_given_certificate_is_shown_and_another_is_noticed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    crt, pem = certificate(tmp_path, "given")
    made = behind_nginx(SGLANG, tls={"cert": crt, "key": pem})
    front = Front(made, tmp_path, KEY)
    over_tls(front, crt, pem)
    pinned = tls.pinned(made)
    assert pinned is not None
    with Engine(int(made.nodes[0].ports["api"])).running():
        with front.running(), httpx2.Client(verify=pinned, trust_env=False) as client:
            api = Api(f"https://127.0.0.1:{front.port}", client, "direct")
            verify = {"paths": {"models": "/v1/models"}, "model": "models"}
            result = outside.proven(api, verify, KEY)
            assert result.ok, result.said
            assert "asks for the key and hides /metrics" in result.said
            assert not outside.proven(api, verify, "another").ok
            assert front.raw(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 400 "), "plain HTTP on its port"
        over_tls(front, *certificate(tmp_path, "other"))
        with front.running(), httpx2.Client(verify=pinned, trust_env=False) as client:
            result = outside.proven(Api(f"https://127.0.0.1:{front.port}", client, "direct"), verify, KEY)
            assert not result.ok
            assert "certificate" in result.said.lower()


def test_a_certificate_whose_time_is_over_is_refuted(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    crt, pem = certificate(tmp_path, "old", days=-1)
    made = behind_nginx(tls={"cert": crt, "key": pem})
    front, pinned = Front(made, tmp_path), tls.pinned(made)
    over_tls(front, crt, pem)
    assert pinned is not None
    with front.running(), httpx2.Client(verify=pinned, trust_env=False) as client:
        result = outside.proven(
            Api(f"https://127.0.0.1:{front.port}", client, "direct"), {"paths": {"models": "/v1/models"}, "model": "x"}, ""
        )
    assert "certificate has expired" in result.said


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    crt, pem = certificate(tmp_path)
    front = Front(behind_nginx(tls={"cert": crt, "key": pem}), tmp_path)
    over_tls(front, crt, pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with front.running(), pytest.raises(httpx2.ConnectError):
        httpx2.get(f"https://127.0.0.1:{front.port}/health", verify=context, trust_env=False)


def test_files_that_are_no_pair_are_a_sentence_before_anything_is_touched(tmp_path: Path) -> None:
    crt, pem = certificate(tmp_path)
    other = certificate(tmp_path, "other")[1]
    text = tmp_path / "text"
    text.write_text("no PEM")
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for cert, key, says in (
        (crt, other, "no certificate with its key (key values mismatch)"), (str(text), pem, '"tls.cert" names'),
        ("/nowhere", pem, "cannot be read"), (crt, str(text), "not in PEM"), (crt, str(locked), "wants a passphrase"),
        (crt, crt, "no certificate with its key"), (str(tmp_path), pem, "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(PlanError) as e:
            tls.given(behind_nginx(tls={"cert": cert, "key": key}))
        assert says in e.value.problems[0], e.value.problems
        assert "BEGIN" not in e.value.problems[0].replace("-----BEGIN in it", "")
    tls.given(behind_nginx(tls={"cert": crt, "key": pem}))
    tls.given(behind_nginx())
