// cuda_host_shim.h - compile CUDA C++ kernels with a host C++ compiler and run them on the CPU.
//
//     g++ -std=c++17 -O2 -fPIC -shared -x c++ -include cuda_host_shim.h kernels.cu
//
// How a launch runs
//   * A kernel that uses no barrier and no warp operation runs as a plain loop over its threads.
//   * Otherwise each CUDA thread of a block is a fiber. __syncthreads() and the *_sync() warp
//     operations switch to the next fiber and wait until the barrier's condition holds.
//   * Blocks run one after another. The order of threads between two barriers, and of blocks, is
//     chosen per launch: 0 = ascending, 1 = descending, 2 or more = shuffled with that seed.
//     A kernel whose result depends on the order has a race.
//   * Shared memory is filled with 0xFF (NaN) before every block, so reading an element that was
//     never written shows up in the result.
//   * These are reported as a failed launch: barrier divergence, deadlock, bad launch dimensions,
//     a failed assert(), a thread stack overflow, an access to unmapped memory, an integer
//     division by zero, and (with -DCUH_CHECK_BOUNDS -fsanitize=bounds) an index outside a local
//     or __shared__ array of known size. A barrier that some threads never reach because they
//     returned earlier counts as divergence too, unless bit 0 of the launch flags allows it:
//     GPUs since 2017 accept it, but the CUDA guide does not promise it.
//
// Not modelled: real concurrency, memory ordering, timing, inline PTX, cooperative groups,
// textures, dynamic parallelism, tensor cores.
#pragma once

#if !defined(__x86_64__) || !defined(__linux__) || !defined(__GNUC__)
#error "cuda_host_shim.h needs g++ on Linux x86-64"
#endif

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include <cassert>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// Lets a .cu file tell this build apart from a real one.
#define __CUDA_HOST_SHIM__ 1
// CuPy's float16.cuh picks <cuda_fp16.h> when this is set, as it does under NVRTC.
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0

// ---------------------------------------------------------------------------------------------
// Language keywords
// ---------------------------------------------------------------------------------------------

// __global__ leaves a marker that survives preprocessing; cuda_source.py looks for it.
#define __global__ __attribute__((__cuh_global__))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __constant__ __attribute__((visibility("default")))
#define __managed__
// All shared variables of a module live in one section, so that they can be poisoned together;
// shared_memory.ld brings those of templates there.
#define __shared__ static __attribute__((section("cushared"), aligned(16)))
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#undef __restrict__
#define __restrict__ __restrict
#define __builtin_assume(x) ((void)0)
#define __assume(x) ((void)0)

// ---------------------------------------------------------------------------------------------
// Built-in vector types and variables
// ---------------------------------------------------------------------------------------------

#define CUH_VECTORS(T, N, A2, A4)                                                                \
    struct N##1 { T x; };                                                                        \
    struct alignas(A2) N##2 { T x, y; };                                                         \
    struct N##3 { T x, y, z; };                                                                  \
    struct alignas(A4) N##4 { T x, y, z, w; };                                                   \
    static inline N##1 make_##N##1(T x) { return {x}; }                                          \
    static inline N##2 make_##N##2(T x, T y) { return {x, y}; }                                  \
    static inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }                          \
    static inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }

CUH_VECTORS(signed char, char, 2, 4)
CUH_VECTORS(unsigned char, uchar, 2, 4)
CUH_VECTORS(short, short, 4, 8)
CUH_VECTORS(unsigned short, ushort, 4, 8)
CUH_VECTORS(int, int, 8, 16)
CUH_VECTORS(unsigned, uint, 8, 16)
CUH_VECTORS(long long, longlong, 16, 16)
CUH_VECTORS(unsigned long long, ulonglong, 16, 16)
CUH_VECTORS(float, float, 8, 16)
CUH_VECTORS(double, double, 16, 16)
#undef CUH_VECTORS

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

using std::fma;
using std::max;
using std::min;
typedef unsigned long long cu_ull;

