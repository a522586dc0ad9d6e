// Rows times rows: C [M, N] = A [M, K] times the transpose of W [N, K], each number of C a dot product along K.
//
// PyTorch's layers keep their weights as W [N, K]. Reading them as they lie costs no packed copy, no second place in
// memory, and nothing to bring up to date when they are learnt further. The sums of a tile, M_TILE rows of A by N_TILE
// rows of W, are in registers, so that each vector that is loaded is used several times; and so many rows of A are taken
// at a time as the second cache holds, each to meet all of W.
//
// Each dot product adds in an order that K alone decides. What one row of A comes to does therefore not depend, to the
// last bit, on the rows beside it: a word has the same answer alone and among five hundred.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "vectors.h"

namespace dots {

#ifdef __AVX512F__
constexpr int M_TILE = 5, N_TILE = 5;   // 25 sums, 5 rows of A and one of W in 32 registers
constexpr long BYTES_OF_A = 768 << 10;  // at a time
#else
constexpr int M_TILE = 3, N_TILE = 4;  // 12 sums, 3 rows and one in 16
constexpr long BYTES_OF_A = 288 << 10;
#endif

constexpr long LINE = 64;  // bytes that a cache fetches at once

// Rows of floats, each at the start of a cache line, whose distance is no power of two: rows that lie 4096 bytes
// apart would fight for the same places of the first cache.
class Grid {
    float* memory = nullptr;
    long room = 0;

  public:
    long pitch = 0;

    Grid() = default;
    Grid(const Grid&) = delete;
    Grid& operator=(const Grid&) = delete;
    ~Grid() { std::free(memory); }

