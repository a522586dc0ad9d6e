// Attention of one sentence's decoder state: where it looks, what it finds, and the derivatives of both.
//
// Letters: S source positions   A width of the attention   H hidden

#pragma once

#include <cmath>

#include "vectors.h"

// What one sentence's steps look at.
struct Looked {
    long S, A, H;
    const float *keys, *values;  // [S, A], [S, H]
    const float* direction;      // [A]: mlp's v; null where the score is a product
};

// weights [S] from the query [A].
static void weigh(const Looked& it, const float* query, float* weights) {
    float most = -INFINITY, total = 0;
    for (long s = 0; s < it.S; s++) {
        Floats score = {};
        for (long a = 0; a < it.A; a += LANES) {
            const Floats key = load_up_to<LANES>(it.keys + s * it.A + a, it.A - a);
            const Floats asked = load_up_to<LANES>(query + a, it.A - a);
            score += it.direction ? hyperbolic_tangent(key + asked) * load_up_to<LANES>(it.direction + a, it.A - a) : key * asked;
        }
        weights[s] = sum(score);
        most = std::fmax(most, weights[s]);
    }
    for (long s = 0; s < it.S; s += LANES) {
        const Floats power = exponential(load_up_to<LANES>(weights + s, it.S - s) - most);
        store_up_to<LANES>(weights + s, power, it.S - s);
    }
    for (long s = 0; s < it.S; s++) total += weights[s];
    for (long s = 0; s < it.S; s++) weights[s] /= total;
}

// `found` [H], what comes from the decoder's state, becomes tanh(found + the values in the proportions of the weights).
static void conclude(const Looked& it, const float* weights, float* found) {
    for (long j = 0; j < it.H; j += LANES) {
        Floats context = load_up_to<LANES>(found + j, it.H - j);
        for (long s = 0; s < it.S; s++) context += weights[s] * load_up_to<LANES>(it.values + s * it.H + j, it.H - j);
        store_up_to<LANES>(found + j, hyperbolic_tangent(context), it.H - j);
    }
}

// From the context's derivative [H] the scores' [S].
static void weigh_backward(const Looked& it, const float* weights, const float* d_context, float* d_scores) {
    float mean = 0;
    for (long s = 0; s < it.S; s++) {
        Floats d_weight = {};
        for (long j = 0; j < it.H; j += LANES)
            d_weight += load_up_to<LANES>(it.values + s * it.H + j, it.H - j) * load_up_to<LANES>(d_context + j, it.H - j);
        d_scores[s] = sum(d_weight);
        mean += weights[s] * d_scores[s];
    }
    for (long s = 0; s < it.S; s++) d_scores[s] = weights[s] * (d_scores[s] - mean);
}

// From the scores' derivatives the query's, added to d_query; the keys' and v's are added to d_keys and d_direction.
static void score_backward(
    const Looked& it, const float* query, const float* d_scores, float* d_query, float* d_keys, float* d_direction
) {
    for (long a = 0; a < it.A; a += LANES) {
        const long count = it.A - a;
        const Floats asked = load_up_to<LANES>(query + a, count);
        Floats d_asked = load_up_to<LANES>(d_query + a, count), d_towards = {};
        const Floats towards = it.direction ? load_up_to<LANES>(it.direction + a, count) : Floats{};
        for (long s = 0; s < it.S; s++) {
            const Floats key = load_up_to<LANES>(it.keys + s * it.A + a, count);
            Floats d_key = load_up_to<LANES>(d_keys + s * it.A + a, count);
            if (it.direction) {
                const Floats together = hyperbolic_tangent(key + asked);
                const Floats d_sum = d_scores[s] * towards * (1.0f - together * together);
                d_towards += d_scores[s] * together;
                d_asked += d_sum;
                d_key += d_sum;
            } else {
                d_asked += d_scores[s] * key;
                d_key += d_scores[s] * asked;
            }
            store_up_to<LANES>(d_keys + s * it.A + a, d_key, count);
        }
        store_up_to<LANES>(d_query + a, d_asked, count);
        if (it.direction) store_up_to<LANES>(d_direction + a, load_up_to<LANES>(d_direction + a, count) + d_towards, count);
    }
}

// From the context's derivative the values', added to d_values [S, H].
static void values_backward(const Looked& it, const float* weights, const float* d_context, float* d_values) {
    for (long s = 0; s < it.S; s++)
        for (long j = 0; j < it.H; j++) d_values[s * it.H + j] += weights[s] * d_context[j];
}
