"""Parts of the unit's script by themselves: what an answer means, what tells of work, what is kept of a log."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from roles.serve.unit import HERE

VALUES = (
    "RUNTIME=venv\nUNIT=bringup-test-r0\nCLUSTER=test\nREPLICA=r0\nDEADLINE=5\nCHAT=/v1/chat/completions\nMETRICS=/metrics\nQUESTION={}\n"
)
TOLD = "[2026-11-21 10:00:00 TP0] Decode batch, #running-req: 1, #token: 45, gen throughput (token/s): 9.8, #queue-req: 0\n"
IDLE = "INFO 11-21 10:00:00 [loggers.py:1] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 0.0 tokens/s\n"
BUSY = "INFO 11-21 10:00:10 [loggers.py:1] Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 0.4 tokens/s\n"


def shell(folder: Path, words: str, *parts: str) -> str:
    """What these words print, after these parts of the script."""
    files = "".join(f". {HERE / f'{part}.sh'}\n" for part in parts)
    text = f"{VALUES}folder={folder}\ngeneration=4\n{files}{words}"
    done = subprocess.run(["bash", "-uc", text], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('HTTP/1.1 200 OK\\r\\n\\r\\n{"usage": {"completion_tokens": 1}}', ""),
        ('HTTP/1.1 200 OK\\r\\n\\r\\n{"usage": {"completion_tokens": 0}}', "an answer without a token\n"),
        ("HTTP/1.1 400 Bad Request\\r\\n\\r\\n", ""),
        ("HTTP/1.1 429 Too Many Requests\\r\\n\\r\\n", ""),
        ("HTTP/1.1 404 Not Found\\r\\n\\r\\n", "HTTP 404\n"),
        ("HTTP/1.1 410 Gone\\r\\n\\r\\n", "HTTP 410\n"),
        ("HTTP/1.1 503 Service Unavailable\\r\\n\\r\\n", "HTTP 503\n"),
        ("", "no answer\n"),
    ],
)
def test_only_a_token_or_a_request_that_was_refused_is_a_sign_of_life(tmp_path: Path, answer: str, said: str) -> None:
    assert shell(tmp_path, f"within() {{ printf '{answer}'; }}; answered 0", "alive") == said
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_key_is_marked_and_restarts_nothing(tmp_path: Path, code: int) -> None:
    assert shell(tmp_path, f"within() {{ printf 'HTTP/1.1 {code} No\\r\\n\\r\\n'; }}; answered 0", "alive") == ""
    assert (tmp_path / "refused").exists()


def test_where_nothing_counts_the_log_tells_of_work(tmp_path: Path) -> None:
    def counters(log: str) -> str:
        (tmp_path / "engine.log").write_text(log)
        return shell(tmp_path, "within() { printf 'HTTP/1.1 404 Not Found\\r\\n\\r\\n'; }; counters", "runtime", "alive")

    before, idle, busy = counters(IDLE), counters(IDLE * 2), counters(IDLE + TOLD + BUSY)
    assert (before, idle, busy) == ("0=0", "0=0", "0=2")
    assert (
        shell(tmp_path, f"moved 0 '{before}' '{busy}' && echo yes || echo no; moved 0 '{before}' '{idle}' || echo no", "alive")
        == "yes\nno\n"
    )


def test_a_container_tells_by_the_time_of_its_last_such_line(tmp_path: Path) -> None:
    lines = "".join(f"2026-11-21T10:00:{s:02d}.123456789Z {text}" for s, text in ((1, TOLD), (2, IDLE)))
    (tmp_path / "log").write_text(lines)
    words = f"docker() {{ cat {tmp_path}/log; }}; worked"
    assert shell(tmp_path, f"RUNTIME=docker\n. {HERE}/runtime.sh\n{words}") == "20261121100001123"


def test_an_engines_log_without_docker_stays_below_twice_its_limit_and_is_kept_whole_enough(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "engine.log"
    words = f'LOG_BYTES=1000; for i in $(seq 300); do echo "line $i" >>{log}; trim; done; keep'
    assert shell(tmp_path, words, "runtime") == ""
    kept = (tmp_path / "logs" / "4.log").read_text().splitlines()
    assert kept[-1] == "line 300"
    assert 120 < len(kept) < 300
    assert sorted(p.name for p in tmp_path.iterdir()) == ["logs"]


def test_what_docker_cannot_give_does_not_take_away_what_was_kept(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "4.log").write_text("kept before\n")
    words = "docker() { [ $1 = inspect ] && echo test/r0; }; keep"
    shell(tmp_path, f"RUNTIME=docker\n. {HERE}/runtime.sh\n{words}")
    assert (tmp_path / "logs" / "4.log").read_text() == "kept before\n"
    shell(tmp_path, f"RUNTIME=docker\n. {HERE}/runtime.sh\ndocker() {{ [ $1 = logs ] && echo more || echo test/r0; }}; keep")
    assert (tmp_path / "logs" / "4.log").read_text() == "more\n"
    shell(tmp_path, f"RUNTIME=docker\n. {HERE}/runtime.sh\ndocker() {{ [ $1 = logs ] && echo theirs || echo other/r0; }}; keep")
    assert (tmp_path / "logs" / "4.log").read_text() == "more\n", "a container of this name that is not ours"
