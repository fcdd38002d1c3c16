# Sourced by setup.sh and run.sh, with $here set to this folder. Defines where things are.
: "${EMULATED_GPU_HOME:=$(CDPATH= cd -- "$here/../../.." && pwd -P)/.emulated_gpu}"
case $EMULATED_GPU_HOME in /*) ;; *) EMULATED_GPU_HOME=$PWD/$EMULATED_GPU_HOME ;; esac
: "${EMULATED_GPU_CXX:=g++}"
: "${EMULATED_GPU_PYTHON:=python3}"
export EMULATED_GPU_HOME EMULATED_GPU_CXX

venv=$EMULATED_GPU_HOME/venv
venv_nvrtc=$EMULATED_GPU_HOME/venv-nvrtc
stamp=.emulated_gpu_stamp

die() { echo "emulated_gpu: $*" >&2; exit 1; }

hash_of() { sha256sum | cut -c1-16; }

# Keys of what is built: they change with the sources, the compiler and the CuPy wheel.
set_keys() {
    base=$("$EMULATED_GPU_CXX" --version | head -n 1)
    base="$base $(cat "$venv/$stamp" 2>/dev/null)"
    lib_key=$({ echo "$base"; cat "$here"/fakehip/*.cpp "$here"/fakehip/*.h \
        "$here/fakehip/build.py" "$here/fakehip/rocm/include/cuda_fp16.h"; } | hash_of)
    kernel_key=$({ echo "$lib_key"; cat "$here/cuda_host_shim.h" "$here/cuda_source.py" \
        "$here/shared_memory.ld" "$here"/fakehip/host*.py "$here"/fakehip/hip*.py
        find "$here/fakehip/rocm" -type f -print0 | LC_ALL=C sort -z | xargs -0 cat; } | hash_of)
    lib_dir=$EMULATED_GPU_HOME/lib-$lib_key
}
