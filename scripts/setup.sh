#!/bin/sh
# setup.sh PYTHON VENV: a virtual environment with everything scmrl can use.
# Order matters: torch first and pinned, so that nothing after it pulls another build of it (norse names torchvision,
# lava-nc names old numpy and Python 3.10 alone; both run without, so they come without their dependencies).
set -eu
python=$1
venv=$2
torch=${SCMRL_TORCH:-torch==2.13.0}

"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "scmrl needs Python 3.10 to 3.13; $("$python" --version) is given. Try: make PYTHON=python3.11 $*" >&2
    exit 1
}
echo "setting up $venv ($("$python" --version)); this takes a few minutes once" >&2
"$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install "$torch"
$pip install --no-deps norse==1.1.0 nirtorch==2.6
$pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0
$pip install --editable ".[train,deploy,onnx,sweep,test]"
# Simulators that the NIR exchange is tested with; spikingjelly needs Python 3.11. NeuroBench names torchaudio; its metrics
# run without.
$pip install --no-deps snntorch==1.0.0 sinabs==3.1.3 pbr neurobench==2.3.0
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && $pip install --no-deps spikingjelly==2.0.0 loguru
exit 0
