// Search in compiled steps: whole sources in and whole targets out, so that no step costs a call. `../search/beam.py` tells
// the same search in PyTorch and says what it means; `decoding.py` calls this one. Finished hypotheses cost nothing.

#include <limits>
#include <memory>

#include "decoder.h"

namespace {

constexpr float NEVER = -std::numeric_limits<float>::infinity();
enum { PAD = 0, BEGIN = 2, END = 3 };

extern "C" {

struct Wanted {
    int64_t width, longest, nbest, attention;
    double alpha;
};

// Of all sources in turn, the hypotheses of each, the best first.
struct Found {
    const int64_t *counts, *lengths;  // hypotheses of a source; tokens of a hypothesis, without </s>
    const int32_t* ids;
    const float *totals, *scores;
    const float* looked;  // for each token the weights of its source's positions
};
}

// A hypothesis: the one that it continues, and the token that it says then.
struct Node {
    float total;  // log probability
    int32_t token;
    long parent, length;
    long row;     // of the decoder's step that `parent` was in
    long looked;  // where that step's weights are
};

struct Beam {
    long source;
    std::vector<Node> nodes;
    Numbers alive;  // the best ones so far, at most as many as the beam is wide
    std::vector<float> looked;
};

struct Answers : Found {
    Numbers counts_, lengths_;
    std::vector<int32_t> ids_;
    std::vector<float> totals_, scores_, looked_;

    Found* seal() {
        counts = counts_.data(), lengths = lengths_.data(), ids = ids_.data();
        totals = totals_.data(), scores = scores_.data(), looked = looked_.data();
        return this;
    }
};

class Search {
    const Wanted& wanted;
    const Memory& memory;
    Decoder decoder;
    std::vector<Beam> beams;
    Numbers going;  // the beams that are not done

  public:
    Search(const Network& network, const Wanted& wanted, Memory& memory)
        : wanted(wanted), memory(memory), decoder(network, memory), beams(memory.sources()) {
        for (long source = 0; source < memory.sources(); source++) {
            beams[source] = {source, {{0, BEGIN, -1, 0, source, 0}}, {0}, {}};
            going.push_back(source);
        }
    }

    void run() {
        for (long spoken = 0; spoken <= wanted.longest && !going.empty(); spoken++) {
            std::vector<Row> rows;
            for (const long number : going)
                for (const long at : beams[number].alive) {
                    const Node& node = beams[number].nodes[at];
                    if (node.token != END) rows.push_back({number, node.row, node.token});
                }
            decoder.step(rows);
            long row = 0;
            Numbers still;
            for (const long number : going) {
                row = go_on(beams[number], row, spoken == wanted.longest);
                if (!done(beams[number])) still.push_back(number);
            }
            going.swap(still);
        }
    }

    // In the order in which the sources were given.
    void answer(Answers& answers) const {
        Numbers beam_of(memory.sources());
        for (long number = 0; number < memory.sources(); number++) beam_of[memory.places[number]] = number;
        for (const long number : beam_of) {
            const Numbers best = ranked(beams[number]);
            answers.counts_.push_back(best.size());
            for (const long at : best) tell(beams[number], at, answers);
        }
    }

  private:
    float score(float total, long length) const { return total / static_cast<float>(std::pow(length, wanted.alpha)); }

    // Every continuation of the beam's hypotheses, the first of which is in the decoder's `row`; keeps the best.
    long go_on(Beam& beam, long row, bool last) {
        std::vector<Node> best;
        for (const long at : beam.alive) {
            const Node node = beam.nodes[at];
            if (node.token == END)
                offer(best, node);
            else
                continue_node(beam, at, row++, last, best);
        }
        beam.alive.clear();
        for (const Node& node : best) {
            beam.alive.push_back(beam.nodes.size());
            beam.nodes.push_back(node);
        }
        return row;
    }

