"""From a hub, by its own command line: listed first, resumed after a break, and hashed before anything is shown."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from roles.weights.courier import listing
from roles.weights.courier.listing import Listed
from roles.weights.courier.shelf import Shelf
from roles.weights.courier.talk import Trouble
from roles.weights.manifest import PART, matters, shard

CLIENTS = {"huggingface": ("hf", "huggingface-cli"), "modelscope": ("modelscope", "ms")}
TRIES = 5
STALL = 120.0
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Download:
    """One repository into one folder."""

    def __init__(self, shelf: Shelf, hub: str, repo: str, endpoint: str, proxy: str, token: str, image: str) -> None:
        self.shelf, self.hub, self.repo, self.endpoint, self.token, self.image = shelf, hub, repo, endpoint, token, image
        self.folder = shelf.folder / PART / "hub"
        self.env = environment(hub, endpoint, proxy, token)
        self.proxy = proxy
        self.said: deque[str] = deque(maxlen=30)
        self.child: subprocess.Popen[str] | None = None
        self.wrong: dict[str, int] = {}
        self.looked: dict[str, tuple[int, int]] = {}
        self.left: dict[str, Listed] = {}
        self.commit = ""

    def run(self) -> None:
        client = next((found for found in map(shutil.which, CLIENTS[self.hub]) if found), None)
        if client is None:
            raise Trouble(f"{self.image} has no {CLIENTS[self.hub][0]}, the command line of {self.hub}; download to one node by hand")
        files, self.commit = listing.listed(self.hub, self.repo, self.endpoint, self.token, self.proxy)
        wanted = [f for f in files if matters(f.name)]
        if not wanted:
            raise Trouble(f"{self.repo} is empty")
        source = f"{self.hub} {self.repo}@{self.commit}"
        self.shelf.note(source, len(wanted))
        self.shelf.talk.say("listing", files=[[f.name, f.size] for f in wanted], source=source)
        self.left = {f.name: f for f in wanted if not self._there(f)}
        self._room()
        tries = 0
        while self.left:
            before = self._arrived()
            self._once(client)
            if not self.left:
                break
            tries = 0 if self._arrived() > before else tries + 1
            if any("No space left" in line for line in self.said):
                raise Trouble(f"no space left in {self.shelf.folder}")
            if tries >= TRIES:
                raise Trouble(f"{', '.join(sorted(self.left)[:3])} did not come from {self.hub}: {self._last()}")
            self.shelf.talk.say("again", why=f"{len(self.left)} files have not come yet: {self._last()}")
            time.sleep(min(2**tries, 30))
        self.shelf.talk.say("downloaded")

    def stop(self) -> None:
        child = self.child
        if child and child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)

    def _there(self, file: Listed) -> bool:
        """A file that is there stays: a shard must be the hub's, others may have been edited."""
        path = self.shelf.folder / file.name
        if not path.is_file():
            return False
        row = self.shelf.rows.get(file.name)
        size = path.stat().st_size
        if shard(file.name) and size < file.size:
            return False
        sha = row.sha256 if row else self.shelf.digest(path, counted=False)
        if shard(file.name) and not file.matches(path, size, sha):
            raise Trouble(f"{file.name} is another file than {self.repo} has; remove it, or copy the right one there")
        self.shelf.keep(file.name, sha)
        self.shelf.add(0 if row else size)
        return True

    def _room(self) -> None:
        need = sum(f.size for f in self.left.values()) - self._arrived()
        free = self.shelf.free()
        if need > free:
            raise Trouble(f"no space: {need / 1e9:.1f} GB missing in {self.shelf.folder}, {free / 1e9:.1f} GB free")

    def _once(self, client: str) -> None:
        """The client, watched: whatever it finished is hashed and shown while it goes on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [client, *arguments(self.hub, self.repo, self.folder, sorted(self.left), self.commit)]
        self.child = subprocess.Popen(  # noqa: S603 - the hub's own client, no shell
            argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=self._listen, args=(self.child,), daemon=True)
        reader.start()
        last, since = -1, time.monotonic()
        while self.child.poll() is None:
            self._settle(ended=False)
            self.shelf.live = self._arrived()
            if self.shelf.live != last:
                last, since = self.shelf.live, time.monotonic()
            elif time.monotonic() - since > STALL:
                self.said.append(f"no byte came for {STALL:.0f} s")
                self.stop()
            time.sleep(0.5)
        reader.join(5)
        self._settle(ended=True)
        self.shelf.live = self._arrived()

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            text = COLOURS.sub("", line).strip()
            if text:
                self.said.append(text.replace(self.token, "***") if self.token else text)

    def _last(self) -> str:
        """The client's last word that sounds like a reason."""
        reasons = [
            s for s in self.said if re.search(r"error|denied|refused|no space|not found|status|resolve|quota|HTTP", s, re.IGNORECASE)
        ]
        return (reasons or list(self.said) or ["it said nothing"])[-1][:300]

    def _settle(self, ended: bool) -> None:
        for name, file in list(self.left.items()):
            path = self.folder / name
            try:
                found = path.stat()
            except OSError:
                continue
            state = (found.st_size, found.st_mtime_ns)
            if found.st_size != file.size or (self.looked.get(name) == state and not ended):
                continue
            self.looked[name] = state
            sha = self.shelf.digest(path, counted=False)
            if file.matches(path, found.st_size, sha):
                self._show(path, file, sha)
            elif ended:
                self._again(path, name)

    def _show(self, path: Path, file: Listed, sha: str) -> None:
        """A second name for it, so that the client finds its own files as it left them."""
        try:
            self.shelf.adopt(path, file.name, sha, linked=True)
        except OSError as e:
            if self.child and self.child.poll() is None:
                return  # a file system without hard links: renamed when the client has ended
            if not path.exists():
                raise Trouble(f"{file.name} cannot be put in its place ({e.strerror})") from None
            self.shelf.adopt(path, file.name, sha)
        del self.left[file.name]
        self.shelf.add(file.size)

    def _again(self, path: Path, name: str) -> None:
        path.unlink()
        self.wrong[name] = self.wrong.get(name, 0) + 1
        self.said.append(f"{name} came with another hash than the hub lists")
        if self.wrong[name] > 1:
            raise Trouble(f"{name} came twice with another hash than {self.hub} lists for it; try another hub_endpoint")

    def _arrived(self) -> int:
        """Bytes of files that are not shown yet, whatever names the client gives them meanwhile."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.folder) in self.left or ".incomplete" in name or "_____temp" in folder:
                    try:
                        total += os.stat(path).st_blocks * 512 if ".incomplete" in name else os.path.getsize(path)
                    except OSError:
                        continue
        return total


def arguments(hub: str, repo: str, folder: Path, names: list[str], commit: str) -> list[str]:
    """Named files only: what is there already is not asked for. Old and new releases of both clients take these."""
    if hub == "huggingface":
        return ["download", repo, *names, "--revision", commit, "--local-dir", str(folder)]
    return ["download", "--model", repo, "--local_dir", str(folder), "--include", *names]


def environment(hub: str, endpoint: str, proxy: str, token: str) -> dict[str, str]:
    """The client's own: plain HTTP with Range instead of Xet, whose downloads do not resume and know no mirror."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "MODELSCOPE_"))}
    env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_COLOR": "1"}
    env |= {"MODELSCOPE_NO_DEPRECATION_WARNINGS": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    if proxy:
        env |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "http_proxy": proxy, "https_proxy": proxy}
    if endpoint:
        host = endpoint.split("://", 1)[1]
        env |= {"HF_ENDPOINT": endpoint} if hub == "huggingface" else {"MODELSCOPE_ENDPOINT": endpoint, "MODELSCOPE_DOMAIN": host}
    if token:
        env |= {"HF_TOKEN": token} if hub == "huggingface" else {"MODELSCOPE_API_TOKEN": token}
    return env
