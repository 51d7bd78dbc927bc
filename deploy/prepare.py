"""Bare nodes to ready nodes: host settings, Docker, image, weights. Again: nothing to do.

pyinfra INVENTORY deploy/prepare.py [-y|--dry] [--diff] [--data restart_docker=true] [--data takeover=true]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.docker import role as docker
from roles.firewall import role as firewall
from roles.image import role as image
from roles.preflight import role as preflight
from roles.proxy import role as proxy
from roles.run import start
from roles.tuning import role as tuning
from roles.venv import role as venv
from roles.weights import role as weights

run = start.verb("prepare")

preflight.see(run)
preflight.gate(run)
tuning.tune(run)
docker.engine(run)
image.pull(run)
venv.environment(run)
weights.fetch(run)
proxy.place(run)
firewall.close(run)
preflight.again(run, PARSE=1)
