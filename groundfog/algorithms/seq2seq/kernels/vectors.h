// As many floats at a time as a register holds, in the vector types that GCC and Clang share. Functions of a vector are polynomials, since libm's take one number at a time.

#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#ifdef __FMA__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint16_t Shorts __attribute__((vector_size(2 * LANES)));

static inline Floats load(const float* from) {
    Floats found;
    std::memcpy(&found, from, sizeof found);
    return found;
}

static inline void store(float* to, Floats values) { std::memcpy(to, &values, sizeof values); }

// The first `most` lanes, or `count` where that is less; the others are zeros.
template <int most>
static inline Floats load_up_to(const float* from, long count) {
    Floats found = {};
    if (count >= most)
        std::memcpy(&found, from, most * sizeof(float));
    else if (count > 0)
        std::memcpy(&found, from, count * sizeof(float));
    return found;
}

template <int most>
static inline void store_up_to(float* to, Floats values, long count) {
    if (count >= most)
        std::memcpy(to, &values, most * sizeof(float));
    else if (count > 0)
        std::memcpy(to, &values, count * sizeof(float));
}

// sum + left * right, rounded once where the processor can. Left to the compiler, that may differ between two instances
// of one template, and with it what a row comes to.
static inline Floats add_product(Floats sum, Floats left, Floats right) {
#if defined(__AVX512F__)
    return (Floats)_mm512_fmadd_ps((__m512)left, (__m512)right, (__m512)sum);
#elif defined(__FMA__)
    return (Floats)_mm256_fmadd_ps((__m256)left, (__m256)right, (__m256)sum);
#else
    return sum + left * right;
#endif
}

static inline Floats splat(float value) { return value - Floats{}; }

static inline float sum(Floats values) {
    float total = 0;
    for (int half = LANES / 2; half; half /= 2)
        for (int lane = 0; lane < half; lane++) values[lane] += values[lane + half];
    return total + values[0];
}

template <int distance, int... lanes>
static inline void swap_blocks(Floats& upper, Floats& lower, std::integer_sequence<int, lanes...>) {
    const Floats first = upper, second = lower;
    upper = __builtin_shufflevector(first, second, ((lanes & distance) ? LANES + lanes - distance : lanes)...);
    lower = __builtin_shufflevector(first, second, ((lanes & distance) ? LANES + lanes : lanes + distance)...);
}

// Rows become columns: the blocks off the diagonal change places, then those within each (Eklundh 1972).
template <int distance = LANES / 2>
static inline void transpose(Floats (&rows)[LANES]) {
    for (int row = 0; row < LANES; row++)
        if (!(row & distance))
            swap_blocks<distance>(rows[row], rows[row + distance], std::make_integer_sequence<int, LANES>{});
    if constexpr (distance > 1) transpose<distance / 2>(rows);
}

// e to the x, to 2 units in the last place; x beyond `least` and `most`, a float's range, is taken as these.
template <int least = -87, int most = 88>
static inline Floats exponential(Floats x) {
    x = x < float(least) ? splat(least) : x;
    x = x > float(most) ? splat(most) : x;
    // x = n ln 2 + r. Adding 1.5 * 2^23 leaves the nearest integer in the last bits.
    const float round = 12582912.0f;
    const Floats shifted = x * 1.44269504f + round;
    const Floats n = shifted - round;
    const Floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    // Taylor's series is enough for |r| <= 0.347: its next term is below 6e-9.
    Floats power = splat(1.0f / 5040);
    power = power * r + 1.0f / 720;
    power = power * r + 1.0f / 120;
    power = power * r + 1.0f / 24;
    power = power * r + 1.0f / 6;
    power = power * r + 0.5f;
    power = power * r + 1.0f;
    power = power * r + 1.0f;
    const Ints exponent = ((Ints)shifted - (Ints)splat(round)) << 23;
    return (Floats)((Ints)power + exponent);
}

static inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exponential(-x)); }

// To 3 units in the last place.
static inline Floats hyperbolic_tangent(Floats x) {
    const Ints sign = (Ints)x & INT32_MIN;
    const Floats size = (Floats)((Ints)x ^ sign);
    const Floats far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
    // The difference above loses digits near 0: there it is the series x (1 - x^2/3 + 2 x^4/15 - ...).
    const Floats square = x * x;
    Floats near = splat(21844.0f / 6081075);
    near = near * square - 1382.0f / 155925;
    near = near * square + 62.0f / 2835;
    near = near * square - 17.0f / 315;
    near = near * square + 2.0f / 15;
    near = near * square - 1.0f / 3;
    near = near * square * size + size;
    const Floats found = size < 0.4f ? near : far;
    return (Floats)((Ints)found ^ sign);
}
