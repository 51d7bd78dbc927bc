"""The proxy in whole verbs on pyinfra's fake connector: shown by --dry, asked of the first rank only, mistakes before anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake.test_verbs import inventory, run

SEEN = r"'\x1eproxy.host 0', 'nginx=', 'version=', 'tool=apt-get', 'systemd=yes', 'enabled=', 'active=', '\x1eend 0'"


def nodes(folder: Path) -> Path:
    """Two fake nodes without nginx."""
    file = inventory(folder)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(r"'\x1eend 0'", SEEN), encoding="utf-8")
    return file


def test_dry_serve_shows_what_it_would_put_on_the_first_rank(tmp_path: Path) -> None:
    code, text, _ = run("serve", nodes(tmp_path), "--dry", "--diff", "--data", "expose=proxy")
    assert code == 0, text
    said = [line.strip() for line in text.splitlines() if "] would " in line and ("proxy" in line or "nginx" in line)]
    assert said == [
        "[@fake/n0] would install nginx with apt-get, without its own site on port 80",
        "[@fake/n0] would write /etc/bringup/fakes/r0.proxy.conf",
        "[@fake/n0] would write /etc/systemd/system/bringup-fakes-r0-proxy.service",
        "[@fake/n0] would start the proxy on port 8080",
    ]
    assert "+            proxy_pass http://10.77.0.11:20004/v1/;" in text


def test_check_says_that_prepare_puts_it_in_place(tmp_path: Path) -> None:
    code, text, report = run("check", nodes(tmp_path), "--data", "expose=proxy")
    assert code == 0, text
    (found,) = [f for f in report["findings"] if f["check"] == "proxy.ready"]
    assert (found["node"], found["level"]) == ("@fake/n0", "warn")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", 'tls={"cert": "/no/c", "key": "/no/k"}', "--data", "expose=proxy"], '"tls.cert" names /no/c, which cannot be read'),
        (["--data", "ports.proxy=80"], '"ports.proxy" is 80, but "expose" is direct'),
    ],
)
def test_a_mistake_is_exit_2_and_nothing_is_touched(tmp_path: Path, words: list[str], said: str) -> None:
    code, text, report = run("check", nodes(tmp_path), *words)
    assert code == 2
    assert said in text
    assert "Traceback" not in text
    assert report == {}
