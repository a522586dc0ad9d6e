// The recurrent loops of training and their derivatives, a whole sequence in one call.
//
// What is computed here stands in PyTorch in network/cells.py (`lstm_gates`), decoder.py (`Decoder._step_by_step`) and
// unrolled.py, which the tests hold it to. Every argument is a contiguous float32 tensor's memory; with `half` the
// factors of the products are rounded to bfloat16, nothing else is.
//
// Letters: T steps   B sentences   S source positions   A width of the attention   H hidden
//          W = H, or H + A where the query is projected too

#include "attention.h"
#include "lstm.h"
#include "product.h"

static thread_local Units rounded, panels, other_panels, strips, columns, scores;

// C = A^T B for A [K, M], B [K, N]: a weight's gradient over all steps at once. A is turned a block at a time, which
// takes less room, and stays in the cache while it meets all of B.
template <class Number>
static void gradient(long M, long N, long K, const float* a, long a_pitch, const float* b, long b_pitch, float* c) {
    constexpr long BLOCK = 480;
    const float* packed = pack<Number>(K, N, b, b_pitch, columns);
    for (long m = 0; m < M; m += BLOCK) {
        const long rows = std::min(M - m, BLOCK);
        const Left transposed = left_transposed<Number>(rows, K, a + m, a_pitch, strips);
        multiply<Number>(rows, N, K, transposed, packed, c + m * N, N, false);
    }
}

// The rows, `width` wide, each added to the one of its number.
static void add_by_number(long rows, long width, const float* from, const int64_t* numbers, float* to) {
    for (long row = 0; row < rows; row++)
        for (long j = 0; j < width; j++) to[numbers[row] * width + j] += from[row * width + j];
}

struct Linear {
    long M, N, K;
    const float *inputs, *weight, *bias;  // [M, K], [N, K], [N] or null
    float* outputs;                       // [M, N]
    const float* d_outputs;
    float *d_inputs, *d_weight, *d_bias;  // null where nobody asks
};

template <class Number>
static void linear_forward(const Linear& it) {
    const float* packed = pack_transposed<Number>(it.K, it.N, it.weight, it.K, panels);
    if (it.bias)
        for (long m = 0; m < it.M; m++) std::copy(it.bias, it.bias + it.N, it.outputs + m * it.N);
    const Left inputs = left<Number>(it.M, it.K, it.inputs, it.K, rounded);
    multiply<Number>(it.M, it.N, it.K, inputs, packed, it.outputs, it.N, it.bias);
}

template <class Number>
static void linear_backward(const Linear& it) {
    if (it.d_inputs) {
        const Left d_outputs = left<Number>(it.M, it.N, it.d_outputs, it.N, rounded);
        const float* packed = pack<Number>(it.N, it.K, it.weight, it.K, panels);
        multiply<Number>(it.M, it.K, it.N, d_outputs, packed, it.d_inputs, it.K, false);
    }
    if (it.d_weight) gradient<Number>(it.N, it.K, it.M, it.d_outputs, it.N, it.inputs, it.K, it.d_weight);
    if (it.d_bias) {
        std::fill(it.d_bias, it.d_bias + it.N, 0.0f);
        for (long m = 0; m < it.M; m++)
            for (long n = 0; n < it.N; n++) it.d_bias[n] += it.d_outputs[m * it.N + n];
    }
}

struct Lstm {
    long T, B, H;
    const float* projected;    // [R, 4H]
    const int64_t* numbers;    // [T, B]: which row of them
    const float* of_step;            // [4H, H]
    float *hidden, *cells, *gates;   // [T + 1, B, H] twice, the first given; [T, B, 4H]
    float *d_hidden, *d_cells;       // [T + 1, B, H]: given, and added up to what the first ones' are
    float *d_gates, *d_projected;    // [T, B, 4H], which may be gates; [R, 4H], given as zeros
    float* d_of_step;
};

