"""Translates CUDA C++ source and compiles it with g++ and cuda_host_shim.h.

Used by hostcuda.py (kernels on NumPy buffers) and by fakehip/hostcc.py (the JIT compiler that
CuPy sees). It must stay quick to import: hostcc.py runs once per compiled kernel.
"""
import hashlib
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SHIM = os.path.join(HERE, "cuda_host_shim.h")
INCLUDE = os.path.join(HERE, "fakehip", "rocm", "include")
CXX = os.environ.get("EMULATED_GPU_CXX", "g++")

# -ffp-contract=off: no silent fused multiply-add, so a*b+c rounds twice unless fma() is written.
# -fno-gnu-unique, -Bsymbolic: two loaded modules never share a template's static variables.
BASE_FLAGS = ["-std=c++17", "-ffp-contract=off", "-fno-strict-aliasing", "-fPIC", "-w",
              "-fno-gnu-unique", "-I" + INCLUDE]
# shared_memory.ld brings the shared variables of templates to the others.
LINK_FLAGS = ["-shared", "-Wl,-Bsymbolic", "-T", os.path.join(HERE, "shared_memory.ld")]
BOUNDS_FLAGS = ["-DCUH_CHECK_BOUNDS", "-fsanitize=bounds"]

_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.S)
_ALIGN = r'(?:(?:__align__|alignas)\s*\([^)]*\)\s*)?'
_DYNAMIC_SHARED = re.compile(r'extern\s+' + _ALIGN + r'__shared__\s+' + _ALIGN +
                             r'([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;')
_MARK = r'(?:__global__|__attribute__\s*\(\(__cuh_global__\)\))'
_BOUNDS = r'(?:__launch_bounds__\s*\((?:[^()]|\([^()]*\))*\)\s*)?'
_KERNEL = re.compile(
    r'(template\s*<[^;{}]*?>\s*)?'                   # 1: template header
    r'(extern\s+"C"\s+)?'                            # 2: C linkage
    r'(?:(?:static|inline)\s+)*' + _BOUNDS + _MARK + r'\s*' + _BOUNDS +
    r'(?:(?:static|inline)\s+)*void\s+' + _BOUNDS + r'(\w+)\s*\(')   # 3: name
_EXTERN_BLOCK = re.compile(r'extern\s+"C"\s*\{')