// Mixed overloads that CUDA has and the std templates cannot deduce.
static inline double max(float a, double b) { return max(double(a), b); }
static inline double max(double a, float b) { return max(a, double(b)); }
static inline double min(float a, double b) { return min(double(a), b); }
static inline double min(double a, float b) { return min(a, double(b)); }
static inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
static inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
static inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
static inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }

// Provided by the emulated HIP runtime when it is loaded: one set of stacks for all modules.
extern "C" void* fakehip_stack_pool() __attribute__((weak));

namespace cuh {

// ---------------------------------------------------------------------------------------------
// Fibers: a switch that saves the callee-saved registers (System V x86-64)
// ---------------------------------------------------------------------------------------------

extern "C" void cuh_switch(void** save, void* load);
asm(R"(.text
.globl cuh_switch
.hidden cuh_switch
.type cuh_switch,@function
cuh_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size cuh_switch,.-cuh_switch
)");

enum State { READY, AT_BARRIER, AT_WARP_OP, DONE };

struct Fiber {
    void* sp;
    uint3 tid;
    State state;
    int line;           // source line of the barrier or warp operation it waits at
    uint64_t lane_val;  // value published by a warp operation
    unsigned mask;      // mask of that operation
};

static const size_t GUARD = 4096, STACK = 64 * 1024;  // each stack lies above a guard page
struct Stacks { char* base; size_t n; };

static std::vector<Fiber> fibers;
static Stacks own_stacks;
static Stacks* stacks = &own_stacks;
static void* main_sp;
static int cur;               // index of the running fiber
static bool in_fiber;         // the block runs in fibers
static bool scheduling;       // between fibers: no thread is current
static void (*body)(void*);   // the kernel with its arguments bound
static void* body_arg;
static char* dyn;             // dynamic shared memory
static size_t dyn_n;
static bool failed;
static char err[400];
static int vote_acc;          // result of __syncthreads_count/and/or
static bool needs_fibers;     // set at load time when the module uses a barrier or warp operation
static bool allow_exited;     // barriers do not count threads that have returned

// Records the first failure of a launch, with the place where it happened.
__attribute__((format(printf, 1, 2))) static void fail(const char* fmt, ...) {
    if (failed) return;
    failed = true;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err, sizeof err, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof err) return;
    n += snprintf(err + n, sizeof err - n, " [block (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z);
    if (n >= (int)sizeof err) return;
    if (scheduling)
        snprintf(err + n, sizeof err - n, "]");
    else
        snprintf(err + n, sizeof err - n, " thread (%u,%u,%u)]", threadIdx.x, threadIdx.y,
                 threadIdx.z);
}

// Instantiated only where a kernel really uses a barrier or warp operation; see needs_fibers.
template <int> struct Registrar { static const bool on; };
template <int N> const bool Registrar<N>::on = (needs_fibers = true);

static void yield_now() {
    int me = cur;
    cuh_switch(&fibers[me].sp, main_sp);
    threadIdx = fibers[me].tid;
}

static void fiber_main() {
    body(body_arg);
    fibers[cur].state = DONE;
    void* unused;
    cuh_switch(&unused, main_sp);
    __builtin_unreachable();
}

template <int N = 0> void barrier(int line) {
    (void)&Registrar<N>::on;
    if (!in_fiber) { fail("__syncthreads at line %d outside a fiber", line); return; }
    fibers[cur].state = AT_BARRIER;
    fibers[cur].line = line;
    yield_now();
}

template <int N = 0> int barrier_vote(int op, int pred, int line) {
    // op: 0 count, 1 and, 2 or. Two barriers around the accumulation, one to reset it.
    barrier<N>(line);
    vote_acc = op == 1;
    barrier<N>(line);
    if (op == 0) vote_acc += pred != 0;
    if (op == 1) vote_acc &= pred != 0;
    if (op == 2) vote_acc |= pred != 0;
    barrier<N>(line);
    return vote_acc;
}

static inline int lane() { return cur & 31; }

// Publishes v, waits for every lane in mask, then reads what `take` selects.
template <int N, class T, class F> auto warp_op(unsigned mask, T v, int line, F take) {
    static_assert(sizeof(T) <= 8, "warp operations move at most 8 bytes");
    (void)&Registrar<N>::on;
    if (!in_fiber) { fail("warp operation at line %d outside a fiber", line); return take(0, 0); }
    Fiber& f = fibers[cur];
    if (!(mask >> lane() & 1)) fail("lane %d calls a warp operation (line %d) whose mask %08x "
                                    "leaves it out", lane(), line, mask);
    f.lane_val = 0;
    memcpy(&f.lane_val, &v, sizeof v);
    f.mask = mask;
    f.line = line;
    f.state = AT_WARP_OP;
    yield_now();  // all lanes have published
    auto r = take(cur & ~31, mask);
    fibers[cur].state = AT_WARP_OP;
    yield_now();  // all lanes have read
    return r;
}

// Value of lane `src` of this warp, or the caller's own where src is no participating lane.
template <int N, class T> T shuffle(unsigned mask, T v, int src, int line) {
    return warp_op<N>(mask, v, line, [=](int base, unsigned m) {
        T r = v;
        if (src >= 0 && src < 32 && base + src < (int)fibers.size() && (m >> src & 1))
            memcpy(&r, &fibers[base + src].lane_val, sizeof r);
        return r;
    });
}
template <int N = 0, class T> T shfl(unsigned m, T v, int s, int line, int w = 32) {
    return shuffle<N>(m, v, (lane() & ~(w - 1)) | (s & (w - 1)), line);
}
template <int N = 0, class T> T shfl_down(unsigned m, T v, int d, int line, int w = 32) {
    int sub = lane() & (w - 1);
    return shuffle<N>(m, v, sub + d < w ? lane() + d : lane(), line);
}
template <int N = 0, class T> T shfl_up(unsigned m, T v, int d, int line, int w = 32) {
    int sub = lane() & (w - 1);
    return shuffle<N>(m, v, sub - d >= 0 ? lane() - d : lane(), line);
}
template <int N = 0, class T> T shfl_xor(unsigned m, T v, int x, int line, int w = 32) {
    int src = lane() ^ x;
    return shuffle<N>(m, v, src < (lane() & ~(w - 1)) + w ? src : lane(), line);
}
template <int N = 0> unsigned ballot(unsigned mask, int pred, int line) {
    return warp_op<N>(mask, (unsigned)(pred != 0), line, [](int base, unsigned m) {
        unsigned r = 0;
        for (int i = 0; i < 32 && base + i < (int)fibers.size(); i++)
            if ((m >> i & 1) && fibers[base + i].lane_val) r |= 1u << i;
        return r;
    });
}
template <int N = 0> void sync_warp(int line, unsigned mask = 0xffffffffu) {
    ballot<N>(mask, 0, line);
}
template <int N = 0> unsigned active_mask() {
    (void)&Registrar<N>::on;
    unsigned r = 0;
    int base = cur & ~31;
    for (int i = 0; i < 32 && base + i < (int)fibers.size(); i++)
        if (fibers[base + i].state != DONE) r |= 1u << i;
    return r;
}
template <int N = 0, class T, class F>
T warp_reduce(unsigned mask, T v, int line, F f) {
    return warp_op<N>(mask, v, line, [=](int base, unsigned m) {
        T r{};
        bool first = true;
        for (int i = 0; i < 32 && base + i < (int)fibers.size(); i++) {
            if (!(m >> i & 1)) continue;
            T x;
            memcpy(&x, &fibers[base + i].lane_val, sizeof x);
            r = first ? x : f(r, x);
            first = false;
        }
        return r;
    });
}

// ---------------------------------------------------------------------------------------------
// Running a block
// ---------------------------------------------------------------------------------------------

extern "C" char __start_cushared[] __attribute__((weak));
extern "C" char __stop_cushared[] __attribute__((weak));

static void poison_shared() {
    if (__start_cushared) memset(__start_cushared, 0xFF, __stop_cushared - __start_cushared);
    if (dyn_n) memset(dyn, 0xFF, dyn_n);
}

static uint3 thread_index(size_t i) {
    return {unsigned(i % blockDim.x), unsigned(i / blockDim.x % blockDim.y),
            unsigned(i / blockDim.x / blockDim.y)};
}

// Releases the lanes whose warp operation is complete: all lanes of the mask wait at it.
static bool release_warps() {
    int n = (int)fibers.size();
    bool released = false;
    for (int w = 0; w < n; w += 32) {
        int hi = std::min(n, w + 32);
        unsigned exist = hi - w == 32 ? ~0u : (1u << (hi - w)) - 1;
        unsigned done = 0;
        for (int i = w; i < hi; i++) {
            if (fibers[i].state != AT_WARP_OP || (done >> (i - w) & 1)) continue;
            unsigned m = fibers[i].mask & exist;
            bool all = true;
            for (int j = w; j < hi && all; j++)
                if (m >> (j - w) & 1)
                    all = fibers[j].state == AT_WARP_OP && fibers[j].line == fibers[i].line &&
                          (fibers[j].mask & exist) == m;
            if (!all) continue;
            for (int j = w; j < hi; j++)
                if (m >> (j - w) & 1) fibers[j].state = READY;
            done |= m;
            released = true;
        }
    }
    return released;
}

struct Rng {  // splitmix64
    uint64_t state;
    uint64_t operator()(uint64_t n) {  // 0 ... n-1
        uint64_t z = state += 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        return (z ^ z >> 31) % n;
    }
};

static bool run_block(int order, Rng& rng) {
    int n = (int)fibers.size();
    std::vector<int> perm(n);
    for (int i = 0; i < n; i++) perm[i] = order == 1 ? n - 1 - i : i;
    poison_shared();
    for (int i = 0; i < n; i++) {
        Fiber& f = fibers[i];
        f.tid = thread_index(i);
        f.state = READY;
        void** sp = (void**)(stacks->base + (size_t)(i + 1) * (GUARD + STACK));
        *--sp = nullptr;              // return address of fiber_main: never used
        *--sp = (void*)fiber_main;    // where the first switch "returns" to
        for (int k = 0; k < 6; k++) *--sp = nullptr;  // callee-saved registers
        f.sp = sp;
    }
    for (;;) {
        if (order >= 2)
            for (int i = n - 1; i > 0; i--) std::swap(perm[i], perm[rng(i + 1)]);
        bool any = false;
        for (int i : perm) {
            if (fibers[i].state != READY) continue;
            any = true;
            cur = i;
            threadIdx = fibers[i].tid;
            scheduling = false;
            cuh_switch(&main_sp, fibers[i].sp);
            scheduling = true;
        }
        if (failed) return false;
        if (release_warps()) continue;

        int waiting = 0, done = 0, at_warp = 0, line = -1, other = -1, warp_line = -1;
        for (int i = 0; i < n; i++) {
            const Fiber& f = fibers[i];
            if (f.state == DONE) done++;
            if (f.state == AT_WARP_OP) { at_warp++; warp_line = f.line; }
            if (f.state != AT_BARRIER) continue;
            waiting++;
            if (line < 0) line = f.line;
            else if (line != f.line) other = f.line;
        }
        if (done == n) break;
        if (waiting + done == n) {
            if (done && !allow_exited) {
                fail("barrier divergence: %d of %d threads exited before __syncthreads at line %d",
                     done, n, line);
                return false;
            }
            if (other >= 0) {
                fail("barrier divergence: threads wait at different __syncthreads (lines %d and "
                     "%d)", line, other);
                return false;
            }
            for (auto& f : fibers) f.state = READY;
            continue;
        }
        if (!any) {
            fail("deadlock: %d threads at a barrier, %d at a warp operation (line %d) that not "
                 "all lanes of its mask reach, %d exited", waiting, at_warp, warp_line, done);
            return false;
        }
    }
    scheduling = false;
    return true;
}

// ---------------------------------------------------------------------------------------------
// Turning a crash inside a kernel into a failed launch
// ---------------------------------------------------------------------------------------------

static sigjmp_buf crash_jump;
static volatile sig_atomic_t crash_signal;
static void* volatile crash_address;
static volatile bool crash_armed;
static pthread_t crash_thread;

static void on_crash(int sig, siginfo_t* info, void*) {
    if (!crash_armed || !pthread_equal(crash_thread, pthread_self())) {
        signal(sig, SIG_DFL);  // not ours: let the instruction fault again and end the process
        return;
    }
    crash_armed = false;
    crash_signal = sig;
    crash_address = info->si_addr;
    siglongjmp(crash_jump, 1);
}

struct CrashGuard {
    struct sigaction old[3];
    stack_t old_stack;
    static const int* signals() { static const int s[3] = {SIGSEGV, SIGBUS, SIGFPE}; return s; }
    CrashGuard() {
        struct sigaction a;
        memset(&a, 0, sizeof a);
        a.sa_sigaction = on_crash;
        a.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
        // The handler needs a stack of its own, since the fiber's may be what overflowed.
        static char handler_stack[32 * 1024];
        stack_t st;
        memset(&st, 0, sizeof st);
        st.ss_sp = handler_stack;
        st.ss_size = sizeof handler_stack;
        sigaltstack(&st, &old_stack);
        for (int i = 0; i < 3; i++) sigaction(signals()[i], &a, &old[i]);
    }
    ~CrashGuard() {
        crash_armed = false;
        for (int i = 0; i < 3; i++) sigaction(signals()[i], &old[i], nullptr);
        sigaltstack(&old_stack, nullptr);
    }
};

// ---------------------------------------------------------------------------------------------
// Launch
// ---------------------------------------------------------------------------------------------

template <class... A, size_t... I>
void apply(void (*f)(A...), void** a, std::index_sequence<I...>) {
    f(*(std::remove_reference_t<A>*)a[I]...);
}
template <class... A> struct Closure {
    void (*f)(A...);
    void** a;
    static void run(void* p) {
        auto c = (Closure*)p;
        apply(c->f, c->a, std::index_sequence_for<A...>{});
    }
};

static bool bad_config(const unsigned* g, const unsigned* b, size_t smem) {
    size_t n = (size_t)b[0] * b[1] * b[2];
    return n == 0 || n > 1024 || b[2] > 64 || !g[0] || !g[1] || !g[2] || g[0] > 2147483647u ||
           g[1] > 65535 || g[2] > 65535 || smem > 49152;
}

// Position k of a shuffled walk over n items, without storing a permutation.
struct Walk {
    size_t n, step, start;
    int order;
    static size_t gcd(size_t a, size_t b) { return b ? gcd(b, a % b) : a; }
    Walk(size_t n_, int order_, Rng& rng) : n(n_), step(1), start(0), order(order_) {
        if (order < 2 || n < 2) return;
        start = rng(n);
        do step = 1 + rng(n); while (gcd(step, n) != 1);
    }
    size_t operator()(size_t k) const {
        if (order == 1) return n - 1 - k;
        return order < 2 ? k : (size_t)(((unsigned __int128)k * step + start) % n);
    }
};

static void run_grid(const unsigned* g, int order) {
    Rng rng{(uint64_t)order};
    size_t n_threads = (size_t)blockDim.x * blockDim.y * blockDim.z;
    size_t n_blocks = (size_t)g[0] * g[1] * g[2];
    Walk blocks(n_blocks, order, rng);
    for (size_t k = 0; k < n_blocks && !failed; k++) {
        size_t q = blocks(k);
        blockIdx = {unsigned(q % g[0]), unsigned(q / g[0] % g[1]), unsigned(q / g[0] / g[1])};
        if (needs_fibers) {
            in_fiber = true;
            run_block(order, rng);
            in_fiber = false;
        } else {
            poison_shared();
            Walk threads(n_threads, order, rng);
            for (size_t j = 0; j < n_threads && !failed; j++) {
                threadIdx = thread_index(threads(j));
                body(body_arg);
            }
        }
    }
}

static bool reserve_stacks(size_t n) {
    if (fakehip_stack_pool) stacks = (Stacks*)fakehip_stack_pool();
    if (n <= stacks->n) return true;
    if (stacks->base) munmap(stacks->base, stacks->n * (GUARD + STACK));
    *stacks = {nullptr, 0};
    char* p = (char*)mmap(nullptr, n * (GUARD + STACK), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    for (size_t i = 0; i < n; i++) mprotect(p + i * (GUARD + STACK), GUARD, PROT_NONE);
    *stacks = {p, n};
    return true;
}

static void report_crash() {
    size_t at = (char*)crash_address - stacks->base;
    if (crash_signal == SIGFPE)
        fail("integer division by zero or overflow");
    else if (in_fiber && at < stacks->n * (GUARD + STACK))
        fail("thread stack overflow: more than %zu bytes of local variables", STACK);
    else
        fail("illegal memory access at %p", (void*)crash_address);
}

// Returns nullptr, or why the launch failed.
template <class... A>
const char* launch(void (*f)(A...), void** args, const unsigned* g, const unsigned* b, size_t smem,
                   int order, int flags) {
    failed = scheduling = false;
    allow_exited = flags & 1;
    err[0] = 0;
    if (bad_config(g, b, smem)) {
        snprintf(err, sizeof err,
                 "CUDA_ERROR_INVALID_VALUE: bad launch config: grid (%u,%u,%u), block (%u,%u,%u), "
                 "%zu bytes of dynamic shared memory", g[0], g[1], g[2], b[0], b[1], b[2], smem);
        return err;
    }
    gridDim = dim3(g[0], g[1], g[2]);
    blockDim = dim3(b[0], b[1], b[2]);
    Closure<A...> c{f, args};
    body = Closure<A...>::run;
    body_arg = &c;
    if (smem > dyn_n || !dyn) {
        free(dyn);
        dyn = (char*)aligned_alloc(128, (smem + 255) & ~(size_t)127);
    }
    dyn_n = smem;
    if (needs_fibers) {
        size_t n = (size_t)b[0] * b[1] * b[2];
        fibers.resize(n);
        if (!reserve_stacks(n)) return "out of memory for thread stacks";
    }
    CrashGuard guard;
    if (sigsetjmp(crash_jump, 1) == 0) {
        crash_thread = pthread_self();
        crash_armed = true;
        run_grid(g, order);
    } else {
        report_crash();
        in_fiber = false;
    }
    crash_armed = false;
    return failed ? err : nullptr;
}

// Sizes of the kernel's parameters.
template <class... A> int sizes(void (*)(A...), size_t* out) {
    size_t s[] = {0, sizeof(std::remove_reference_t<A>)...};
    for (size_t i = 0; i < sizeof...(A); i++) out[i] = s[i + 1];
    return sizeof...(A);
}

// Types of the kernel's parameters as text: "i4", "f8", "*f4" (pointer to float), "x16" (other).
template <class T> struct IsHalf : std::false_type {};
template <class T> std::string type_code() {
    using U = std::remove_cv_t<std::remove_reference_t<T>>;
    if constexpr (std::is_pointer_v<U>) {
        using P = std::remove_cv_t<std::remove_pointer_t<U>>;
        if constexpr (std::is_void_v<P>) return "*x0";
        else return "*" + type_code<P>();
    } else if constexpr (std::is_same_v<U, bool>) return "b1";
    else if constexpr (std::is_integral_v<U>)
        return (std::is_signed_v<U> ? "i" : "u") + std::to_string(sizeof(U));
    else if constexpr (std::is_floating_point_v<U> || IsHalf<U>::value)
        return "f" + std::to_string(sizeof(U));
    else return "x" + std::to_string(sizeof(U));
}
template <class... A> const char* signature(void (*)(A...)) {
    static std::string s;
    s.clear();
    ((s += type_code<A>() + ","), ...);
    return s.c_str();
}

static void device_assert(const char* expr, const char* file, int line) {
    fail("assertion failed: %s (line %d)", expr, line);
}

}  // namespace cuh

// Exports one kernel (or template instance) of the module under a plain C name.
#define CUH_API extern "C" __attribute__((visibility("default")))
#define CUH_EXPORT(name, k)                                                                      \
    CUH_API const char* cuh_launch_##name(void** cuh_a_, const unsigned* cuh_g_,                 \
                                          const unsigned* cuh_b_, size_t cuh_s_, int cuh_o_,     \
                                          int cuh_f_) {                                          \
        return cuh::launch(k, cuh_a_, cuh_g_, cuh_b_, cuh_s_, cuh_o_, cuh_f_);                   \
    }                                                                                            \
    CUH_API int cuh_sizes_##name(size_t* cuh_o_) { return cuh::sizes(k, cuh_o_); }               \
    CUH_API const char* cuh_signature_##name() { return cuh::signature(k); }

