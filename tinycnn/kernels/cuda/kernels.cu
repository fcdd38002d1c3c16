// The kernels of the CUDA backend. `reference.py` defines what they compute.
//
// Arrays are contiguous, images (N, C, H, W), weights (O, C / groups, kh, kw); a tap is an element
// (i, j) of a kernel, numbered i * kw + j. Every kernel runs in blocks of THREADS threads in a row.
// There are no atomics: each number is summed by one thread, or by a block in a fixed order, so
// that the same call gives the same bits. Long sums are cut into slices whose number depends on
// the arrays' size alone; a block sums a slice, and `sum_slices` sums the slices.

constexpr int THREADS = 256;
constexpr int BLOCKS = 2;    // that a multiprocessor shall have registers for, at least
constexpr int TILE = 16;     // TILE * TILE == THREADS
constexpr int CHANNELS = 8;  // that a thread of `correlate_3x3` computes
constexpr int TAPS = 9;      // that a block of `conv2d_weight_grad` computes

__device__ inline int thread() { return blockIdx.x * THREADS + threadIdx.x; }

__device__ inline bool within(int i, int size) { return 0 <= i && i < size; }

// An element of an image (H, W), or what is around it.
template <typename T>
__device__ inline T padded(const T* image, int H, int W, int row, int column, T outside = 0)
{
    return within(row, H) && within(column, W) ? image[row * W + column] : outside;
}

// Which of OH * OW windows begins so far down and right in the padded image; -1 if none does.
__device__ inline int window_at(int down, int right, int sh, int sw, int OH, int OW)
{
    const bool begins = down % sh == 0 && right % sw == 0;
    const bool exists = within(down / sh, OH) && within(right / sw, OW);
    return begins && exists ? down / sh * OW + right / sw : -1;
}

template <typename T>
__device__ inline bool wins(T challenger, T best)
{
    return best == best && !(challenger <= best);  // greater, or the first NaN
}

// The block's sums of K values of each thread, in threads' order as a tree; every thread gets
// them. A room serves for one call.
template <typename T, int K>
__device__ void block_sums(T (&values)[K], T (&room)[K][THREADS])
{
    const int t = threadIdx.x;
    for (int k = 0; k < K; ++k)
        room[k][t] = values[k];
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            for (int k = 0; k < K; ++k)
                room[k][t] += room[k][t + half];
    }
    __syncthreads();
    for (int k = 0; k < K; ++k)
        values[k] = room[k][0];
}

// Partial sums (slices, size) to sums (size). A thread: one sum.
template <typename T>
__global__ void sum_slices(const T* __restrict__ partial, T* __restrict__ y, int size, int slices)
{
    const int i = thread();
    if (i >= size)
        return;
    double sum = 0;
    for (int s = 0; s < slices; ++s)
        sum += partial[s * size + i];
    y[i] = sum;
}

// ---- activations -----------------------------------------------------------------------------
// A thread: one element. `x <= 0` rather than `x > 0`, so that NaN is passed on.

template <typename T>
__global__ void relu(const T* __restrict__ x, T* __restrict__ y, int size)
{
    const int i = thread();
    if (i < size)
        y[i] = x[i] <= 0 ? T(0) : x[i];
}

template <typename T>
__global__ void add_relu(const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ z,
                         int size)
{
    const int i = thread();
    if (i < size)
        z[i] = x[i] + y[i] <= 0 ? T(0) : x[i] + y[i];
}

template <typename T>
__global__ void relu_grad(const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ dx,
                          int size)
{
    const int i = thread();
    if (i < size)
        dx[i] = x[i] <= 0 ? T(0) : g[i];
}

// ---- convolution -----------------------------------------------------------------------------
// The image is padded by zeros that count: 0 times an infinite weight is NaN, as in the reference.

