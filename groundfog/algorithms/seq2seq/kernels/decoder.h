// The usual decoder (LSTM) in eval mode, a step of many hypotheses at a time; `../network/decoder.py` says what is computed.
//
// Hypotheses that continue the same one share its h and h~, hence their product with the first cell's matrix, most of a
// step's work: it is made once for each hypothesis that is continued, not for each that continues it. A step's hypotheses
// may come in several parts, so that what the first ones are continued by can tell that others need not come at all.
//
// Letters: B sources   R rows (hypotheses)   S positions of a source   H hidden   V vocabulary

#pragma once

#include "encoder.h"

namespace {

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
    long reached, first;    // rows of `now` made so far; those before the present part
    std::vector<Row> rows;  // of the present part
    Numbers place;          // for each row of `before` the one of `shared`, -1 where there is none yet
    long parents;           // rows of `shared` made so far
    Grid shared, told, input, top, queries, context, fed, gates;

  public:
    // Of the present part.
    Grid scores;   // [R, V]
    Grid weights;  // [R, the longest S]

    long vocabulary() const { return network.output.outputs; }

    Decoder(const Network& network, Memory& memory)
        : network(network), memory(memory), before(network.cell_count), now(network.cell_count) {
        begin(network, memory, now);
        reached = memory.sources();
    }

    // A new step, which at most so many hypotheses will come to.
    void step(long most) {
        before.swap(now);
        now.resize(most, network.hidden);
        shared.resize(most, network.cells[0].of_step.outputs);
        place.assign(reached, -1);
        reached = parents = 0;
    }

    // Some of the step's hypotheses. Says which row of the step the first of them has.
    long go_on(const std::vector<Row>& some) {
        rows = some;
        first = reached;
        reached += count();
        first_cell();
        top.resize(count(), network.hidden);
        for (long row = 0; row < count(); row++) copy(now.hidden[0].row(first + row), network.hidden, top.row(row));
        const long lower = network.cell_count - network.upper;
        for (long number = 1; number < lower; number++) climb(number, false);
        attend();
        if (network.upper) {
            sum_of(memory.states, context.resize(count(), network.hidden), false);
            for (long number = lower; number < network.cell_count; number++) climb(number, true);
        }
        multiply(network.combine_hidden, top, count(), fed);
        sum_of(memory.values, fed, true);
        for (long row = 0; row < count(); row++) {
            squash(fed.row(row), network.hidden);
            copy(fed.row(row), network.hidden, now.fed.row(first + row));
        }
        multiply(network.output, fed, count(), scores);
        return first;
    }

  private:
    long count() const { return rows.size(); }

    void first_cell() {
        const Cell& cell = network.cells[0];
        const long width = network.hidden, more = network.feeding ? width : 0, made = parents;
        input.resize(count(), more + width);
        for (const Row& row : rows) {
            if (place[row.parent] >= 0) continue;
            float* to = input.row(parents - made);
            copy(before.fed.row(row.parent), more, to);
            copy(before.hidden[0].row(row.parent), width, to + more);
            place[row.parent] = parents++;
        }
        multiply(cell.of_step, input, parents - made, shared.row(made), shared.pitch);
        if (!cell.table) {
            std::vector<int32_t> tokens;
            for (const Row& row : rows) tokens.push_back(row.token);
            gather(network.target_embedding, cell.of_input.inputs, tokens, input);
            multiply(cell.of_input, input, count(), told);
        }
        for (long row = 0; row < count(); row++) {
            const float* of_token = cell.table ? cell.table + rows[row].token * 4 * width : told.row(row);
            open(0, row, of_token, shared.row(place[rows[row].parent]));
        }
    }

    // One row through the cell of a layer, whose gates are the sum of `left` and `right`.
    float* open(long number, long row, const float* left, const float* right) {
        float* output = now.hidden[number].row(first + row);
        lstm(
            left, right, network.hidden, network.cells[number].candidate, before.cells[number].row(rows[row].parent),
            now.cells[number].row(first + row), output
        );
        return output;
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
            const float* output = open(number, row, gates.row(row), nullptr);
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