#ifdef CUH_CHECK_BOUNDS
// Called by code compiled with -fsanitize=bounds; defined here so that no runtime is needed.
extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_out_of_bounds(
    void* data, unsigned long index) {
    struct Where { const char* file; unsigned line, column; };
    cuh::fail("array index %ld out of bounds at line %u", (long)index, ((Where*)data)->line);
}
#endif

// ---------------------------------------------------------------------------------------------
// Barriers and warp operations
// ---------------------------------------------------------------------------------------------

#define __syncthreads() cuh::barrier(__LINE__)
#define __syncthreads_count(p) cuh::barrier_vote(0, (p), __LINE__)
#define __syncthreads_and(p) cuh::barrier_vote(1, (p), __LINE__)
#define __syncthreads_or(p) cuh::barrier_vote(2, (p), __LINE__)
#define __syncwarp(...) cuh::sync_warp(__LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(m, v, s, ...) \
    cuh::shfl((m), (v), (int)(s), __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_down_sync(m, v, d, ...) \
    cuh::shfl_down((m), (v), (int)(d), __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_up_sync(m, v, d, ...) \
    cuh::shfl_up((m), (v), (int)(d), __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_xor_sync(m, v, x, ...) \
    cuh::shfl_xor((m), (v), (int)(x), __LINE__ __VA_OPT__(, ) __VA_ARGS__)
#define __ballot_sync(m, p) cuh::ballot((m), (p), __LINE__)
#define __any_sync(m, p) (cuh::ballot((m), (p), __LINE__) != 0)
#define __all_sync(m, p) (cuh::ballot((m), !(p), __LINE__) == 0)
#define __activemask() cuh::active_mask()
#define __reduce_add_sync(m, v) \
    cuh::warp_reduce((m), (v), __LINE__, [](auto a, auto b) { return a + b; })
#define __reduce_min_sync(m, v) \
    cuh::warp_reduce((m), (v), __LINE__, [](auto a, auto b) { return b < a ? b : a; })
#define __reduce_max_sync(m, v) \
    cuh::warp_reduce((m), (v), __LINE__, [](auto a, auto b) { return a < b ? b : a; })
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
#define __threadfence_system() ((void)0)
#define __nanosleep(ns) ((void)0)
#define __trap() cuh::fail("__trap() at line %d", __LINE__)
#undef assert
#define assert(x) ((x) ? (void)0 : cuh::device_assert(#x, __FILE__, __LINE__))

// ---------------------------------------------------------------------------------------------
// Atomics (threads run one at a time, so plain read-modify-write is enough)
// ---------------------------------------------------------------------------------------------

#define CUH_ATOMIC(name, expr)                                                                   \
    template <class T> T name(T* p, std::common_type_t<T> v) { T o = *p; expr; return o; }       \
    template <class T> T name##_block(T* p, std::common_type_t<T> v) { return name(p, v); }      \
    template <class T> T name##_system(T* p, std::common_type_t<T> v) { return name(p, v); }
CUH_ATOMIC(atomicAdd, *p = o + v)
CUH_ATOMIC(atomicSub, *p = o - v)
CUH_ATOMIC(atomicMax, if (v > o) *p = v)
CUH_ATOMIC(atomicMin, if (v < o) *p = v)
CUH_ATOMIC(atomicAnd, *p = o & v)
CUH_ATOMIC(atomicOr, *p = o | v)
CUH_ATOMIC(atomicXor, *p = o ^ v)
CUH_ATOMIC(atomicExch, *p = v)
CUH_ATOMIC(atomicInc, *p = o >= v ? 0 : o + 1)
CUH_ATOMIC(atomicDec, *p = (o == 0 || o > v) ? v : o - 1)
#undef CUH_ATOMIC
template <class T> T atomicCAS(T* p, std::common_type_t<T> c, std::common_type_t<T> v) {
    T o = *p;
    if (o == c) *p = v;
    return o;
}

// ---------------------------------------------------------------------------------------------
// Intrinsics
// ---------------------------------------------------------------------------------------------

namespace cuh {
template <class D, class S> inline D bits(S s) {
    static_assert(sizeof(D) == sizeof(S), "");
    D d;
    memcpy(&d, &s, sizeof d);
    return d;
}
}  // namespace cuh

static inline int __float_as_int(float f) { return cuh::bits<int>(f); }
static inline unsigned __float_as_uint(float f) { return cuh::bits<unsigned>(f); }
static inline float __int_as_float(int i) { return cuh::bits<float>(i); }
static inline float __uint_as_float(unsigned i) { return cuh::bits<float>(i); }
static inline long long __double_as_longlong(double f) { return cuh::bits<long long>(f); }
static inline double __longlong_as_double(long long i) { return cuh::bits<double>(i); }

static inline int __float2int_rn(float x) { return (int)rintf(x); }
static inline int __float2int_rz(float x) { return (int)x; }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline int __float2int_ru(float x) { return (int)ceilf(x); }
static inline float __int2float_rn(int x) { return (float)x; }
static inline float __uint2float_rn(unsigned x) { return (float)x; }
static inline int __double2int_rn(double x) { return (int)rint(x); }
static inline int __double2int_rz(double x) { return (int)x; }
static inline float __double2float_rn(double x) { return (float)x; }

static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __ffsll(long long x) { return __builtin_ffsll(x); }
static inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
    return r;
}
static inline int __mulhi(int a, int b) { return (int)(((long long)a * b) >> 32); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (cu_ull)a * b >> 32; }
static inline cu_ull __umul64hi(cu_ull a, cu_ull b) { return (unsigned __int128)a * b >> 64; }
static inline int __mul24(int a, int b) { return a * b; }
static inline unsigned __umul24(unsigned a, unsigned b) { return a * b; }
static inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++) c += (signed char)(a >> 8 * i) * (signed char)(b >> 8 * i);
    return c;
}

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class T> void __stcs(T* p, T v) { *p = v; }