// Any convolution. A thread: one output y[n, o, row, column].
template <typename T>
__global__ void conv2d(const T* __restrict__ x, const T* __restrict__ w,
                       const T* __restrict__ bias, T* __restrict__ y, int size,
                       int C, int H, int W, int O, int OH, int OW, int groups,
                       int kh, int kw, int sh, int sw, int top, int left, int dh, int dw)
{
    const int index = thread();
    if (index >= size)
        return;
    const int column = index % OW, row = index / OW % OH, o = index / (OW * OH) % O;
    const int n = index / (OW * OH * O), channels = C / groups, group = o / (O / groups);
    T sum = 0;
    for (int c = 0; c < channels; ++c) {
        const T* image = x + (n * C + group * channels + c) * H * W;
        const T* kernel = w + (o * channels + c) * kh * kw;
        for (int i = 0; i < kh; ++i)
            for (int j = 0; j < kw; ++j) {
                const int r = row * sh - top + i * dh, s = column * sw - left + j * dw;
                sum += padded(image, H, W, r, s) * kernel[i * kw + j];
            }
    }
    y[index] = bias ? sum + bias[o] : sum;
}

// Any convolution's input gradient. A thread: one element dx[n, c, row, column], which looks for
// the outputs that it went into.
template <typename T>
__global__ void conv2d_input_grad(const T* __restrict__ g, const T* __restrict__ w,
                                  T* __restrict__ dx, int size,
                                  int C, int H, int W, int O, int OH, int OW, int groups,
                                  int kh, int kw, int sh, int sw, int top, int left,
                                  int dh, int dw)
{
    const int index = thread();
    if (index >= size)
        return;
    const int column = index % W, row = index / W % H, c = index / (W * H) % C;
    const int n = index / (W * H * C), channels = C / groups, outputs = O / groups;
    const int first = c / channels * outputs;
    T sum = 0;
    for (int i = 0; i < kh; ++i)
        for (int j = 0; j < kw; ++j) {
            const int down = row + top - i * dh, right = column + left - j * dw;
            const int p = window_at(down, right, sh, sw, OH, OW);
            for (int o = first; p >= 0 && o < first + outputs; ++o)
                sum += g[(n * O + o) * OH * OW + p] *
                       w[((o * channels + c % channels) * kh + i) * kw + j];
        }
    dx[index] = sum;
}

// A 3x3 convolution of stride 1 for few channels, or TURNED: its input gradient, the correlation
// of the cotangent with the kernels turned by 180 degrees, inputs and outputs exchanged. Then what
// lies outside the image is skipped: an infinite weight does not meet it.
//
// A block: a tile of TILE x TILE positions of CHANNELS output channels of one image; a thread: one
// position of them all. The input passes through shared memory channel by channel.
template <typename T, bool TURNED>
__global__ void __launch_bounds__(THREADS, BLOCKS)
correlate_3x3(const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ bias,
              T* __restrict__ y, int C, int H, int W, int O, int OH, int OW, int top, int left)
{
    constexpr int SIDE = TILE + 2;  // with what the border's windows see
    __shared__ T tile[SIDE * SIDE];
    __shared__ T kernel[CHANNELS][9];
    const int across = (OW + TILE - 1) / TILE, tiles = across * ((OH + TILE - 1) / TILE);
    const int parts = (O + CHANNELS - 1) / CHANNELS, n = blockIdx.x / tiles / parts;
    const int first = blockIdx.x / tiles % parts * CHANNELS, corner = blockIdx.x % tiles;
    const int above = corner / across * TILE, before = corner % across * TILE;
    const int t = threadIdx.x, row = above + t / TILE, column = before + t % TILE;
    int met = 0;  // bit by bit, the taps that meet the image
    for (int tap = 0; tap < 9; ++tap)
        met |= (within(row + tap / 3 - top, H) && within(column + tap % 3 - left, W)) << tap;
    T sums[CHANNELS] = {};
    for (int c = 0; c < C; ++c) {
        const T* image = x + (n * C + c) * H * W;
        for (int i = t; i < SIDE * SIDE; i += THREADS) {
            tile[i] = padded(image, H, W, above + i / SIDE - top, before + i % SIDE - left);
        }
        if (t < CHANNELS * 9) {
            const int o = first + t / 9, tap = t % 9;
            const int place = TURNED ? (c * O + o) * 9 + 8 - tap : (o * C + c) * 9 + tap;
            kernel[t / 9][tap] = o < O ? w[place] : T(0);
        }
        __syncthreads();
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
            if (TURNED && !(met >> tap & 1))
                continue;
            const T value = tile[(t / TILE + tap / 3) * SIDE + t % TILE + tap % 3];
#pragma unroll
            for (int k = 0; k < CHANNELS; ++k)
                sums[k] += value * kernel[k][tap];
        }
        __syncthreads();  // before the next channel takes its place
    }
    if (row >= OH || column >= OW)
        return;