template <class Number>
static void lstm_forward(const Lstm& it) {
    const long H = it.H, state = it.B * H;
    const float* packed = pack_transposed<Number>(H, 4 * H, it.of_step, H, panels);
    for (long t = 0; t < it.T; t++) {
        float* gates = it.gates + t * 4 * state;
        const Left before = left<Number>(it.B, H, it.hidden + t * state, H, rounded);
        multiply<Number>(it.B, 4 * H, H, before, packed, gates, 4 * H, false);
        for (long b = 0; b < it.B; b++) {
            const long row = t * it.B + b, at = row * H;
            const float* projected = it.projected + it.numbers[row] * 4 * H;
            open_gates(H, projected, gates + b * 4 * H, it.cells + at, it.cells + state + at, it.hidden + state + at);
        }
    }
}

template <class Number>
static void lstm_backward(const Lstm& it) {
    const long H = it.H, state = it.B * H;
    const float* packed = pack<Number>(4 * H, H, it.of_step, H, panels);
    for (long t = it.T; t-- > 0;) {
        for (long at = t * state; at < (t + 1) * state; at += H) {
            float *d_cell = it.d_cells + at, *d_after = d_cell + state;
            const float *cell = it.cells + at, *d_hidden = it.d_hidden + state + at;
            open_gates_backward(H, it.gates + 4 * at, cell, cell + state, d_hidden, d_after, it.d_gates + 4 * at);
            for (long j = 0; j < H; j++) d_cell[j] += d_after[j];
        }
        const Left d_gates = left<Number>(it.B, 4 * H, it.d_gates + t * 4 * state, 4 * H, rounded);
        multiply<Number>(it.B, H, 4 * H, d_gates, packed, it.d_hidden + t * state, H, true);
    }
    gradient<Number>(4 * H, H, it.T * it.B, it.d_gates, 4 * H, it.hidden, H, it.d_of_step);
    add_by_number(it.T * it.B, 4 * H, it.d_gates, it.numbers, it.d_projected);
}

struct Decoder {
    long T, B, S, A, H, W;
    const float* projected;    // [R, 4H]
    const int64_t* numbers;    // [T, B]: which row of them
    const int64_t* lengths;           // [B], of the sources
    const float *keys, *values;       // [B, S, A], [B, S, H]
    const float *of_step, *of_hidden; // [4H, 2H], [W, H]
    const float *direction, *kept;    // [A], [T, B, H]; null: the score is a product, there is no dropout
    float *before, *cells;            // [T + 1, B, 2H]: h~ and hidden, [T + 1, B, H]; the first given
    float *gates, *from_hidden;       // [T, B, 4H], [T, B, W]: h~ before dropout, and the query
    float *weights, *said;            // [T, B, S], [T, B, H]
    const float* d_said;
    float *d_before, *d_cell;         // [B, 2H], [B, H]: of the first
    float *d_gates, *d_from_hidden;   // as those without d_; d_gates may be gates
    float *d_projected, *d_keys, *d_values, *d_of_step, *d_of_hidden, *d_direction;
    // All derivatives from d_before on, but for the weights', are given as zeros.

    Looked looked(long b) const { return {lengths[b], A, H, keys + b * S * A, values + b * S * H, direction}; }
};

