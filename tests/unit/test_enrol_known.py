"""known_hosts as text: what is known of a host, what a new key changes, and what it leaves alone."""

from __future__ import annotations

import base64
import itertools
import subprocess
from pathlib import Path

import paramiko
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.hostkeys import HostKeys

from roles.enrol import known
from roles.enrol.known import Key, hashed, judge, kinds, merged, of
from tests.examples import examples


def key(seed: int, kind: str = "ssh-ed25519") -> Key:
    """A key of the form that SSH has on the wire."""
    word = kind.encode()
    return Key(kind, len(word).to_bytes(4, "big") + word + (32).to_bytes(4, "big") + bytes([seed]) * 32)


def salts() -> itertools.repeat[bytes]:
    return itertools.repeat(b"s" * 20)


A, B, RSA = key(1), key(2), key(3, "ssh-rsa")
HIDDEN = hashed("10.0.0.11", f"|1|{base64.b64encode(b'salt' * 5).decode()}|")
FILE = f"""\
# mine
github.com,140.82.121.3 {B.text} a comment

10.0.0.11 {A.text}
@cert-authority *.example.org {B.text}
not a line
[10.0.0.12]:2222,n1 {A.text}
"""


def test_a_fingerprint_is_the_one_ssh_keygen_prints(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "k"], check=True)
    public = paramiko.Ed25519Key(filename=str(tmp_path / "k"))
    said = subprocess.run(["ssh-keygen", "-lf", tmp_path / "k.pub"], check=True, capture_output=True, text=True).stdout
    assert said.split()[1] == Key(public.get_name(), public.asbytes()).fingerprint


@pytest.mark.parametrize(
    ("name", "shown", "word"),
    [
        ("10.0.0.11", A, "known"), ("10.0.0.11", B, "changed"), ("10.0.0.11", RSA, "changed"), ("10.0.0.99", A, "new"), ("n1", A, "known"),
        ("10.0.0.12", A, "new"), ("[10.0.0.12]:2222", A, "known"), ("x.example.org", B, "new"), ("github.com", B, "known"),
    ],
)  # fmt: skip
def test_a_key_is_held_against_what_the_file_says(name: str, shown: Key, word: str) -> None:
    assert judge([FILE], name, shown).word == word


def test_the_first_file_that_knows_this_kind_of_key_decides() -> None:
    other = f"10.0.0.11 {RSA.text}\n"
    assert judge([other, FILE], "10.0.0.11", A).word == "known"
    assert kinds([other, FILE], "10.0.0.11") == ["ssh-rsa", "ssh-ed25519"]


def test_a_revoked_key_is_not_trusted_for_anyone() -> None:
    assert judge([f"{FILE}@revoked * {A.text}\n"], "10.0.0.50", A).word == "revoked"


def test_a_hashed_name_is_found() -> None:
    text = f"{HIDDEN} {A.text}\n"
    assert judge([text], "10.0.0.11", A).word == "known"
    assert judge([text], "10.0.0.12", A).word == "new"
    assert [line.number for line in of(text, "10.0.0.11")] == [1]


def test_a_new_key_is_a_line_at_the_end_and_all_others_stay() -> None:
    text = merged(FILE, {"10.0.0.20": B, "[10.0.0.21]:2222": A}, salts())
    assert text == FILE + f"10.0.0.20 {B.text}\n[10.0.0.21]:2222 {A.text}\n"
    assert merged(text, {"10.0.0.20": B, "[10.0.0.21]:2222": A}, salts()) == text, "a second time changes nothing"


def test_a_replaced_key_takes_the_place_of_all_keys_of_that_host_only() -> None:
    text = merged(f"{FILE}10.0.0.11 {RSA.text}\n", {"10.0.0.11": B}, salts())
    assert [line.key for line in of(text, "10.0.0.11")] == [B]
    assert text == FILE.replace(f"10.0.0.11 {A.text}\n", "") + f"10.0.0.11 {B.text}\n"


def test_a_line_of_several_names_loses_the_hosts_own_only() -> None:
    text = merged(FILE, {"[10.0.0.12]:2222": B}, salts())
    assert f"\nn1 {A.text}\n" in text
    assert judge([text], "[10.0.0.12]:2222", B).word == "known"


def test_names_are_hidden_where_the_files_last_one_is() -> None:
    text = merged(f"{FILE}{HIDDEN} {A.text}\n", {"10.0.0.20": B}, salts())
    assert "10.0.0.20" not in text
    assert judge([text], "10.0.0.20", B).word == "known"
    assert judge([merged(text, {"10.0.0.11": B}, salts())], "10.0.0.11", B).word == "known"


def test_a_file_without_a_last_newline_is_not_glued() -> None:
    assert merged(FILE.rstrip("\n"), {"x": B}, salts()) == f"{FILE}x {B.text}\n"
    assert merged("", {"x": B}, salts()) == f"x {B.text}\n"


names = st.sampled_from(["10.0.0.11", "10.0.0.12", "n1", "[10.0.0.12]:2222", "github.com", "a.example.org"])
keys = st.builds(key, st.integers(1, 5), st.just("ssh-ed25519"))
rows = st.one_of(
    st.builds(lambda n, k: f"{','.join(n)} {k.text}", st.lists(names, min_size=1, max_size=3), keys),
    st.builds(lambda n, k: f"{hashed(n, HIDDEN)} {k.text} comment", names, keys),
    st.builds(lambda k: f"@revoked * {k.text}", keys),
    st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=30),
)


@examples(300)
@given(st.lists(rows, max_size=8), st.dictionaries(names, keys, max_size=3))
def test_whatever_the_file_holds_the_keys_are_in_it_afterwards_and_others_stay(lines: list[str], new: dict[str, Key]) -> None:
    before = "\n".join(lines)
    after = merged(before, new, salts())
    for name, one in new.items():
        assert one in [line.key for line in of(after, name)]
    others = {"10.0.0.11", "10.0.0.12", "n1", "[10.0.0.12]:2222", "github.com", "a.example.org"} - set(new)
    for name in others:
        assert [line.key for line in of(after, name)] == [line.key for line in of(before, name)]
    assert [line for line in after.split("\n") if line.startswith("@")] == [line for line in before.split("\n") if line.startswith("@")]
    assert merged(after, new, salts()) == after


@examples(100)
@given(st.dictionaries(names, keys, min_size=1, max_size=3), st.booleans())
def test_what_is_written_is_what_paramiko_and_openssh_read(
    tmp_path_factory: pytest.TempPathFactory, new: dict[str, Key], hide: bool
) -> None:
    file = tmp_path_factory.mktemp("known") / "known_hosts"
    file.write_text(merged(f"{hashed('z', HIDDEN)} {A.text}\n" if hide else "", new, salts()), encoding="utf-8")
    read = HostKeys(str(file))
    for name, one in new.items():
        assert read.check(name, paramiko.Ed25519Key(data=one.data))


def test_openssh_finds_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(merged(f"{HIDDEN} {A.text}\n", {"[10.0.0.12]:2222": B}, salts()), encoding="utf-8")
    said = subprocess.run(["ssh-keygen", "-F", "[10.0.0.12]:2222", "-f", file], capture_output=True, text=True, check=True).stdout
    assert B.text in said


@pytest.mark.parametrize("name", ["a,b", "a b", "a\nb", "*", "!a", "@revoked", "|1|x", "#", "", "a;b", "$(id)", "é"])
def test_what_could_be_read_as_another_line_is_no_name(name: str) -> None:
    assert not known.NAME.fullmatch(name)