#pragma unroll
    for (int k = 0; k < CHANNELS; ++k)
        if (first + k < O)
            y[((n * O + first + k) * OH + row) * OW + column] =
                bias ? sums[k] + bias[first + k] : sums[k];
}

// Any convolution's weight gradient. A block: up to TAPS taps of one (o, c), summed over a slice of
// all output positions of all images; a thread: every THREADS-th position of the slice.
template <typename T>
__global__ void __launch_bounds__(THREADS, BLOCKS)
conv2d_weight_grad(const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ partial,
                   int N, int C, int H, int W, int O, int OH, int OW, int groups,
                   int kh, int kw, int sh, int sw, int top, int left, int dh, int dw,
                   int slice, int slices)
{
    __shared__ T room[TAPS][THREADS];
    const int channels = C / groups, taps = kh * kw, chunks = (taps + TAPS - 1) / TAPS;
    const int s = blockIdx.x % slices, first = blockIdx.x / slices % chunks * TAPS;
    const int pair = blockIdx.x / slices / chunks, o = pair / channels;  // (o, c)
    const int c = o / (O / groups) * channels + pair % channels;
    const int count = N * OH * OW, end = min((s + 1) * slice, count);
    T sums[TAPS] = {};
    for (int p = s * slice + threadIdx.x; p < end; p += THREADS) {
        const int column = p % OW, row = p / OW % OH, n = p / (OW * OH);
        const T cotangent = g[((n * O + o) * OH + row) * OW + column];
        const T* image = x + (n * C + c) * H * W;
#pragma unroll
        for (int k = 0; k < TAPS; ++k) {
            const int r = row * sh - top + (first + k) / kw * dh;
            const int q = column * sw - left + (first + k) % kw * dw;
            sums[k] += cotangent * padded(image, H, W, r, q);
        }
    }
    block_sums(sums, room);
    const int t = threadIdx.x;
    if (t < TAPS && first + t < taps)
        partial[(s * O * channels + pair) * taps + first + t] = room[t][0];
}

// The product of matrices (M, K) and (K, N) over a slice of the inner axis; partial: (slices, M, N).
// In memory a matrix's neighbours are so far apart, down and across. A block: TILE rows and columns
// of a slice; a thread: one element.
template <typename T>
__global__ void __launch_bounds__(THREADS, BLOCKS)
matmul(const T* __restrict__ x, const T* __restrict__ y, T* __restrict__ partial,
       int M, int K, int N, int x_down, int x_across, int y_down, int y_across, int slice)
{
    __shared__ T left[TILE][TILE], right[TILE][TILE];
    const int i = threadIdx.x / TILE, j = threadIdx.x % TILE;
    const int across = (N + TILE - 1) / TILE, tiles = across * ((M + TILE - 1) / TILE);
    const int row = blockIdx.x % tiles / across * TILE + i, column = blockIdx.x % across * TILE + j;
    const int s = blockIdx.x / tiles, end = min((s + 1) * slice, K);
    T sum = 0;
    for (int k = s * slice; k < end; k += TILE) {
        const bool inside = row < M && k + j < end, within_y = k + i < end && column < N;
        left[i][j] = inside ? x[row * x_down + (k + j) * x_across] : T(0);
        right[i][j] = within_y ? y[(k + i) * y_down + column * y_across] : T(0);
        __syncthreads();
#pragma unroll
        for (int l = 0; l < TILE; ++l)
            sum += left[i][l] * right[l][j];
        __syncthreads();  // before the next tiles take their place
    }
    if (row < M && column < N)
        partial[(s * M + row) * N + column] = sum;
}

