// A step of an LSTM between its products: the gates' functions and their derivatives.
//
// Letters: H hidden. The gates of a row stand as in cells.py: input, forget, output, candidate, [4 H].

#pragma once

#include "vectors.h"

// `gates`, the product with the state before, become the gates opened; `projected` is what comes from the input.
static void open_gates(long H, const float* projected, float* gates, const float* before, float* cell, float* hidden) {
    for (long j = 0; j < H; j += LANES) {
        Floats gate[4];
        for (int g = 0; g < 4; g++) {
            const Floats sum = load_up_to<LANES>(gates + g * H + j, H - j) + load_up_to<LANES>(projected + g * H + j, H - j);
            gate[g] = g < 3 ? sigmoid(sum) : hyperbolic_tangent(sum);
            store_up_to<LANES>(gates + g * H + j, gate[g], H - j);
        }
        const Floats now = gate[1] * load_up_to<LANES>(before + j, H - j) + gate[0] * gate[3];
        store_up_to<LANES>(cell + j, now, H - j);
        store_up_to<LANES>(hidden + j, gate[2] * hyperbolic_tangent(now), H - j);
    }
}

// From the derivatives of hidden and cell those of the gates and, in d_cell's place, of the cell before.
static void open_gates_backward(
    long H, const float* gates, const float* before, const float* cell, const float* d_hidden, float* d_cell, float* d_gates
) {
    for (long j = 0; j < H; j += LANES) {
        const long count = H - j;
        const Floats enter = load_up_to<LANES>(gates + j, count), forget = load_up_to<LANES>(gates + H + j, count);
        const Floats leave = load_up_to<LANES>(gates + 2 * H + j, count), candidate = load_up_to<LANES>(gates + 3 * H + j, count);
        const Floats squashed = hyperbolic_tangent(load_up_to<LANES>(cell + j, count));
        const Floats d_output = load_up_to<LANES>(d_hidden + j, count);
        const Floats d = load_up_to<LANES>(d_cell + j, count) + d_output * leave * (1.0f - squashed * squashed);
        const Floats was = load_up_to<LANES>(before + j, count);
        store_up_to<LANES>(d_gates + j, d * candidate * enter * (1.0f - enter), count);
        store_up_to<LANES>(d_gates + H + j, d * was * forget * (1.0f - forget), count);
        store_up_to<LANES>(d_gates + 2 * H + j, d_output * squashed * leave * (1.0f - leave), count);
        store_up_to<LANES>(d_gates + 3 * H + j, d * enter * (1.0f - candidate * candidate), count);
        store_up_to<LANES>(d_cell + j, d * forget, count);
    }
}