    // What was there before is lost; what is there now is anything.
    Grid& resize(long rows, long width) {
        pitch = (width + LANES - 1) / LANES * LANES + LANES;
        if (rows * pitch > room) {
            std::free(memory);
            room = rows * pitch;
            memory = static_cast<float*>(std::aligned_alloc(4 * LANES, room * sizeof(float)));
            if (!memory) throw std::bad_alloc();
        }
        return *this;
    }
    Grid& zeros(long rows, long width) {
        resize(rows, width);
        std::fill(memory, memory + rows * pitch, 0.0f);
        return *this;
    }
    float* row(long number) { return memory + number * pitch; }
    const float* row(long number) const { return memory + number * pitch; }
    void swap(Grid& other) {
        std::swap(memory, other.memory);
        std::swap(room, other.room);
        std::swap(pitch, other.pitch);
    }
};

// The sums of four vectors' lanes, each added up in the same order.
typedef float Four __attribute__((vector_size(16)));
#define LANES_OF(...) __builtin_shufflevector(__VA_ARGS__)
#ifdef __AVX512F__
static inline Four sums(Floats a, Floats b, Floats c, Floats d) {
    const auto halves = [](Floats left, Floats right) {
        return LANES_OF(left, right, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
               LANES_OF(left, right, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
    };
    const Floats ab = halves(a, b), cd = halves(c, d);
    const Floats each = LANES_OF(ab, cd, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
                        LANES_OF(ab, cd, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    const auto eight =
        LANES_OF(each, each, 0, 1, 2, 3, 4, 5, 6, 7) + LANES_OF(each, each, 8, 9, 10, 11, 12, 13, 14, 15);
    return LANES_OF(eight, eight, 0, 1, 2, 3) + LANES_OF(eight, eight, 4, 5, 6, 7);
}
#else
static inline Four sums(Floats a, Floats b, Floats c, Floats d) {
    const auto halves = [](Floats left, Floats right) {
        return LANES_OF(left, right, 0, 8, 2, 10, 4, 12, 6, 14) + LANES_OF(left, right, 1, 9, 3, 11, 5, 13, 7, 15);
    };
    const Floats ab = halves(a, b), cd = halves(c, d);
    const Floats each = LANES_OF(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) + LANES_OF(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    return LANES_OF(each, each, 0, 1, 2, 3) + LANES_OF(each, each, 4, 5, 6, 7);
}
#endif
#undef LANES_OF

// Loaded once: left to itself, GCC reads the memory anew in each product, and then loading takes the longest.
static inline Floats in_register(Floats values) {
#ifdef __FMA__
    asm("" : "+v"(values));
#endif
    return values;
}

struct Single {
    typedef float Number;
    static constexpr int STEP = LANES;
    static Floats piece(const float* from) { return load(from); }
    static Floats piece(const float* from, long count) {
        Floats found = {};
        std::memcpy(&found, from, count * sizeof(float));
        return found;
    }
    static Floats add_product(Floats sum, Floats left, Floats right) { return ::add_product(sum, left, right); }
};

#ifdef __AVX512BF16__
// Two neighbours along K are multiplied and added at once.
struct Half {
    typedef uint16_t Number;
    static constexpr int STEP = 2 * LANES;
    static Floats piece(const uint16_t* from) { return (Floats)_mm512_loadu_si512(from); }
    static Floats piece(const uint16_t* from, long count) {
        return (Floats)_mm512_maskz_loadu_epi16((__mmask32)((1ull << count) - 1), from);
    }
    static Floats add_product(Floats sum, Floats left, Floats right) {
        return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
    }
};

// A row to the nearest bfloat16s.
static inline void round(const float* row, long count, uint16_t* to) {
    for (long at = 0; at < count; at += LANES) {
        const __mmask16 some = (__mmask16)((1u << std::min<long>(count - at, LANES)) - 1);
        _mm256_mask_storeu_epi16(to + at, some, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, row + at)));
    }
}
#endif

// M by N numbers of C. With `add` they are added to what is there, else to the bias, if there is one.
template <class Kind, int M, int N>
static void tile(
    const typename Kind::Number* a, long a_pitch, const typename Kind::Number* w, long w_pitch, long K,
    const float* bias, bool add, float* c, long c_pitch
) {
    Floats total[M * N + 3] = {};
    const auto along = [&](auto piece) {
        Floats left[M];
        for (int m = 0; m < M; m++) left[m] = in_register(piece(a + m * a_pitch));
        for (int n = 0; n < N; n++) {
            const Floats right = in_register(piece(w + n * w_pitch));
            for (int m = 0; m < M; m++) total[m * N + n] = Kind::add_product(total[m * N + n], left[m], right);
        }
    };
    long k = 0;
    for (; k + Kind::STEP <= K; k += Kind::STEP) along([k](auto row) { return Kind::piece(row + k); });
    if (k < K) along([k, K](auto row) { return Kind::piece(row + k, K - k); });
    float flat[M * N + 3];
    for (int at = 0; at < M * N; at += 4) {
        const Four four = sums(total[at], total[at + 1], total[at + 2], total[at + 3]);
        std::memcpy(flat + at, &four, sizeof four);
    }
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            float* to = c + m * c_pitch + n;
            *to = flat[m * N + n] + (add ? *to : bias ? bias[n] : 0.0f);
        }
}

// The last rows of A, fewer than M_TILE.
template <class Kind, int N, int M = M_TILE - 1, class... Rest>
static void last_rows(long rows, Rest... rest) {
    if constexpr (M > 0) {
        if (rows == M)
            tile<Kind, M, N>(rest...);
        else
            last_rows<Kind, N, M - 1>(rows, rest...);
    }
}

// N rows of W, which stay in the first cache, against all of A. With each tile a piece of the rows after them is called up
// into the second: the processor does not guess so far ahead, and a matrix that is larger comes from beyond.
template <class Kind, int N>
static void columns(
    const typename Kind::Number* a, long a_pitch, long M, const typename Kind::Number* w, long w_pitch, long K,
    const float* bias, bool add, float* c, long c_pitch
) {
    const char* ahead = reinterpret_cast<const char*>(w + N * w_pitch);
    const char* const end = reinterpret_cast<const char*>(w + 2 * N * w_pitch);
    const long piece = ((end - ahead) * M_TILE / M / LINE + 1) * LINE;
    long m = 0;
    for (; m + M_TILE <= M; m += M_TILE) {
        for (const char* const to = std::min(ahead + piece, end); ahead < to; ahead += LINE) __builtin_prefetch(ahead, 0, 2);
        tile<Kind, M_TILE, N>(a + m * a_pitch, a_pitch, w, w_pitch, K, bias, add, c + m * c_pitch, c_pitch);
    }
    last_rows<Kind, N>(M - m, a + m * a_pitch, a_pitch, w, w_pitch, K, bias, add, c + m * c_pitch, c_pitch);
}

template <class Kind>
static void multiply(
    const typename Kind::Number* a, long a_pitch, long M, const typename Kind::Number* w, long N, long K,
    const float* bias, bool add, float* c, long c_pitch
) {
    const auto at = [bias](long n) { return bias ? bias + n : nullptr; };
    const long most = std::max<long>(BYTES_OF_A / (K * sizeof *a) / M_TILE, 1) * M_TILE;
    for (long m = 0; m < M; m += most, a += most * a_pitch, c += most * c_pitch) {
        const long rows = std::min(M - m, most);
        long n = 0;
        for (; n + N_TILE <= N; n += N_TILE)
            columns<Kind, N_TILE>(a, a_pitch, rows, w + n * K, K, K, at(n), add, c + n, c_pitch);
        for (; n < N; n++) columns<Kind, 1>(a, a_pitch, rows, w + n * K, K, K, at(n), add, c + n, c_pitch);
    }
}

}  // namespace dots