// The matrix (C * kh * kw, OH * OW) of an image's windows, for each image: what a convolution's
// matrix product takes. A thread: one element.
template <typename T>
__global__ void im2col(const T* __restrict__ x, T* __restrict__ columns, int size,
                       int C, int H, int W, int OH, int OW,
                       int kh, int kw, int sh, int sw, int top, int left, int dh, int dw)
{
    const int index = thread();
    if (index >= size)
        return;
    const int column = index % OW, row = index / OW % OH, j = index / (OW * OH) % kw;
    const int i = index / (OW * OH * kw) % kh, plane = index / (OW * OH * kw * kh);
    const int r = row * sh - top + i * dh, s = column * sw - left + j * dw;
    columns[index] = padded(x + plane * H * W, H, W, r, s);
}

// The adjoint of `im2col`. A thread: one element of an image, which sums the windows' elements
// that it was copied to.
template <typename T>
__global__ void col2im(const T* __restrict__ columns, T* __restrict__ x, int size,
                       int C, int H, int W, int OH, int OW,
                       int kh, int kw, int sh, int sw, int top, int left, int dh, int dw)
{
    const int index = thread();
    if (index >= size)
        return;
    const int column = index % W, row = index / W % H, plane = index / (W * H);
    T sum = 0;
    for (int i = 0; i < kh; ++i)
        for (int j = 0; j < kw; ++j) {
            const int down = row + top - i * dh, right = column + left - j * dw;
            const int p = window_at(down, right, sh, sw, OH, OW);
            if (p >= 0)
                sum += columns[((plane * kh + i) * kw + j) * OH * OW + p];
        }
    x[index] = sum;
}

// ---- max pooling -----------------------------------------------------------------------------
// I: the type of an index, the tap that met the maximum.

// A thread: one window. The padding is -infinity.
template <typename T, typename I>
__global__ void max_pool2d(const T* __restrict__ x, T* __restrict__ y, I* __restrict__ index,
                           int size, int H, int W, int OH, int OW,
                           int kh, int kw, int sh, int sw, int top, int left, int dh, int dw)
{
    const int o = thread();
    if (o >= size)
        return;
    const int column = o % OW, row = o / OW % OH;
    const T* image = x + o / (OW * OH) * H * W;
    const T lowest = -__int_as_float(0x7f800000);  // -infinity
    T best = 0;
    int first = 0;
    for (int tap = 0; tap < kh * kw; ++tap) {
        const int r = row * sh - top + tap / kw * dh, s = column * sw - left + tap % kw * dw;
        const T value = padded(image, H, W, r, s, lowest);
        if (tap == 0 || wins(value, best)) {
            best = value;
            first = tap;
        }
    }
    y[o] = best;
    index[o] = first;
}

// A thread: one element of the input, which sums the cotangents of the windows that name it.
template <typename T, typename I>
__global__ void max_pool2d_scatter(const T* __restrict__ g, const I* __restrict__ index,
                                   T* __restrict__ dx, int size, int H, int W, int OH, int OW,
                                   int kh, int kw, int sh, int sw, int top, int left,
                                   int dh, int dw)
{
    const int p = thread();
    if (p >= size)
        return;
    const int column = p % W, row = p / W % H, plane = p / (W * H);
    T sum = 0;
    for (int i = 0; i < kh; ++i)
        for (int j = 0; j < kw; ++j) {
            const int down = row + top - i * dh, right = column + left - j * dw;
            const int p = window_at(down, right, sh, sw, OH, OW), o = plane * OH * OW + p;
            if (p >= 0 && index[o] == i * kw + j)
                sum += g[o];
        }
    dx[p] = sum;
}

// A thread: one window, of which it takes the element that the index names; the padding is 0.
template <typename T, typename I>
__global__ void max_pool2d_gather(const T* __restrict__ x, const I* __restrict__ index,
                                  T* __restrict__ y, int size, int H, int W, int OH, int OW,
                                  int kh, int kw, int sh, int sw, int top, int left,
                                  int dh, int dw)
{
    const int o = thread();
    if (o >= size)
        return;
    const int r = o / OW % OH * sh - top + index[o] / kw * dh;
    const int s = o % OW * sw - left + index[o] % kw * dw;
    y[o] = padded(x + o / (OW * OH) * H * W, H, W, r, s);
}

