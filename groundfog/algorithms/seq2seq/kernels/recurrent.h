// The usual network (LSTM encoder and decoder) in eval mode, over plain rows of floats; `../encoder.py` and `../decoder.py`
// say what is computed here and why.
//
// What is done here that is not there:
//   - Nothing is padded. Positions of all sources lie in one row; in the encoder the longest source comes first, so that
//     those still read at step t are the first ones.
//   - Hypotheses that continue the same one share its h and h~, hence their product with the first cell's matrix, most
//     of a step's work: it is made once for each hypothesis that is continued, not for each that continues it.
//
// Letters: B sources   P positions of all sources   R rows (hypotheses)   H hidden   G = 4H gates   A of the attention

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

void multiply(const Matrix& matrix, const Grid& rows, long count, Grid& results, bool add = false) {
    if (!add) results.resize(count, matrix.outputs);
    const float* first = rows.row(0);
    float* to = results.row(0);
#ifdef __AVX512BF16__
    if (matrix.half) {
        std::vector<uint16_t> rounded(count * matrix.inputs);
        for (long row = 0; row < count; row++) dots::round(rows.row(row), matrix.inputs, &rounded[row * matrix.inputs]);
        const auto weights = static_cast<const uint16_t*>(matrix.weights);
        return dots::multiply<dots::Half>(
            rounded.data(), matrix.inputs, count, weights, matrix.outputs, matrix.inputs, matrix.bias, add, to,
            results.pitch
        );
    }
#endif
    const auto weights = static_cast<const float*>(matrix.weights);
    dots::multiply<dots::Single>(
        first, rows.pitch, count, weights, matrix.outputs, matrix.inputs, matrix.bias, add, to, results.pitch
    );
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
void lstm(const float* left, const float* right, long hidden, long candidate, const float* before, float* cell, float* to) {
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
    std::stable_sort(memory.places.begin(), memory.places.end(), [&](long a, long b) { return lengths[a] > lengths[b]; });
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

// Of each hypothesis the layers' outputs and cells, and h~.
struct State {
    std::vector<Grid> hidden, cells;
    Grid fed;

    explicit State(long layers) : hidden(layers), cells(layers) {}
    void swap(State& other) {
        hidden.swap(other.hidden);
        cells.swap(other.cells);
        fed.swap(other.fed);
    }
    void resize(long rows, long width) {
        for (Grid& grid : hidden) grid.resize(rows, width);
        for (Grid& grid : cells) grid.resize(rows, width);
        fed.resize(rows, width);
    }
};

void squash(float* row, long width) {
    along(width, [&](long at, auto count) { put(row + at, hyperbolic_tangent(some(row + at, count)), count); });
}

void begin(const Network& network, Memory& memory, State& state) {
    const long sources = memory.sources(), hidden = network.hidden;
    state.resize(sources, hidden);
    state.fed.zeros(sources, hidden);
    Grid mean;
    if (network.first_state == AVERAGE) {
        mean.zeros(sources, hidden);
        for (long source = 0; source < sources; source++) {
            for (long at = 0; at < memory.lengths[source]; at++)
                add(memory.states.row(memory.starts[source] + at), hidden, mean.row(source));
            for (long at = 0; at < hidden; at++) mean.row(source)[at] /= memory.lengths[source];
        }
    }
    for (long part = 0; part < 2 * network.cell_count; part++) {
        Grid& to = part % 2 ? state.cells[part / 2] : state.hidden[part / 2];
        if (network.first_state == ZERO) {
            to.zeros(sources, hidden);
            continue;
        }
        multiply(network.begin[part], network.first_state == LAST ? memory.last[part % 2] : mean, sources, to);
        for (long source = 0; source < sources; source++) squash(to.row(source), hidden);
    }
}

// One hypothesis that goes on: which source it is of, which row of the step before it continues, and by what.
struct Row {
    long source, parent;
    int32_t token;
};

class Decoder {
    const Network& network;
    const Memory& memory;
    State before, now;
    std::vector<Row> rows;
    Grid shared, told, input, top, queries, context, gates;

  public:
    Grid scores;   // [R, V]
    Grid weights;  // [R, the longest S]

    long vocabulary() const { return network.output.outputs; }

    Decoder(const Network& network, Memory& memory)
        : network(network), memory(memory), before(network.cell_count), now(network.cell_count) {
        begin(network, memory, now);
    }

    void step(const std::vector<Row>& next) {
        rows = next;
        before.swap(now);
        now.resize(rows.size(), network.hidden);
        first_cell();
        top.resize(count(), network.hidden);
        for (long row = 0; row < count(); row++) copy(now.hidden[0].row(row), network.hidden, top.row(row));
        const long lower = network.cell_count - network.upper;
        for (long number = 1; number < lower; number++) climb(number, false);
        attend();
        if (network.upper) {
            sum_of(memory.states, context.resize(count(), network.hidden), false);
            for (long number = lower; number < network.cell_count; number++) climb(number, true);
        }
        multiply(network.combine_hidden, top, count(), now.fed);
        sum_of(memory.values, now.fed, true);
        for (long row = 0; row < count(); row++) squash(now.fed.row(row), network.hidden);
        multiply(network.output, now.fed, count(), scores);
    }

  private:
    long count() const { return rows.size(); }

    void first_cell() {
        const Cell& cell = network.cells[0];
        const long hidden = network.hidden, fed = network.feeding ? hidden : 0;
        Numbers place(1 + std::max_element(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
                              return a.parent < b.parent;
                          })->parent, -1);
        input.resize(count(), fed + hidden);
        long parents = 0;
        for (const Row& row : rows) {
            if (place[row.parent] >= 0) continue;
            copy(before.fed.row(row.parent), fed, input.row(parents));
            copy(before.hidden[0].row(row.parent), hidden, input.row(parents) + fed);
            place[row.parent] = parents++;
        }
        multiply(cell.of_step, input, parents, shared);
        if (!cell.table) {
            std::vector<int32_t> tokens;
            for (const Row& row : rows) tokens.push_back(row.token);
            gather(network.target_embedding, cell.of_input.inputs, tokens, input);
            multiply(cell.of_input, input, count(), told);
        }
        for (long row = 0; row < count(); row++) {
            const long parent = rows[row].parent;
            const float* of_token = cell.table ? cell.table + rows[row].token * 4 * hidden : told.row(row);
            lstm(
                of_token, shared.row(place[parent]), hidden, cell.candidate, before.cells[0].row(parent),
                now.cells[0].row(row), now.hidden[0].row(row)
            );
        }
    }

    // `top` through a layer above the first, which is told the context too if it is above the attention.
    void climb(long number, bool told_context) {
        const Cell& cell = network.cells[number];
        const long hidden = network.hidden, more = told_context ? hidden : 0;
        multiply(cell.of_input, top, count(), gates);
        input.resize(count(), more + hidden);
        for (long row = 0; row < count(); row++) {
            if (told_context) copy(context.row(row), hidden, input.row(row));
            copy(before.hidden[number].row(rows[row].parent), hidden, input.row(row) + more);
        }
        multiply(cell.of_step, input, count(), gates, true);
        for (long row = 0; row < count(); row++) {
            float* output = now.hidden[number].row(row);
            lstm(
                gates.row(row), nullptr, hidden, cell.candidate, before.cells[number].row(rows[row].parent),
                now.cells[number].row(row), output
            );
            if (network.residual[number])
                add(output, hidden, top.row(row));
            else
                copy(output, hidden, top.row(row));
        }
    }

    void attend() {
        weights.resize(count(), memory.lengths[0]);
        const Grid& asked = network.of_query.weights ? queries : top;
        const Grid& keys = network.of_key.weights ? memory.keys : memory.states;
        const long width = network.of_key.weights ? network.of_key.outputs : network.hidden;
        if (network.of_query.weights) multiply(network.of_query, top, count(), queries);
        for (long row = 0; row < count(); row++) {
            float* weight = weights.row(row);
            const long source = rows[row].source, length = memory.lengths[source];
            for (long at = 0; at < length && network.attention != FIXED; at++)
                weight[at] = score(asked.row(row), keys.row(memory.starts[source] + at), width);
            if (network.attention == FIXED)
                for (long at = 0; at < length; at++) weight[at] = at == length - 1;
            else
                softmax(weight, length);
        }
    }

    float score(const float* query, const float* key, long width) const {
        Floats total = {};
        if (network.attention == MLP) return mlp_score(query, key, width);
        along(width, [&](long at, auto count) { total += some(query + at, count) * some(key + at, count); });
        return sum(total);
    }

    // v . tanh(q + k) by tanh(x) = 1 - 2 / (1 + e^2x), four quotients in one.
    float mlp_score(const float* query, const float* key, long width) const {
        struct Quotient {
            Floats above, below;
            Quotient operator+(const Quotient& other) const {
                return {above * other.below + other.above * below, below * other.below};
            }
        };
        const auto part = [&](long at, auto count) -> Quotient {
            const Floats x = some(query + at, count) + some(key + at, count);
            return {some(network.direction + at, count), 1.0f + exponential<-87, 20>(x + x)};
        };
        Floats total = {};
        const auto subtract = [&](const Quotient& all) { total -= all.above / all.below; };
        long at = 0;
        for (; at + 4 * LANES <= width; at += 4 * LANES)
            subtract(
                (part(at, All()) + part(at + LANES, All())) + (part(at + 2 * LANES, All()) + part(at + 3 * LANES, All()))
            );
        along(width - at, [&](long more, auto count) { subtract(part(at + more, count)); });
        return 2.0f * sum(total);
    }

    static void softmax(float* weight, long length) {
        const float most = *std::max_element(weight, weight + length);
        Floats total = {};
        along(length, [&](long at, auto count) {
            put(weight + at, exponential(some(weight + at, count) - most), count);
            total += some(weight + at, count);
        });
        const float all = sum(total);
        for (long at = 0; at < length; at++) weight[at] /= all;
    }

    // Of each row the rows of its source in the proportions of its weights.
    void sum_of(const Grid& values, Grid& sums, bool more) {
        for (long row = 0; row < count(); row++) {
            const long start = memory.starts[rows[row].source], length = memory.lengths[rows[row].source];
            const float* weight = weights.row(row);
            float* to = sums.row(row);
            along(network.hidden, [&](long at, auto count) {
                Floats total = more ? some(to + at, count) : Floats{};
                for (long position = 0; position < length; position++)
                    total += weight[position] * some(values.row(start + position) + at, count);
                put(to + at, total, count);
            });
        }
    }
};

}  // namespace
