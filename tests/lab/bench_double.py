"""A stand-in for vLLM's own benchmark client, put into a running double, which has none: real requests with the key, a result file."""

from __future__ import annotations

from tests.lab.place import Place, docker

PROGRAM = "/opt/double/vllm"
CLIENT = """\
#!/usr/bin/python3 -I
import json, os, sys, time, urllib.request
words = sys.argv[1:]
if words[:2] != ["bench", "serve"]:
    os.execv("/usr/bin/python3", ["python3", "/opt/double/main.py", "vllm", *words])
print("double: not vllm bench serve, but its stand-in for tests", file=sys.stderr, flush=True)
asked = {w[2:]: v for w, v in zip(words, [*words[1:], "--"]) if w.startswith("--")}
url = f"http://{asked['host']}:{asked['port']}{asked['endpoint']}"
body = json.dumps({"model": asked["model"], "prompt": "Hi", "max_tokens": 4}).encode()
headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "")}
print("Starting main benchmark run...", flush=True)
began, failed, count = time.monotonic(), 0, int(asked["num-prompts"])
for number in range(count):
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30).read()
    except OSError as e:
        print(f"Error {number}: {e}", flush=True)
        failed += 1
took = max(time.monotonic() - began, 1e-3)
each = 1000 * took / count
found = {"completed": count - failed, "failed": failed, "duration": took, "output_throughput": 4 * count / took}
found |= {"mean_ttft_ms": each / 2, "median_ttft_ms": each / 2, "mean_tpot_ms": each / 8, "median_tpot_ms": each / 8}
with open(os.path.join(asked["result-dir"], asked["result-filename"]), "w") as file:
    json.dump(found, file)
print("============ Serving Benchmark Result ============", flush=True)
"""


def put(place: Place, node: str, container: str) -> None:
    """Into this container alone: the next start of the engine has it no more."""
    script = f"rm -f {PROGRAM} && cat >{PROGRAM} && chmod 755 {PROGRAM}"
    docker(place, "exec", "-i", node, "docker", "exec", "-i", container, "sh", "-c", script, text=CLIENT)
