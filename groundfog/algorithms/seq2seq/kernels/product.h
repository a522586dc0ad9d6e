// Matrix products C [M, N] = A [M, K] B [K, N] by one thread, in float32 or with their factors rounded to bfloat16.
//
// Everything is cut into units of 32 bits: one float, or two neighbouring bfloat16s along K, which the processor
// multiplies and adds at once (vdpbf16ps). B is packed beforehand into panels of PANEL columns, so that a tile of C,
// ROWS by PANEL, stays in registers while it goes along K with one stream of B and ROWS broadcasts of A (Goto and
// van de Geijn 2008). Each sum is made in the order of K whatever M and N are.

#pragma once

#include <algorithm>
#include <memory>

#include "vectors.h"

#ifdef __AVX512F__
constexpr int ROWS = 8, VECTORS = 3;  // 24 sums and 3 pieces of B in 32 registers
#else
constexpr int ROWS = 6, VECTORS = 2;  // 12 sums and 2 pieces of B in 16 registers
#endif
constexpr int PANEL = VECTORS * LANES;
constexpr long STRETCH = 1024;  // units along K after which C is written: a stretch of a panel fits the L2 cache

// Room for a matrix in units. A thread's rooms stay from call to call, since memory anew is slow to be touched first.
class Units {
    std::unique_ptr<float[]> memory;
    long room = 0;

  public:
    // So many; what was there before is lost.
    float* of(long count) {
        if (count > room) memory.reset(new float[room = count]);
        return memory.get();
    }
};

struct Single {
    static constexpr int PER_UNIT = 1;
    static Floats add_product(Floats sum, Floats left, Floats right) { return ::add_product(sum, left, right); }
    static Floats unite(Floats numbers, Floats) { return numbers; }
};

#ifdef __AVX512BF16__
struct Half {
    static constexpr int PER_UNIT = 2;
    static Floats add_product(Floats sum, Floats left, Floats right) {
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
    }
    // Lane by lane, the first of a pair in the low half.
    static Floats unite(Floats first, Floats second) {
        const __m512i order = _mm512_set_epi16(
            31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0
        );
        return (Floats)_mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
    }
    // The same of 32 numbers in a row, neighbours in a unit.
    static Floats unite_neighbours(Floats first, Floats second) {
        return (Floats)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    }
};
#endif

template <class Number>
static inline long units(long count) {
    return (count + Number::PER_UNIT - 1) / Number::PER_UNIT;
}

template <class Number>
static inline long packed_size(long K, long N) {
    return (N + PANEL - 1) / PANEL * PANEL * units<Number>(K);
}

// LANES units of a row from number `from` on, its numbers beyond `count` taken as zeros.
template <class Number>
static inline Floats units_of_row(const float* row, long from, long count) {
    const long at = from * Number::PER_UNIT;
    if constexpr (Number::PER_UNIT == 1)
        return load_up_to<LANES>(row + at, count - at);
    else
        return Number::unite_neighbours(load_up_to<LANES>(row + at, count - at), load_up_to<LANES>(row + at + LANES, count - at - LANES));
}

// A matrix as units, cut into strips of ROWS rows.
struct Left {
    const float* at;
    long strip, row, step;  // how far apart strips, the rows in them, and the units of a row are
};

// A [M, K] row by row, `pitch` floats apart. Floats are their own units and stay where they are.
template <class Number>
static Left left(long M, long K, const float* a, long pitch, Units& memory) {
    if constexpr (Number::PER_UNIT == 1)
        return {a, ROWS * pitch, pitch, 1};
    else {
        const long length = units<Number>(K);
        float* made = memory.of(M * length);
        for (long m = 0; m < M; m++)
            for (long u = 0; u < length; u += LANES)
                store_up_to<LANES>(made + m * length + u, units_of_row<Number>(a + m * pitch, u, K), length - u);
        return {made, ROWS * length, length, 1};
    }
}

// The same of the matrix whose transpose [K, M] is given.
template <class Number>
static Left left_transposed(long M, long K, const float* a, long pitch, Units& memory) {
    constexpr int STRIPS = LANES / ROWS;  // at once
    const long length = units<Number>(K), strip = ROWS * length;
    float* made = memory.of((M + ROWS * STRIPS - 1) / (ROWS * STRIPS) * STRIPS * strip);
    for (long m = 0; m < M; m += ROWS * STRIPS)
        for (long u = 0; u < length; u++) {
            const float* first = a + u * Number::PER_UNIT * pitch + m;
            const bool last = u * Number::PER_UNIT + 1 >= K;
            const Floats second = last ? Floats{} : load_up_to<LANES>(first + pitch, M - m);
            const Floats both = Number::unite(load_up_to<LANES>(first, M - m), second);
            float* to = made + m / ROWS * strip + u * ROWS;
            for (int s = 0; s < STRIPS; s++) std::memcpy(to + s * strip, (const float*)&both + s * ROWS, ROWS * sizeof(float));
        }
    return {made, strip, 1, ROWS};
}