def home():
    """The folder for everything that is built or downloaded."""
    return os.environ.get("EMULATED_GPU_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "emulated_gpu")


def strip_comments(source):
    """The source with comments blanked out; positions stay the same."""
    return _COMMENT.sub(lambda m: re.sub(r'[^\n]', ' ', m.group()), source)


def _dynamic_shared_to_pointer(source):
    """extern __shared__ T buf[];  ->  a pointer to the launch's dynamic shared memory."""
    text = strip_comments(source)

    def at_file_scope(pos):
        open_braces = []     # for each: does it leave us at file scope?
        for m in re.finditer(r'(extern\s+"C"\s*|namespace\s*\w*\s*)?\{|\}', text[:pos]):
            if m.group() != '}':
                open_braces.append(bool(m.group(1)))
            elif open_braces:
                open_braces.pop()
        return all(open_braces)

    def replace(m):
        if at_file_scope(m.start()):     # the pointer is only set at a launch: refer to it
            return f'static {m.group(1)}*& {m.group(2)} = ({m.group(1)}*&)cuh::dyn;'
        return f'{m.group(1)}* {m.group(2)} = ({m.group(1)}*)cuh::dyn;'
    return _DYNAMIC_SHARED.sub(replace, source)


def _extern_c_ranges(source):
    """Character ranges of the bodies of extern "C" { ... } blocks."""
    ranges = []
    for m in _EXTERN_BLOCK.finditer(source):
        depth, i = 1, m.end()
        while i < len(source) and depth:
            depth += {'{': 1, '}': -1}.get(source[i], 0)
            i += 1
        ranges.append((m.end(), i))
    return ranges


def _needs_preprocessing(source):
    # Kernels inside #if ... or stamped out by a macro are only visible after preprocessing.
    return bool(re.search(r'^\s*#\s*if', source, re.M)
                or re.search(r'#\s*define(?:[^\n]*\\\n)*[^\n]*__global__', source))


def preprocess(source, options):
    """The source with the user's #includes, macros and conditionals resolved, or None."""
    marks = ["-D__global__=__attribute__((__cuh_global__))", "-D__CUDA_HOST_SHIM__=1",
             "-D__CUDACC_VER_MAJOR__=13", "-D__CUDACC_VER_MINOR__=0"]   # as the shim has them
    r = subprocess.run([CXX, "-E", "-P", *BASE_FLAGS, *marks, *options, "-x", "c++", "-"],
                       input=source, capture_output=True, text=True)
    return r.stdout if r.returncode == 0 else None


def kernel_names(source, options=()):
    """Names of the kernels with C linkage: the ones CuPy's get_function(name) would find."""
    text = strip_comments(source)
    if _needs_preprocessing(text):
        text = preprocess(source, options) or text
    blocks = _extern_c_ranges(text)
    names = []
    for m in _KERNEL.finditer(text):
        c_linkage = m.group(2) or any(a <= m.start() < b for a, b in blocks)
        if not m.group(1) and c_linkage:
            names.append(m.group(3))
    return list(dict.fromkeys(names))


def prepare(source, name_expressions=(), options=()):
    """Returns (host source, kernel names, {name expression: exported name})."""
    names = kernel_names(source, options)
    body = _dynamic_shared_to_pointer(source)
    lowered = {e: f"cuhx_{i}" for i, e in enumerate(name_expressions)}
    exports = [f"CUH_EXPORT({n},{n})" for n in names]
    exports += [f"CUH_EXPORT({low},({expr}))" for expr, low in lowered.items()]
    return body + "\n" + "\n".join(exports) + "\n", names, lowered


def user_options(options):
    """The compiler options that also mean something to g++: -D, -U and -I."""
    out, take_next = [], False
    for o in options:
        if take_next:
            out.append(o)
            take_next = False
        elif o in ("-D", "-I", "-U"):
            out.append(o)
            take_next = True
        elif o[:2] in ("-D", "-I", "-U"):
            out.append(o)
        elif o.startswith("--define-macro="):
            out.append("-D" + o.split("=", 1)[1])
        elif o.startswith("--include-path="):
            out.append("-I" + o.split("=", 1)[1])
    return out


def _precompiled_header(flags, extra):
    """Path of a copy of the shim (plus the lines `extra`) with a precompiled twin beside it.

    Keyed by the shim's text, the flags and the compiler, so an edit of the shim leads to a new
    one. g++ falls back to the plain header by itself where the twin does not fit.
    """
    with open(SHIM) as f:
        text = f.read() + extra
    key = hashlib.sha256("\0".join([text, compiler_version(), *flags]).encode()).hexdigest()[:16]
    folder = os.path.join(home(), "pch", key)
    header = os.path.join(folder, "shim.h")
    if os.path.exists(header):
        return header
    part = f"{folder}.{os.getpid()}"
    os.makedirs(part, exist_ok=True)
    with open(os.path.join(part, "shim.h"), "w") as f:
        f.write(text)
    subprocess.run([CXX, *flags, "-x", "c++-header", os.path.join(part, "shim.h"), "-o",
                    os.path.join(part, "shim.h.gch")], capture_output=True)
    try:
        os.rename(part, folder)
    except OSError:
        shutil.rmtree(part)   # another process was faster
    return header


_version = None


def compiler_version():
    global _version
    if _version is None:
        try:
            _version = subprocess.run([CXX, "--version"], capture_output=True,
                                      text=True).stdout.split("\n")[0]
        except FileNotFoundError:
            raise RuntimeError(f"{CXX} not found: a C++ compiler is needed") from None
    return _version


def compile_so(path, out, opt="-O2", options=(), bounds=False, header_flags=(), header_extra=""):
    """Compiles prepared source into a shared library. Returns (ok, compiler output).

    header_flags and header_extra go into the precompiled header: flags that every source of a
    kind shares, and lines to append to the shim.
    """
    flags = [*BASE_FLAGS, opt, *(BOUNDS_FLAGS if bounds else ()), *header_flags]
    header = _precompiled_header(flags, header_extra)
    obj, log = out + ".o", ""
    # Two steps, because linking with -fsanitize would pull in a runtime that is not needed.
    for command in ([CXX, *flags, *options, "-x", "c++", "-include", header, "-c", path, "-o", obj],
                    [CXX, *LINK_FLAGS, obj, "-o", out]):
        r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        log += r.stdout
        if r.returncode:
            break
    if os.path.exists(obj):
        os.unlink(obj)
    return r.returncode == 0, log