// ---- batch normalisation ---------------------------------------------------------------------
// A channel's values are N images of P positions.

// A block: mean and sum of squared deviations of a slice of a channel, in two passes: the second
// also corrects the mean by what rounding left of it. partial: (slices, 2, C).
template <typename T>
__global__ void __launch_bounds__(THREADS, BLOCKS)
moments_of_slices(const T* __restrict__ x, double* __restrict__ partial, int N, int C, int P,
                  int slice, int slices)
{
    __shared__ T room[1][THREADS], rooms[2][THREADS];
    const int s = blockIdx.x % slices, c = blockIdx.x / slices;
    const int start = s * slice, end = min(start + slice, N * P);
    T sum[1] = {}, sums[2] = {};
    for (int p = start + threadIdx.x; p < end; p += THREADS)
        sum[0] += x[(p / P * C + c) * P + p % P];
    block_sums(sum, room);
    const T mean = sum[0] / (end - start);
    for (int p = start + threadIdx.x; p < end; p += THREADS) {
        const T d = x[(p / P * C + c) * P + p % P] - mean;
        sums[0] += d;
        sums[1] += d * d;
    }
    block_sums(sums, rooms);
    if (threadIdx.x == 0) {
        const double left = double(sums[0]) / (end - start);
        partial[2 * s * C + c] = mean + left;
        partial[(2 * s + 1) * C + c] = sums[1] - left * sums[0];
    }
}

// The slices' statistics to those of the whole, by the formula of Chan, Golub and LeVeque (1979).
// With a weight also what normalises: 1 / sqrt(variance + eps), and that times the weight.
// A thread: one channel.
template <typename T>
__global__ void moments(const double* __restrict__ partial, const T* __restrict__ weight,
                        T* __restrict__ mean, T* __restrict__ variance, T* __restrict__ inv_std,
                        T* __restrict__ scale, double eps, int C, int count, int slice, int slices)
{
    const int c = thread();
    if (c >= C)
        return;
    double m = partial[c], squares = partial[C + c], before = min(slice, count);
    for (int s = 1; s < slices; ++s) {
        const double more = min(slice, count - s * slice), d = partial[2 * s * C + c] - m;
        m += d * more / (before + more);
        squares += partial[(2 * s + 1) * C + c] + d * d * before * more / (before + more);
        before += more;
    }
    mean[c] = m;
    variance[c] = squares / count;
    if (!weight)
        return;
    inv_std[c] = 1 / sqrt(squares / count + eps);
    scale[c] = inv_std[c] * weight[c];
}

// A thread: one element.
template <typename T>
__global__ void batch_norm(const T* __restrict__ x, const T* __restrict__ mean,
                           const T* __restrict__ inv_std, const T* __restrict__ weight,
                           const T* __restrict__ bias, T* __restrict__ y, int size, int C, int P)
{
    const int i = thread(), c = i / P % C;
    if (i < size)
        y[i] = (x[i] - mean[c]) * (inv_std[c] * weight[c]) + bias[c];
}

// A block: the gradients of a channel's bias and weight over a slice. partial: (slices, 2, C).
template <typename T>
__global__ void __launch_bounds__(THREADS, BLOCKS)
batch_norm_vector_grads(const T* __restrict__ g, const T* __restrict__ x,
                        const T* __restrict__ mean, const T* __restrict__ inv_std,
                        T* __restrict__ partial, int N, int C, int P, int slice, int slices)
{
    __shared__ T room[2][THREADS];
    const int s = blockIdx.x % slices, c = blockIdx.x / slices;
    const int end = min((s + 1) * slice, N * P);
    T sums[2] = {};
    for (int p = s * slice + threadIdx.x; p < end; p += THREADS) {
        const int i = (p / P * C + c) * P + p % P;
        sums[0] += g[i];
        sums[1] += g[i] * ((x[i] - mean[c]) * inv_std[c]);
    }
    block_sums(sums, room);
    if (threadIdx.x < 2)
        partial[(2 * s + threadIdx.x) * C + c] = room[threadIdx.x][0];
}

