// The usual encoder (LSTM) in eval mode, over plain rows of floats, and what it shares with the decoder;
// `../network/encoder.py` says what is computed here and why.
//
// Nothing is padded. Positions of all sources lie in one row, and the longest source comes first, so that those still
// read at step t are the first ones.
//
// Letters: B sources   P positions of all sources   H hidden   G = 4H gates   A of the attention

#pragma once

#include <cmath>
#include <numeric>
#include <vector>

#include "dots.h"

namespace {

using dots::Grid;

extern "C" {

struct Matrix {
    const void* weights;  // [outputs, inputs] of floats or, if `half`, of bfloat16s
    const float* bias;    // [outputs] or null
    int64_t outputs, inputs, half;
};

struct Cell {
    Matrix of_input, of_step;
    const float* table;  // of_input's result for each token, if the input is a token and they are few
    int64_t candidate;   // which of the four gates is the candidate: 2 in PyTorch's order, 3 in ours
};

struct Layer {
    Cell onward, back;
    int64_t both, residual;
};

enum Attention { MLP, PRODUCT, FIXED };
enum FirstState { LAST, AVERAGE, ZERO };

struct Network {
    const float *source_embedding, *target_embedding;
    const Layer* layers;
    const Cell* cells;
    const int64_t* residual;  // of each cell
    const Matrix* begin;      // of each cell: of its output, of its cell
    Matrix of_key, of_query, combine_hidden, combine_context, output;
    const float* direction;
    int64_t layer_count, cell_count, upper, feeding, hidden, attention, first_state;
};

}

typedef std::vector<int64_t> Numbers;

void multiply(const Matrix& matrix, const Grid& rows, long count, float* to, long pitch, bool add = false) {
#ifdef __AVX512BF16__
    if (matrix.half) {
        std::vector<uint16_t> rounded(count * matrix.inputs);
        for (long row = 0; row < count; row++) dots::round(rows.row(row), matrix.inputs, &rounded[row * matrix.inputs]);
        const auto weights = static_cast<const uint16_t*>(matrix.weights);
        return dots::multiply<dots::Half>(
            rounded.data(), matrix.inputs, count, weights, matrix.outputs, matrix.inputs, matrix.bias, add, to, pitch
        );
    }
#endif
    const auto weights = static_cast<const float*>(matrix.weights);
    dots::multiply<dots::Single>(
        rows.row(0), rows.pitch, count, weights, matrix.outputs, matrix.inputs, matrix.bias, add, to, pitch
    );
}

void multiply(const Matrix& matrix, const Grid& rows, long count, Grid& results, bool add = false) {
    if (!add) results.resize(count, matrix.outputs);
    multiply(matrix, rows, count, results.row(0), results.pitch, add);
}

typedef std::integral_constant<long, LANES> All;

// What a function of vectors makes of `width` numbers, a vector at a time; the last one may be less than full.
template <class Function>
inline void along(long width, Function function) {
    long at = 0;
    for (; at + LANES <= width; at += LANES) function(at, All());
    if (at < width) function(at, width - at);
}

inline Floats some(const float* from, All) { return load(from); }
inline Floats some(const float* from, long count) { return dots::Single::piece(from, count); }
inline void put(float* to, Floats values, All) { store(to, values); }
inline void put(float* to, Floats values, long count) { std::memcpy(to, &values, count * sizeof(float)); }

// e^-x where it is the larger part of 1 + e^-x, which is what matters in sigmoid(x) = 1 / (1 + e^-x) and in
// tanh(x) = (1 - e^-2x) / (1 + e^-2x). Three of them can be multiplied.
inline Floats falling(Floats x) { return exponential<-87, 25>(-x); }

// One row through an LSTM cell whose gates are the sum of two rows [G]; `right` may be null. Quotients that are added
// or multiplied become one: a division takes as long as ten products.
void lstm(
    const float* left, const float* right, long hidden, long candidate, const float* before, float* cell, float* to
) {
    const long leave = candidate == 3 ? 2 : 3;
    along(hidden, [&](long at, auto count) {
        const auto gate = [&](long number) {
            const Floats gate = some(left + number * hidden + at, count);
            return right ? gate + some(right + number * hidden + at, count) : gate;
        };
        const Floats told = gate(candidate), new_part = falling(told + told);
        const Floats entered = (1.0f + falling(gate(0))) * (1.0f + new_part), forget = 1.0f + falling(gate(1));
        const Floats now = (some(before + at, count) * entered + (1.0f - new_part) * forget) / (entered * forget);
        const Floats squashed = falling(now + now);
        put(to + at, (1.0f - squashed) / ((1.0f + squashed) * (1.0f + falling(gate(leave)))), count);
        put(cell + at, now, count);
    });
}

void copy(const float* from, long width, float* to) { std::memcpy(to, from, width * sizeof(float)); }

void add(const float* from, long width, float* to) {
    along(width, [&](long at, auto count) { put(to + at, some(to + at, count) + some(from + at, count), count); });
}

// The sources, the longest first, as the decoder sees them.
struct Memory {
    Numbers places, lengths, starts;  // [B]: which of the given sources it is; its first position among all
    std::vector<int32_t> ids;         // [P]
    Grid states, keys, values;        // [P, H], [P, A], [P, H]
    Grid last[2];                     // [B, H]: what the last layer ended in, output and cell