    void continue_node(Beam& beam, long at, long row, bool last, std::vector<Node>& best) {
        const Node node = beam.nodes[at];
        float* scores = decoder.scores.row(row);
        scores[PAD] = scores[BEGIN] = NEVER;
        const long vocabulary = decoder.vocabulary();
        const float most = *std::max_element(scores, scores + vocabulary);
        Floats total = {};
        along(vocabulary, [&](long from, auto count) {
            const Floats parts = exponential(some(scores + from, count) - most);
            total += count == LANES ? parts : some(reinterpret_cast<const float*>(&parts), count);
        });
        const float all = std::log(sum(total));
        const long looked = beam.looked.size();
        if (wanted.attention) {
            const float* weights = decoder.weights.row(row);
            beam.looked.insert(beam.looked.end(), weights, weights + memory.lengths[beam.source]);
        }
        for (long token = last ? END : 0; token < (last ? END + 1 : vocabulary); token++)
            offer(
                best, {node.total + ((scores[token] - most) - all), static_cast<int32_t>(token), at, node.length + 1, row,
                       looked}
            );
    }

    // Keeps the best in order; of equal ones the first.
    void offer(std::vector<Node>& best, const Node& node) const {
        const bool full = static_cast<long>(best.size()) == wanted.width;
        if (!(node.total > (full ? best.back().total : NEVER))) return;
        if (full) best.pop_back();
        const auto worse = [](const Node& one, const Node& other) { return one.total > other.total; };
        best.insert(std::upper_bound(best.begin(), best.end(), node, worse), node);
    }

    // The finished ones, the best first.
    Numbers ranked(const Beam& beam) const {
        Numbers finished;
        for (const long at : beam.alive)
            if (beam.nodes[at].token == END) finished.push_back(at);
        std::stable_sort(finished.begin(), finished.end(), [&](long one, long other) {
            return score_of(beam, one) > score_of(beam, other);
        });
        if (static_cast<long>(finished.size()) > wanted.nbest) finished.resize(wanted.nbest);
        return finished;
    }

    float score_of(const Beam& beam, long at) const { return score(beam.nodes[at].total, beam.nodes[at].length); }

    // Whether nothing better can come.
    bool done(const Beam& beam) const {
        float to_come = NEVER;
        for (const long at : beam.alive)
            if (beam.nodes[at].token != END)
                to_come = std::max(to_come, score(beam.nodes[at].total, wanted.longest + 1));
        const Numbers finished = ranked(beam);
        const bool enough = static_cast<long>(finished.size()) == wanted.nbest;
        return (enough ? score_of(beam, finished.back()) : NEVER) >= to_come;
    }

    void tell(const Beam& beam, long at, Answers& answers) const {
        const long positions = memory.lengths[beam.source];
        answers.totals_.push_back(beam.nodes[at].total);
        answers.scores_.push_back(score_of(beam, at));
        Numbers path;
        for (long node = beam.nodes[at].parent; beam.nodes[node].parent >= 0; node = beam.nodes[node].parent)
            path.push_back(node);
        answers.lengths_.push_back(path.size());
        for (auto node = path.rbegin(); node != path.rend(); ++node) {
            answers.ids_.push_back(beam.nodes[*node].token);
            if (!wanted.attention) continue;
            const float* weights = &beam.looked[beam.nodes[*node].looked];
            answers.looked_.insert(answers.looked_.end(), weights, weights + positions);
        }
    }
};

}  // namespace

extern "C" {

// `lengths` of the sources, none of them 0, and their ids one after the other; null where memory is short.
Found* search(
    const Network* network, const Wanted* wanted, const int32_t* ids, const int64_t* lengths, int64_t sources
) try {
    Memory memory;
    order(ids, lengths, sources, memory);
    encode(*network, memory);
    Search search(*network, *wanted, memory);
    search.run();
    auto answers = std::make_unique<Answers>();
    search.answer(*answers);
    return answers.release()->seal();
} catch (const std::bad_alloc&) {
    return nullptr;
}

int has_half() {
#ifdef __AVX512BF16__
    return 1;
#else
    return 0;
#endif
}

void release(Found* found) { delete static_cast<Answers*>(found); }
}
