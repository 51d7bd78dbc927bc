"""How fast is what runs? The recipe's benchmarks, beside the page's results and our own earlier ones. Changes nothing.

pyinfra INVENTORY deploy/bench.py [--data scenario=NAME,...] [--data sweep=1,4,16]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from roles.bench import role as bench
from roles.run import start
from roles.verify import role as verify

start.verb("bench").end(lambda run: bench.bench(run, pulse=verify.short))
