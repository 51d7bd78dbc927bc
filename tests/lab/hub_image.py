"""An image that holds what an engine's image has for weights, Python and both hubs' command lines, and is pulled in seconds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.lab.engine import build
from tests.lab.engine.wheels import wheels
from tests.lab.image import digest, have_image, make_base
from tests.lab.place import Place, Step, docker, locked

NAME = "bringup/hub-clients:v1"
REFERENCE = f"registry.lab:5000/{NAME}"
PACKAGES = (
    *("huggingface_hub", "modelscope_hub", "httpx2", "httpcore2", "h11", "anyio", "sniffio", "idna", "certifi", "truststore", "click"),
    *("filelock", "fsspec", "packaging", "pyyaml", "tqdm", "typing_extensions", "requests", "urllib3", "charset_normalizer"),
    *("cryptography", "cffi", "pycparser", "agent_detector", "typer", "rich", "shellingham", "pygments", "markdown_it_py", "mdurl"),
    "annotated_doc",
)
REPO = "bringup-lab/MiniMax-M2-lab"
"""What the lab's hub calls the lab's model."""
FILE = """\
ARG BASE
FROM ${BASE}
COPY wheels /wheels
RUN python3 -m venv --without-pip /opt/engine && cd /opt/engine/lib/python3.11/site-packages \
 && for w in /wheels/*.whl; do python3 -m zipfile -e "$w" .; done \
 && printf '#!/opt/engine/bin/python3\\nfrom huggingface_hub.cli.hf import main\\nmain()\\n' > /opt/engine/bin/hf \
 && printf '#!/opt/engine/bin/python3\\nfrom modelscope_hub.cli.main import run_cmd\\nrun_cmd()\\n' > /opt/engine/bin/modelscope \
 && chmod 755 /opt/engine/bin/hf /opt/engine/bin/modelscope && rm -rf /wheels \
 && /opt/engine/bin/hf version && /opt/engine/bin/modelscope --help >/dev/null
ENV PATH=/opt/engine/bin:/usr/bin:/bin
"""


def hub_image(place: Place) -> str:
    """The reference in the nodes; what exists is neither built nor pushed again."""
    made = f"bringup-lab-hub:{digest(build.base_image(), FILE, *PACKAGES)}"
    pushed = f"{place.registry}/{NAME}"
    with locked(place.cache / "engine" / "lock"):
        if not have_image(place, made):
            _make(place, made)
        docker(place, "tag", made, pushed)
        docker(place, "push", "-q", pushed)
    return REFERENCE


def _make(place: Place, image: str) -> None:
    base = build.base_image()
    if not have_image(place, base):
        make_base(place, base, build.base_packages())
    found = {p.name.partition("-")[0].lower(): p for p in wheels(place).glob("*.whl")}
    with tempfile.TemporaryDirectory() as work, Step("building the image of the hubs' clients"):
        (Path(work) / "wheels").mkdir()
        for name in PACKAGES:
            if name in found:
                shutil.copy(found[name], Path(work) / "wheels")
        (Path(work) / "Dockerfile").write_text(FILE)
        docker(place, "build", "-q", "--network=none", "--build-arg", f"BASE={base}", "-t", image, work)