// A thread: one element of the input's gradient. sums: (2, C), of bias and weight.
template <typename T>
__global__ void batch_norm_input_grad(const T* __restrict__ g, const T* __restrict__ x,
                                      const T* __restrict__ mean, const T* __restrict__ inv_std,
                                      const T* __restrict__ weight, const T* __restrict__ sums,
                                      T* __restrict__ dx, int size, int count, int C, int P)
{
    const int i = thread(), c = i / P % C;
    if (i >= size)
        return;
    const T x_hat = (x[i] - mean[c]) * inv_std[c];
    const T centred = g[i] - sums[c] / count - x_hat * (sums[C + c] / count);
    dx[i] = centred * (inv_std[c] * weight[c]);
}

// ---- behind a convolution --------------------------------------------------------------------
// Batch norm, ReLU and max pooling by 2 at once, each of which may be missing. A window is SIDE x
// SIDE of the convolution's results y, so a single one where nothing is pooled; what is left at the
// edges is in no window. Which of a window is the largest is found again on the way back, so that
// nothing but y has to be kept.

// What a channel meets: (y - mean) * scale + shift, if there are such, and perhaps ReLU.
template <typename T>
struct Channel {
    T mean = 0, scale = 1, shift = 0;
    bool relu;

    __device__ Channel(const T* means, const T* scales, const T* shifts, int c, bool relu)
        : relu(relu)
    {
        if (!means)
            return;
        mean = means[c];
        scale = scales[c];
        shift = shifts[c];
    }

    __device__ T norm(T y) const { return (y - mean) * scale + shift; }

    __device__ bool stops(T y) const { return relu && norm(y) <= 0; }
};

// How far behind its first element a window has the largest of its normalised elements.
template <int SIDE, typename T>
__device__ inline int largest(const T* window, int W, const Channel<T>& channel)
{
    int winner = 0;
#pragma unroll
    for (int k = 1; k < SIDE * SIDE; ++k) {
        const int place = k / SIDE * W + k % SIDE;
        if (wins(channel.norm(window[place]), channel.norm(window[winner])))
            winner = place;
    }
    return winner;
}

// A thread: one window.
template <typename T, bool POOL>
__global__ void norm_relu_pool(const T* __restrict__ y, const T* __restrict__ mean,
                               const T* __restrict__ scale, const T* __restrict__ shift,
                               T* __restrict__ out, int size, int C, int H, int W, bool relu)
{
    constexpr int SIDE = POOL ? 2 : 1;
    const int o = thread(), OH = H / SIDE, OW = W / SIDE;
    if (o >= size)
        return;
    const int column = o % OW, row = o / OW % OH, plane = o / (OW * OH);
    const Channel<T> channel(mean, scale, shift, plane % C, relu);
    const T* window = y + (plane * H + row * SIDE) * W + column * SIDE;
    const T value = window[largest<SIDE>(window, W, channel)];
    out[o] = channel.stops(value) ? T(0) : channel.norm(value);
}

// A block: the gradients of a channel's shift and weight over a slice of its windows.
// partial: (slices, 2, C).
template <typename T, bool POOL>
__global__ void __launch_bounds__(THREADS, BLOCKS)
norm_relu_pool_vector_grads(const T* __restrict__ g, const T* __restrict__ y,
                            const T* __restrict__ mean, const T* __restrict__ scale,
                            const T* __restrict__ shift, const T* __restrict__ inv_std,
                            T* __restrict__ partial, int N, int C, int H, int W, bool relu,
                            int slice, int slices)
{
    constexpr int SIDE = POOL ? 2 : 1;
    __shared__ T room[2][THREADS];
    const int s = blockIdx.x % slices, c = blockIdx.x / slices, OH = H / SIDE, OW = W / SIDE;
    const int end = min((s + 1) * slice, N * OH * OW);
    const Channel<T> channel(mean, scale, shift, c, relu);
    T sums[2] = {};
    for (int p = s * slice + threadIdx.x; p < end; p += THREADS) {
        const int column = p % OW, row = p / OW % OH, plane = p / (OW * OH) * C + c;
        const T* window = y + (plane * H + row * SIDE) * W + column * SIDE;
        const T value = window[largest<SIDE>(window, W, channel)];
        if (channel.stops(value))
            continue;
        const T cotangent = g[(plane * OH + row) * OW + column];
        sums[0] += cotangent;
        sums[1] += cotangent * ((value - channel.mean) * (inv_std ? inv_std[c] : T(1)));
    }
    block_sums(sums, room);
    if (threadIdx.x < 2)
        partial[(2 * s + threadIdx.x) * C + c] = room[threadIdx.x][0];
}