template <class Number>
static void decoder_forward(const Decoder& it) {
    const long B = it.B, H = it.H, W = it.W;
    const float* of_step = pack_transposed<Number>(2 * H, 4 * H, it.of_step, 2 * H, panels);
    const float* of_hidden = pack_transposed<Number>(H, W, it.of_hidden, H, other_panels);
    for (long t = 0; t < it.T; t++) {
        float *gates = it.gates + t * B * 4 * H, *from_hidden = it.from_hidden + t * B * W;
        float *before = it.before + t * B * 2 * H, *after = before + B * 2 * H;
        multiply<Number>(B, 4 * H, 2 * H, left<Number>(B, 2 * H, before, 2 * H, rounded), of_step, gates, 4 * H, false);
        for (long b = 0; b < B; b++) {
            const long row = t * B + b;
            const float* projected = it.projected + it.numbers[row] * 4 * H;
            float* cell = it.cells + row * H;
            open_gates(H, projected, gates + b * 4 * H, cell, cell + B * H, after + b * 2 * H + H);
        }
        multiply<Number>(B, W, H, left<Number>(B, H, after + H, 2 * H, rounded), of_hidden, from_hidden, W, false);
        for (long b = 0; b < B; b++) {
            const long row = t * B + b;
            float *found = from_hidden + b * W, *fed = after + b * 2 * H;
            weigh(it.looked(b), W > H ? found + H : fed + H, it.weights + row * it.S);
            conclude(it.looked(b), it.weights + row * it.S, found);
            for (long j = 0; j < H; j++) fed[j] = it.kept ? found[j] * it.kept[row * H + j] : found[j];
            std::copy_n(fed, H, it.said + row * H);
        }
    }
}

template <class Number>
static void decoder_backward(const Decoder& it) {
    const long B = it.B, H = it.H, W = it.W;
    const float* of_step = pack<Number>(4 * H, 2 * H, it.of_step, 2 * H, panels);
    const float* of_hidden = pack<Number>(W, H, it.of_hidden, H, other_panels);
    float* d_scores = scores.of(it.S);
    for (long t = it.T; t-- > 0;) {
        float *d_gates = it.d_gates + t * B * 4 * H, *d_from_hidden = it.d_from_hidden + t * B * W;
        for (long b = 0; b < B; b++) {
            const long row = t * B + b;
            const float *found = it.from_hidden + row * W, *hidden = it.before + (row + B) * 2 * H + H;
            float *d_found = d_from_hidden + b * W, *d_fed = it.d_before + b * 2 * H;
            for (long j = 0; j < H; j++) {
                const float d = (it.d_said[row * H + j] + d_fed[j]) * (it.kept ? it.kept[row * H + j] : 1.0f);
                d_found[j] = d * (1.0f - found[j] * found[j]);
            }
            weigh_backward(it.looked(b), it.weights + row * it.S, d_found, d_scores);
            score_backward(
                it.looked(b), W > H ? found + H : hidden, d_scores, W > H ? d_found + H : d_fed + H,
                it.d_keys + b * it.S * it.A, it.d_direction
            );
        }
        const Left d_from = left<Number>(B, W, d_from_hidden, W, rounded);
        multiply<Number>(B, H, W, d_from, of_hidden, it.d_before + H, 2 * H, true);
        for (long b = 0; b < B; b++) {
            const long row = t * B + b;
            const float *gates = it.gates + row * 4 * H, *cell = it.cells + row * H;
            const float* d_hidden = it.d_before + b * 2 * H + H;
            open_gates_backward(H, gates, cell, cell + B * H, d_hidden, it.d_cell + b * H, d_gates + b * 4 * H);
        }
        multiply<Number>(
            B, 2 * H, 4 * H, left<Number>(B, 4 * H, d_gates, 4 * H, rounded), of_step, it.d_before, 2 * H, false
        );
    }
    const long rows = it.T * B;
    gradient<Number>(4 * H, 2 * H, rows, it.d_gates, 4 * H, it.before, 2 * H, it.d_of_step);
    gradient<Number>(W, H, rows, it.d_from_hidden, W, it.before + B * 2 * H + H, 2 * H, it.d_of_hidden);
    add_by_number(rows, 4 * H, it.d_gates, it.numbers, it.d_projected);
    for (long b = 0; b < B; b++)
        for (long row = b; row < rows; row += B)
            values_backward(it.looked(b), it.weights + row * it.S, it.d_from_hidden + row * W, it.d_values + b * it.S * H);
}

