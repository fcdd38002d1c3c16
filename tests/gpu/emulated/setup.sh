#!/bin/sh
# Builds the environment of the emulated GPU. Repeat it at will: finished steps are skipped.
#
#   setup.sh           virtual environment with CuPy, and the emulated ROCm libraries
#   setup.sh --nvrtc   also the second virtual environment, for nvrtc_check.py
#   setup.sh --libs    only rebuild the libraries (run.sh does this after a source was edited)
#
# Everything goes to $EMULATED_GPU_HOME (default: .emulated_gpu in the project). Other settings:
# EMULATED_GPU_PYTHON (default python3), EMULATED_GPU_CXX (default g++).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
. "$here/env.sh"

want_venv=1 want_nvrtc=0
for arg in "$@"; do
    case $arg in
    --nvrtc) want_nvrtc=1 ;;
    --libs) want_venv=0 ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $arg (see setup.sh --help)" ;;
    esac
done

[ "$(uname -sm)" = "Linux x86_64" ] || die "needs Linux on x86-64, this is $(uname -sm)"
command -v "$EMULATED_GPU_CXX" >/dev/null 2>&1 ||
    die "$EMULATED_GPU_CXX not found. Install a C++ compiler (Debian, Ubuntu: apt-get install g++)" \
        "or name one in EMULATED_GPU_CXX."
for tool in gcc nm readelf sha256sum; do
    command -v "$tool" >/dev/null 2>&1 || die "$tool not found (it comes with gcc, binutils or coreutils)"
done
command -v "$EMULATED_GPU_PYTHON" >/dev/null 2>&1 ||
    die "$EMULATED_GPU_PYTHON not found; name an interpreter in EMULATED_GPU_PYTHON"

mkdir -p "$EMULATED_GPU_HOME"
if command -v flock >/dev/null 2>&1; then   # one setup at a time
    exec 9>"$EMULATED_GPU_HOME/lock"
    flock 9
fi

began=$(date +%s)
step() { # step NAME COMMAND...
    name=$1
    shift
    t=$(date +%s)
    "$@"
    echo "$name: $(($(date +%s) - t)) s"
}

make_venv() { # make_venv DIR REQUIREMENTS
    wanted="$(hash_of <"$here/$2") $("$EMULATED_GPU_PYTHON" -V)"
    [ "$(cat "$1/$stamp" 2>/dev/null)" = "$wanted" ] && return
    "$EMULATED_GPU_PYTHON" -m venv --clear "$1" ||
        die "python -m venv failed (Debian, Ubuntu: apt-get install python3-venv)"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        -r "$here/$2" || die "pip install -r $2 failed"
    echo "$wanted" >"$1/$stamp"
}

make_libs() {
    [ -e "$lib_dir/libamdhip64.so.7" ] && return
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    part=$lib_dir.part
    rm -rf "$part"
    "$venv/bin/python" -B "$here/fakehip/build.py" "$site" "$part" || die "building the libraries failed"
    mv "$part" "$lib_dir"
}

if [ $want_venv = 1 ]; then
    step "virtual environment" make_venv "$venv" requirements.txt
    if [ $want_nvrtc = 1 ]; then
        step "virtual environment for NVRTC" make_venv "$venv_nvrtc" requirements-nvrtc.txt
    fi
fi
[ -e "$venv/$stamp" ] || die "no virtual environment yet; run setup.sh first"
set_keys
step "emulated libraries" make_libs
echo "ready in $(($(date +%s) - began)) s: $EMULATED_GPU_HOME"
