"""Secrets go before anything is written; what only looks busy stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roles.run.redact import GONE, redact, redact_data

KEY = "sk-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"
HUB = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"VLLM_API_KEY={KEY}", "VLLM_API_KEY=***"),
        ("VLLM_API_KEY=12345678", "VLLM_API_KEY=***"),
        ("HF_TOKEN=abcdefgh", "HF_TOKEN=***"),
        ('export AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG"', 'export AWS_SECRET_ACCESS_KEY="***"'),
        ("MYSQL_PASSWORD=hunter2 next=1", "MYSQL_PASSWORD=*** next=1"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ("curl -H 'Authorization: Bearer tok'", "curl -H 'Authorization: Bearer ***'"),
        ("sent Bearer 0123456789abcdef to it", "sent Bearer *** to it"),
        (f"loaded {HUB} from disk", "loaded *** from disk"),
        (f"key {KEY}.", "key ***."),
        ("pull https://user:pa%24s@registry.local/v2/", "pull https://***@registry.local/v2/"),
        ("git clone https://ghp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@github.com/x/y", "git clone https://***@github.com/x/y"),
        ("http_proxy=http://me:secret@10.0.0.1:3128", "http_proxy=http://***@10.0.0.1:3128"),
        ("vllm serve /m --api-key abcdef --port 1", "vllm serve /m --api-key *** --port 1"),
        ("vllm serve /m --api-key=abcdef", "vllm serve /m --api-key=***"),
        ('"Cmd": ["vllm", "--api-key", "abcdef", "--port"]', '"Cmd": ["vllm", "--api-key", "***", "--port"]'),
        ("modelscope login --token 0123abcd", "modelscope login --token ***"),
        ("non-default args: {'api_key': ['abcdef', 'ghijkl'], 'port': 1}", "non-default args: {'api_key': ***, 'port': 1}"),
        ("{'api_key': 'abcdef', 'x': 1}", "{'api_key': '***', 'x': 1}"),
        ('{"password": "p\'w d", "a": 1}', '{"password": "***", "a": 1}'),
        ("password: hunter2", "password: ***"),
        ("passwd=12345", "passwd=***"),
        ('{"auths": {"quay.io": {"auth": "dXNlcjpwYXNz"}}}', '{"auths": {"quay.io": {"auth": "***"}}}'),
        ("token: 0123456789abcdef0123", "token: ***"),
        ("ms-01234567-89ab-cdef-0123-456789abcdef", "***"),
        ("X-Api-Key: abcdef", "X-Api-Key: ***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "***"),
        ("aws AKIAIOSFODNN7EXAMPLE end", "aws *** end"),
        ("-----BEGIN EC PRIVATE KEY-----\nb3Bl\nbnNz\n-----END EC PRIVATE KEY-----\nx", "-----BEGIN EC PRIVATE KEY----- ***\nx"),
        ("-----BEGIN RSA PRIVATE KEY-----\nb3Bl", "-----BEGIN RSA PRIVATE KEY----- ***"),
    ],
)  # fmt: skip
def test_a_secret_goes_and_its_name_stays(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "quay.io/ascend/vllm-ascend@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "MiniMax-M2.5-w8a8-QuaRot at /opt/data/verification/models/MiniMax-M2.5",
        "commit 5c2c0cf4967fd1367e4ca97c9290a1f066243592",
        "max_tokens=200 num_speculative_tokens=3 --max-num-batched-tokens 65536",
        "tokenizer='/opt/models/MiniMax-M2.5', skip_tokenizer_init=False, tokenizer_mode=auto",
        "Total generated tokens:                  256",
        "bos_token: <s>, eos_token='</s>', pad_token=None, eos_token_id=200020",
        "TOKENIZERS_PARALLELISM=false",
        "MAX_TOKEN=200",
        "api_key=None, api_key: null, api_key=''",
        "VLLM_API_KEY=${KEY}",
        "--api-key <your key>",
        "via key-value store by key '0', but store->get('0')",
        "KeyError: 'layers.0.mlp.deq_scale'",
        "monkey=banana turkey: roast keys=12",
        "tcp://10.0.0.11:2347 and ipc:///tmp/d4572351-53f1-494a-a8fa-03153f82bfa1",
        "scp root@10.0.0.11:/tmp/x . ; ssh root@10.0.0.11",
        "base information: [streamID:[109], taskID[38], tag[AllReduce_group_name_1654]]",
        "Basic information of the bearer network",
        "bearer authentication is off",
        "+-------------------------------------------------------------------------------------------------+",
        "the token budget is 2048 tokens per step, token: 5",
        "model-00001-of-00126.safetensors",
        "address=10.0.0.11:20004 rank=0",
        "Failed to parse secretary: x",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_known_secret_goes_wherever_it_stands_even_without_a_name() -> None:
    assert redact("abc s3cr3t-value def s3cr3t-valueX", ["s3cr3t-value"]) == "abc *** def ***X"
    assert redact("nothing of a b", ["a", "", "  "]) == "nothing of a b"


def test_the_longer_of_two_known_secrets_goes_whole() -> None:
    assert redact("longer-secret", ["longer", "longer-secret"]) == GONE


@given(st.lists(st.sampled_from([KEY, HUB, "password=", "token: ", "Bearer ", '"', "'", " ", "\n", "://u:p@h", "x=1", "--api-key "])))
def test_redacting_twice_changes_nothing_more(parts: list[str]) -> None:
    once = redact(" ".join(parts))
    assert redact(once) == once
    assert KEY not in once
    assert HUB not in once


def test_a_long_line_without_spaces_takes_no_long_time() -> None:
    began = time.process_time()
    for piece in ("-", "_", "a-", "A_", "a.", "=", "token", "password", "://", "x@", "+/"):
        redact(piece * 20_000)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"api_key": "abcdef123"}, {"api_key": GONE}),
        ({"env": {"MY_TOKEN": "abcdef123"}, "n": 3, "none": None}, {"env": {"MY_TOKEN": GONE}, "n": 3, "none": None}),
        ({"warnings": ['inventory: secret: "expose" is proxy']}, {"warnings": ['inventory: secret: "***" is proxy']}),
        ({"why": f'said "{KEY}"\nand more'}, {"why": f'said "{GONE}"\nand more'}),
        ([["Bearer abcdefgh12345678", "plain"]], [[f"Bearer {GONE}", "plain"]]),
        ({"plan": "abcdef", "secretary": "x y"}, {"plan": "abcdef", "secretary": "x y"}),
    ],
)
def test_data_stays_data(data: object, expected: object) -> None:
    assert redact_data(data, [KEY]) == expected


@given(
    st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
)
def test_whatever_the_data_its_form_stays(data: object) -> None:
    def form(value: object) -> object:
        if isinstance(value, dict):
            return {k: form(v) for k, v in value.items()}
        return [form(v) for v in value] if isinstance(value, list) else type(value)

    assert form(redact_data(data)) == form(data)
