"""From bare nodes to a proven endpoint: check, prepare, start in order, prove.

pyinfra INVENTORY deploy/serve.py [-y|--dry] [--data soak=10m] [--data rolling=1] [--data rollback=auto|ask|never|now] [--data keep=true]
    [--data takeover=true] [--data forget=NODE]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.docker import role as docker
from roles.doctor import role as doctor
from roles.firewall import role as firewall
from roles.image import role as image
from roles.preflight import role as preflight
from roles.proxy import role as proxy
from roles.run import start
from roles.serve import role as serve
from roles.tuning import role as tuning
from roles.venv import role as venv
from roles.verify import role as verify
from roles.weights import role as weights

run = start.verb("serve")
run.on_failure = doctor.ending

preflight.see(run)
serve.whole(run)

if not serve.goes_back(run):
    preflight.gate(run)
    verify.pulse(run)

    tuning.tune(run)
    docker.engine(run)
    image.pull(run)
    venv.environment(run)
    weights.fetch(run)
    proxy.place(run)
    firewall.close(run)
    preflight.again(run, begins=serve.begins, PARSE="beside")

serve.start(run, prove=verify.prove, on_failure=doctor.verdict)