// A thread: one element of y's gradient, which looks whether it is its window's largest.
// sums: (2, C), of shift and weight; none without a norm.
template <typename T, bool POOL>
__global__ void norm_relu_pool_input_grad(
    const T* __restrict__ g, const T* __restrict__ y, const T* __restrict__ mean,
    const T* __restrict__ scale, const T* __restrict__ shift, const T* __restrict__ inv_std,
    const T* __restrict__ sums, T* __restrict__ dy, int size, int count, int C, int H, int W,
    bool relu)
{
    constexpr int SIDE = POOL ? 2 : 1;
    const int p = thread(), OH = H / SIDE, OW = W / SIDE;
    if (p >= size)
        return;
    const int column = p % W / SIDE, row = p / W % H / SIDE, plane = p / (W * H), c = plane % C;
    const Channel<T> channel(mean, scale, shift, c, relu);
    T cotangent = 0;
    if (row < OH && column < OW && !channel.stops(y[p])) {
        const int first = (plane * H + row * SIDE) * W + column * SIDE;
        if (p == first + largest<SIDE>(y + first, W, channel))
            cotangent = g[(plane * OH + row) * OW + column];
    }
    if (sums) {
        const T x_hat = (y[p] - channel.mean) * inv_std[c];
        cotangent = cotangent - sums[c] / count - x_hat * (sums[C + c] / count);
    }
    dy[p] = cotangent * channel.scale;
}

// ---- optimisation and chance -----------------------------------------------------------------

// A thread: one parameter p with its velocity v, which may be missing. The learning rate is lr, or
// lies where `rate` points to.
template <typename T>
__global__ void sgd_step(T* __restrict__ p, const T* __restrict__ g, T* __restrict__ v,
                         const double* __restrict__ rate, int size, T lr, T momentum, T share,
                         T weight_decay, bool nesterov)
{
    const int i = thread();
    if (i >= size)
        return;
    T slope = g[i] + weight_decay * p[i];
    if (v) {
        v[i] = momentum * v[i] + share * slope;
        slope = nesterov ? slope + momentum * v[i] : v[i];
    }
    p[i] -= (rate ? T(*rate) : lr) * slope;
}

// Which elements dropout keeps: where a uniform number of [0, 1) is at least p. The numbers are
// those of numpy.random.Philox: Philox4x64-10 of Salmon et al. (2011), whose counter begins at 1.
// Its last word is the replay's number in a CUDA graph, else 0.
// A thread: one value of the counter, so four 64-bit words, so eight numbers of 24 bits; a word's
// lower half comes first.
__global__ void dropout_mask(bool* __restrict__ kept,
                             const unsigned long long* __restrict__ replay, int size, float p,
                             unsigned long long key0, unsigned long long key1)
{
    const int block = thread();
    if (block >= (size + 7) / 8)
        return;
    unsigned long long c[4] = {block + 1ull, 0, 0, replay ? *replay : 0};
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = 0xD2E7470EE14C6C93ull * c[0], b = 0xCA5A826395121157ull * c[2];
        const unsigned long long a_high = __umul64hi(0xD2E7470EE14C6C93ull, c[0]);
        const unsigned long long b_high = __umul64hi(0xCA5A826395121157ull, c[2]);
        c[0] = b_high ^ c[1] ^ key0;
        c[1] = b;
        c[2] = a_high ^ c[3] ^ key1;
        c[3] = a;
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) {
        const unsigned half = c[k / 2] >> (k % 2 * 32);
        if (8 * block + k < size)
            kept[8 * block + k] = (half >> 8) * (1.0f / (1 << 24)) >= p;
    }
}