    long sources() const { return lengths.size(); }
};

void order(const int32_t* ids, const int64_t* lengths, long sources, Memory& memory) {
    Numbers given(sources, 0);
    for (long source = 1; source < sources; source++) given[source] = given[source - 1] + lengths[source - 1];
    memory.places.resize(sources);
    std::iota(memory.places.begin(), memory.places.end(), 0);
    const auto longer = [&](long one, long other) { return lengths[one] > lengths[other]; };
    std::stable_sort(memory.places.begin(), memory.places.end(), longer);
    for (const long place : memory.places) {
        memory.starts.push_back(memory.ids.size());
        memory.lengths.push_back(lengths[place]);
        memory.ids.insert(memory.ids.end(), ids + given[place], ids + given[place] + lengths[place]);
    }
}

// All sources through one direction of an encoder's layer; its output goes to `states` from column `offset` on.
void read(const Cell& cell, bool back, const Grid* projected, long offset, Memory& memory, Grid& states) {
    const long width = cell.of_step.inputs;
    Grid hidden, gates, cells;
    hidden.zeros(memory.sources(), width);
    cells.zeros(memory.sources(), width);
    long reading = memory.sources();
    for (long step = 0; step < memory.lengths[0]; step++) {
        while (memory.lengths[reading - 1] <= step) reading--;
        if (step) multiply(cell.of_step, hidden, reading, gates);
        for (long source = 0; source < reading; source++) {
            const long position = memory.starts[source] + (back ? memory.lengths[source] - 1 - step : step);
            const float* told = projected ? projected->row(position) : cell.table + memory.ids[position] * 4 * width;
            lstm(
                told, step ? gates.row(source) : nullptr, width, cell.candidate, cells.row(source), cells.row(source),
                hidden.row(source)
            );
            copy(hidden.row(source), width, states.row(position) + offset);
        }
    }
    for (long source = 0; source < memory.sources(); source++) {
        copy(hidden.row(source), width, memory.last[0].row(source) + offset);
        copy(cells.row(source), width, memory.last[1].row(source) + offset);
    }
}

void gather(const float* table, long width, const std::vector<int32_t>& ids, Grid& rows) {
    rows.resize(ids.size(), width);
    for (size_t at = 0; at < ids.size(); at++) copy(table + ids[at] * width, width, rows.row(at));
}

void encode(const Network& network, Memory& memory) {
    const long positions = memory.ids.size();
    for (Grid& last : memory.last) last.resize(memory.sources(), network.hidden);
    Grid before, projected;
    if (!network.layers[0].onward.table || network.layers[0].residual)
        gather(network.source_embedding, network.layers[0].onward.of_input.inputs, memory.ids, before);
    for (long number = 0; number < network.layer_count; number++) {
        const Layer& layer = network.layers[number];
        memory.states.resize(positions, network.hidden);
        for (int back = 0; back <= layer.both; back++) {
            const Cell& cell = back ? layer.back : layer.onward;
            if (!cell.table) multiply(cell.of_input, before, positions, projected);
            read(cell, back, cell.table ? nullptr : &projected, back * cell.of_step.inputs, memory, memory.states);
        }
        for (long position = 0; layer.residual && position < positions; position++)
            add(before.row(position), network.hidden, memory.states.row(position));
        if (number + 1 < network.layer_count) before.swap(memory.states);
    }
    if (network.of_key.weights) multiply(network.of_key, memory.states, positions, memory.keys);
    multiply(network.combine_context, memory.states, positions, memory.values);
}

}  // namespace
