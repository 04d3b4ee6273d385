#!/bin/sh
# setup.sh PYTHON VENV [LOCK]: a virtual environment with everything scmrl can use, at the versions of the file LOCK
# (default: locks/pythonX.Y.txt). LOCK "newest" takes the newest versions that pyproject.toml admits instead.
# Order matters: torch first and pinned, so that nothing after it pulls another build of it (norse names torchvision,
# lava-nc names old numpy and Python 3.10 alone; both run without, so they come without their dependencies).
set -eu
python=$1
venv=$2
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
lock=${3:-locks/python$version.txt}
torch=${SCMRL_TORCH:-torch==2.13.0}

case $version in
3.10 | 3.11 | 3.12 | 3.13) ;;
*)
    echo "scmrl needs Python 3.10 to 3.13; $("$python" --version) is given. Try: make PYTHON=python3.11 ..." >&2
    exit 1
    ;;
esac
if [ "$lock" != newest ] && [ ! -f "$lock" ]; then
    echo "no file of versions $lock; make lock writes it" >&2
    exit 1
fi
echo "setting up $venv ($("$python" --version), versions: $lock); this takes a few minutes once" >&2
"$python" -m venv "$venv"

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# with_version NAME...: NAME==VERSION as the lock has it, or NAME alone.
with_version() {
    for name in "$@"; do
        if [ "$lock" = newest ]; then echo "$name"; else grep -i "^$name==" "$lock" ||
            { echo "$lock has no version of $name; make lock writes it anew" >&2; exit 1; }; fi
    done
}

constrained=""
[ "$lock" = newest ] || constrained="--constraint $lock"

pip install --quiet "$torch"
pip install --quiet $constrained setuptools
pip install --quiet --no-deps $(with_version norse nirtorch)
pip install --quiet --no-deps --ignore-requires-python $(with_version lava-nc lava-dl)
pip install --quiet $constrained --no-build-isolation --editable ".[torch,train,video,deploy,onnx,sweep,test]"
# What the tests compare with: simulators of the NIR exchange (spikingjelly needs Python 3.11), NeuroBench's metrics (it
# names torchaudio and runs without), tonic's readers of events.
pip install --quiet --no-deps $(with_version snntorch sinabs pbr neurobench tonic importrosbag)
[ "$version" = 3.10 ] || pip install --quiet --no-deps $(with_version spikingjelly loguru)