// Fast-math intrinsics: the exact function here, a few units in the last place off on a GPU.
// Some of the plain names are taken by the C library, hence the macros.
static inline float cuh_expf(float x) { return expf(x); }
static inline float cuh_exp10f(float x) { return powf(10.f, x); }
static inline float cuh_logf(float x) { return logf(x); }
static inline float cuh_log2f(float x) { return log2f(x); }
static inline float cuh_log10f(float x) { return log10f(x); }
static inline float cuh_powf(float x, float y) { return powf(x, y); }
static inline float cuh_sinf(float x) { return sinf(x); }
static inline float cuh_cosf(float x) { return cosf(x); }
static inline float cuh_tanf(float x) { return tanf(x); }
static inline void cuh_sincosf(float x, float* s, float* c) { *s = sinf(x); *c = cosf(x); }
#define __expf cuh_expf
#define __exp10f cuh_exp10f
#define __logf cuh_logf
#define __log2f cuh_log2f
#define __log10f cuh_log10f
#define __powf cuh_powf
#define __sinf cuh_sinf
#define __cosf cuh_cosf
#define __tanf cuh_tanf
#define __sincosf cuh_sincosf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float fdividef(float a, float b) { return a / b; }
static inline float __saturatef(float x) { return x > 0.f ? (x < 1.f ? x : 1.f) : 0.f; }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rsqrt(float x) { return rsqrtf(x); }
static inline float __frsqrt_rn(float x) { return rsqrtf(x); }
static inline float __fsqrt_rn(float x) { return sqrtf(x); }
static inline float __frcp_rn(float x) { return 1.f / x; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static inline float normcdff(float x) { return (float)normcdf((double)x); }
static inline double sinpi(double x) { return sin(3.14159265358979323846 * x); }
static inline double cospi(double x) { return cos(3.14159265358979323846 * x); }
