"""Compiles CUDA sources with the real NVRTC, for real GPU architectures. No GPU or driver needed.

    nvrtc_check.py FILE.cu ...         registers, shared memory and spills of every kernel
    nvrtc_check.py --dump DIR          sources recorded by dump_plugin.py

Options: --arch 80 --arch 90 ...   architectures (default 75 80 86 90 100 120; --dump: 80)
         -DNAME=VALUE, -IDIR, -O.. passed to the compiler
         --name 'f<float, 64>'     name expression of a template instance (repeatable)

Exit status 1 if anything does not compile. Needs `setup.sh --nvrtc`; any python3 can start it.
"""
import glob
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ARCHS = [75, 80, 86, 90, 100, 120]


def home():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
    return os.environ.get("EMULATED_GPU_HOME") or os.path.join(os.path.abspath(root), ".emulated_gpu")


def restart_in_nvrtc_venv():
    python = os.path.join(home(), "venv-nvrtc", "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(os.path.dirname(os.path.dirname(python))):
        return
    if not os.path.exists(python):
        sys.exit("nvrtc_check: no NVRTC environment; run setup.sh --nvrtc first")
    env = {k: v for k, v in os.environ.items()
           if k not in ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "ROCM_HOME", "VIRTUAL_ENV")}
    os.execve(python, [python, "-B", os.path.abspath(__file__), *sys.argv[1:]], env)


def include_options():
    """CuPy's own headers, and the CUDA headers from the NVIDIA packages."""
    import importlib.util

    import cupy
    core = os.path.join(os.path.dirname(cupy.__file__), "_core", "include")
    folders = [os.path.join(core, "cupy", "_cccl", d) for d in ("cub", "thrust", "libcudacxx")]
    folders.append(core)
    for root in importlib.util.find_spec("nvidia").submodule_search_locations:
        folders += [os.path.join(root, "cu13", "include"),
                    os.path.join(root, "cu13", "include", "cccl")]
    return ["-I" + d for d in folders if os.path.isdir(d)]


def compile_source(source, name, arch, options=(), name_expressions=(), includes=()):
    """Returns (cubin, compiler log). The options are those that CuPy uses on a CUDA device."""
    from cupy.cuda import compiler
    log = io.StringIO()
    program = compiler._NVRTCProgram(source, name, name_expressions=tuple(name_expressions) or None,
                                     method="cubin")
    cubin, _ = program.compile(
        (*options, *includes, "-ftz=true", "--device-as-default-execution-space",
         "--ptxas-options=-v", f"-arch=sm_{arch}"), log_stream=log)
    return cubin, log.getvalue()


def demangle(name):
    if name.startswith("_Z") and shutil.which("c++filt"):
        text = subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip()
        return re.sub(r"^void |\(.*", "", text)
    return name


def kernel_usage(log):
    """[(kernel, registers, shared bytes, stack bytes, spill stores, spill loads)] from ptxas -v"""
    usage = []
    for part in re.split(r"Compiling entry function ", log)[1:]:
        def number(pattern):
            m = re.search(pattern, part)
            return int(m.group(1)) if m else 0
        usage.append((demangle(re.match(r"'([^']+)'", part).group(1)), number(r"Used (\d+) registers"),
                      number(r"(\d+) bytes smem"), number(r"(\d+) bytes stack frame"),
                      number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes spill loads")))
    return sorted(usage)


def check_files(files, archs, options, names, includes):
    failures = 0
    header = f"{'kernel':32s} {'arch':>7s} registers  shared  stack  spill st/ld"
    for path in files:
        with open(path) as f:
            source = f.read()
        print(path)
        local = [*options, "-I" + os.path.dirname(os.path.abspath(path))]
        if not any("std=" in o for o in options):
            local.append("--std=c++17")
        rows = []
        for arch in archs:
            t = time.time()
            try:
                cubin, log = compile_source(source, os.path.basename(path), arch, local, names, includes)
            except Exception as e:
                failures += 1
                print(f"sm_{arch}: FAILED\n{e}")
                continue
            rows += [(u, arch) for u in kernel_usage(log)]
            print(f"sm_{arch}: {len(cubin)} bytes of code in {time.time() - t:.2f} s")
        rows.sort(key=lambda r: (r[0][0], r[1]))
        print(header if rows else "no kernels (templates need --name)")
        for (kernel, registers, shared, stack, stores, loads), arch in rows:
            print(f"{kernel:32s} {'sm_%d' % arch:>7s} {registers:9d} {shared:7d} {stack:6d} "
                  f"{'%d/%d' % (stores, loads):>12s}")
    return failures


def mark_of(*what):
    """A file that is there once this has compiled, so that it need not again."""
    from cupy.cuda import nvrtc

    key = hashlib.sha256(json.dumps([nvrtc.getVersion(), *what]).encode()).hexdigest()
    return pathlib.Path(home(), "compiled", key)


def check_dump(folder, archs, includes):
    os.makedirs(os.path.join(home(), "compiled"), exist_ok=True)
    failures, files, t = 0, sorted(glob.glob(os.path.join(folder, "*.json"))), time.time()
    for path in files:
        with open(path) as f:
            d = json.load(f)
        source = d["source"].replace("#include <cupy/hip_workaround.cuh>", "")   # ROCm only
        # Options of the ROCm build, and the one that makes cupyx.jit sources fit for nvcc only.
        options = [o for o in d["options"] if not re.match(r"--?(std|fcuda)|-DCUPY_JIT_NVCC", o)]
        options.append("--std=c++17")
        for arch in archs:
            mark = mark_of(source, arch, options, d["name_expressions"])
            if mark.exists():
                continue
            try:
                compile_source(source, "k.cu", arch, options, d["name_expressions"], includes)
                mark.touch()
            except Exception as e:
                failures += 1
                print(f"FAILED {path} sm_{arch}: {str(e)[:500]}")
    print(f"{len(files)} recorded sources for {', '.join('sm_%d' % a for a in archs)}: "
          f"{failures} failures, {time.time() - t:.1f} s")
    return failures + (not files)


def main(argv):
    files, dumps, archs, names, options = [], [], [], [], []
    args = iter(argv)
    for a in args:
        if a == "--dump":
            dumps.append(next(args))
        elif a == "--arch":
            archs.append(int(next(args)))
        elif a == "--name":
            names.append(next(args))
        elif a in ("-h", "--help"):
            print(__doc__)
            return 0
        elif a.startswith("-"):
            options.append(a)
        else:
            files.append(a)
    if not files and not dumps:
        print(__doc__)
        return 2
    restart_in_nvrtc_venv()
    from cupy.cuda import nvrtc
    print("NVRTC %d.%d" % nvrtc.getVersion())
    includes = include_options()
    failures = check_files(files, archs or ARCHS, options, names, includes)
    for folder in dumps:
        failures += check_dump(folder, archs or [80], includes)
    print("OK" if not failures else f"{failures} FAILED")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