template <class Number, int rows>
static void tile(Left a, const float* b, long length, float* c, long pitch, long columns, bool add) {
    Floats sums[rows][VECTORS] = {};
    for (long u = 0; u < length; u++, a.at += a.step, b += PANEL) {
        Floats right[VECTORS];
        for (int v = 0; v < VECTORS; v++) right[v] = load(b + v * LANES);
        for (int m = 0; m < rows; m++) {
            const Floats one = splat(a.at[m * a.row]);
            for (int v = 0; v < VECTORS; v++) sums[m][v] = Number::add_product(sums[m][v], one, right[v]);
        }
    }
    for (int m = 0; m < rows; m++)
        for (int v = 0; v < VECTORS; v++) {
            float* to = c + m * pitch + v * LANES;
            const Floats before = add ? load_up_to<LANES>(to, columns - v * LANES) : Floats{};
            store_up_to<LANES>(to, before + sums[m][v], columns - v * LANES);
        }
}

template <class Number, int rows = ROWS>
static void tile_of(long wanted, Left a, const float* b, long length, float* c, long pitch, long columns, bool add) {
    if (wanted >= rows)
        tile<Number, rows>(a, b, length, c, pitch, columns, add);
    else if constexpr (rows > 1)
        tile_of<Number, rows - 1>(wanted, a, b, length, c, pitch, columns, add);
}

// C [M, N], `pitch` floats from row to row, becomes A B or, with `add`, C + A B; `packed` is what `pack` made of B.
template <class Number>
static void multiply(long M, long N, long K, Left a, const float* packed, float* c, long pitch, bool add) {
    const long length = units<Number>(K);
    for (long from = 0; from < length; from += STRETCH) {
        const long stretch = std::min(length - from, STRETCH);
        for (long n = 0; n < N; n += PANEL)
            for (long m = 0; m < M; m += ROWS) {
                const Left strip = {a.at + m / ROWS * a.strip + from * a.step, 0, a.row, a.step};
                const float* panel = packed + n * length + from * PANEL;
                tile_of<Number>(M - m, strip, panel, stretch, c + m * pitch + n, pitch, N - n, add || from);
            }
    }
}

// B [K, N] into panels [N / PANEL, units of K, PANEL], zeros where the last one has no columns. It is read a few rows at
// a time, each along its length: down a panel's column every read would be of another page.
template <class Number>
static const float* pack(long K, long N, const float* b, long pitch, Units& memory) {
    constexpr long TOGETHER = 8;
    const long length = units<Number>(K);
    float* made = memory.of(packed_size<Number>(K, N));
    for (long from = 0; from < length; from += TOGETHER)
        for (long n = 0; n < N; n += PANEL)
            for (long u = from; u < std::min(from + TOGETHER, length); u++)
                for (long v = 0; v < PANEL; v += LANES) {
                    const long k = u * Number::PER_UNIT;
                    const float* first = b + k * pitch + n + v;
                    const Floats second = k + 1 < K ? load_up_to<LANES>(first + pitch, N - n - v) : Floats{};
                    store(made + n * length + u * PANEL + v, Number::unite(load_up_to<LANES>(first, N - n - v), second));
                }
    return made;
}

// The same of the matrix whose transpose [N, K] is given, as a layer's weights are.
template <class Number>
static const float* pack_transposed(long K, long N, const float* b, long pitch, Units& memory) {
    const long length = units<Number>(K);
    float* made = memory.of(packed_size<Number>(K, N));
    for (long n = 0; n < (N + PANEL - 1) / PANEL * PANEL; n += LANES)
        for (long u = 0; u < length; u += LANES) {
            Floats block[LANES];
            for (int row = 0; row < LANES; row++)
                block[row] = n + row < N ? units_of_row<Number>(b + (n + row) * pitch, u, K) : Floats{};
            transpose(block);
            float* to = made + n / PANEL * PANEL * length + u * PANEL + n % PANEL;
            for (long row = 0; row < std::min<long>(LANES, length - u); row++) store(to + row * PANEL, block[row]);
        }
    return made;
}