struct Attention {
    long T, B, S, A, H, W;
    const int64_t* lengths;      // [B], of the sources
    const float *keys, *values;  // [B, S, A], [B, S, H]
    const float* direction;      // [A], or null: the score is a product
    const float* hidden;         // [T, B, H]
    float *from_hidden;          // [T, B, W], whose first H become h~
    float *weights, *said;       // [T, B, S], [T, B, H]
    const float* d_said;
    float *d_hidden, *d_from_hidden, *d_keys, *d_values, *d_direction;  // given as zeros

    Looked looked(long b) const { return {lengths[b], A, H, keys + b * S * A, values + b * S * H, direction}; }
};

// All steps of a sentence before the next one's, since they look at the same.
static void attention_forward(const Attention& it) {
    for (long b = 0; b < it.B; b++)
        for (long row = b; row < it.T * it.B; row += it.B) {
            float* found = it.from_hidden + row * it.W;
            weigh(it.looked(b), it.W > it.H ? found + it.H : it.hidden + row * it.H, it.weights + row * it.S);
            conclude(it.looked(b), it.weights + row * it.S, found);
            std::copy_n(found, it.H, it.said + row * it.H);
        }
}

static void attention_backward(const Attention& it) {
    float* d_scores = scores.of(it.S);
    for (long b = 0; b < it.B; b++)
        for (long row = b; row < it.T * it.B; row += it.B) {
            const float* found = it.from_hidden + row * it.W;
            float* d_found = it.d_from_hidden + row * it.W;
            const bool projected = it.W > it.H;
            for (long j = 0; j < it.H; j++) d_found[j] = it.d_said[row * it.H + j] * (1.0f - found[j] * found[j]);
            weigh_backward(it.looked(b), it.weights + row * it.S, d_found, d_scores);
            score_backward(
                it.looked(b), projected ? found + it.H : it.hidden + row * it.H, d_scores,
                projected ? d_found + it.H : it.d_hidden + row * it.H, it.d_keys + b * it.S * it.A, it.d_direction
            );
            values_backward(it.looked(b), it.weights + row * it.S, d_found, it.d_values + b * it.S * it.H);
        }
}

// 0 with this probability, else 1 / (1 - probability). The number of a place, stirred with the seed, is its draw: see
// "splitmix64" (Steele, Lea and Flood 2014), whose every output is a function of seed and place alone.
extern "C" void draw(float* kept, long count, uint64_t seed, float probability) {
    const uint64_t below = (uint64_t)((double)probability * 4294967296.0);
    const float scale = 1.0f / (1.0f - probability);
#pragma omp simd
    for (long at = 0; at < count; at++) {
        uint64_t drawn = seed + (uint64_t)(at + 1) * 0x9e3779b97f4a7c15u;
        drawn = (drawn ^ (drawn >> 30)) * 0xbf58476d1ce4e5b9u;
        drawn = (drawn ^ (drawn >> 27)) * 0x94d049bb133111ebu;
        kept[at] = ((drawn ^ (drawn >> 31)) >> 32) < below ? 0.0f : scale;
    }
}

#ifdef __AVX512BF16__
#define EXPORT(name, Arguments) \
    extern "C" void name(const Arguments* it, int half) { half ? name<Half>(*it) : name<Single>(*it); }
extern "C" int has_half() { return 1; }
#else
#define EXPORT(name, Arguments) \
    extern "C" void name(const Arguments* it, int) { name<Single>(*it); }
extern "C" int has_half() { return 0; }
#endif

EXPORT(linear_forward, Linear)
EXPORT(linear_backward, Linear)
EXPORT(lstm_forward, Lstm)
EXPORT(lstm_backward, Lstm)
EXPORT(decoder_forward, Decoder)
EXPORT(decoder_backward, Decoder)
extern "C" void attention_forward(const Attention* it, int) { attention_forward(*it); }
extern "C" void attention_backward(const Attention* it, int) { attention_backward(*it); }
