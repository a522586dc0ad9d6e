// Search in compiled steps: whole sources in and whole targets out, so that no step costs a call. `../search/beam.py` tells
// the same search in PyTorch and says what it means; `decoding.py` calls this one. Finished hypotheses cost nothing.

#include <limits>
#include <memory>

#include "decoder.h"

namespace {

constexpr float NEVER = -std::numeric_limits<float>::infinity();
enum { PAD = 0, BEGIN = 2, END = 3 };
constexpr long ENOUGH = 96;  // rows in a step's part: with fewer a matrix is read from far away for too little

extern "C" {

struct Wanted {
    int64_t width, longest, nbest, attention;
    double alpha, threshold;
};

// Of all sources in turn, the hypotheses of each, the best first.
struct Found {
    const int64_t *counts, *lengths;  // hypotheses of a source; tokens of a hypothesis, without </s>
    const int32_t* ids;
    const float *totals, *scores;
    const float* looked;  // for each token the weights of its source's positions
};
}

// Of a step's scores: log p of a token is its score less `most` less `rest`. What may never be said gets no score.
struct Normal {
    float most, rest;
};

Normal normal(float* scores, long vocabulary) {
    scores[PAD] = scores[BEGIN] = NEVER;
    const float most = *std::max_element(scores, scores + vocabulary);
    Floats total = {};
    along(vocabulary, [&](long from, auto count) {
        const Floats parts = exponential(some(scores + from, count) - most);
        total += count == LANES ? parts : some(reinterpret_cast<const float*>(&parts), count);
    });
    return {most, std::log(sum(total))};
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
    Numbers alive;  // the best ones so far, the best first, at most as many as the beam is wide
    std::vector<float> looked;
    // In a step:
    size_t next;             // which of `alive` comes next
    std::vector<Node> best;  // of the continuations of those before
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
            beams[source] = {source, {{0, BEGIN, -1, 0, source, 0}}, {0}, {}, 0, {}};
            going.push_back(source);
        }
    }

    void run() {
        for (long spoken = 0; spoken <= wanted.longest && !going.empty(); spoken++) {
            long most = 0;
            for (const long number : going) most += beams[number].alive.size();
            decoder.step(most);
            Numbers asking = going;
            while (!asking.empty()) asking = go_on(asking, spoken == wanted.longest);
            Numbers still;
            for (const long number : going) {
                settle(beams[number]);
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

    // Steps the next best hypotheses of these beams; returns the beams that may have more.
    Numbers go_on(const Numbers& asking, bool last) {
        const long each = std::max<long>(1, ENOUGH / asking.size());
        std::vector<Row> rows;
        for (const long number : asking) gather(number, each, rows);
        if (rows.empty()) return {};
        const long first = decoder.go_on(rows);
        Numbers more;
        for (size_t row = 0; row < rows.size(); row++) {
            Beam& beam = beams[rows[row].source];
            pass_finished(beam);
            continue_node(beam, beam.alive[beam.next++], row, first, last);
            if (more.empty() || more.back() != rows[row].source) more.push_back(rows[row].source);
        }
        return more;
    }

    void gather(long number, long most, std::vector<Row>& rows) {
        Beam& beam = beams[number];
        pass_finished(beam);
        for (size_t at = beam.next; at < beam.alive.size() && most; at++) {
            const Node& node = beam.nodes[beam.alive[at]];
            if (node.token == END) continue;
            if (hopeless(beam, node)) break;  // and so are all after it, finished ones too
            rows.push_back({number, node.row, node.token});
            most--;
        }
    }

    // Finished ones stay as they are. Each is offered in its turn, so that equal ones have the same order in any batch.
    void pass_finished(Beam& beam) const {
        for (; beam.next < beam.alive.size() && beam.nodes[beam.alive[beam.next]].token == END; beam.next++)
            offer(beam.best, beam.nodes[beam.alive[beam.next]]);
    }

    // Whether stepping it could change no answer, since log probabilities only fall: its continuations would not enter
    // the beam, or they would end behind `nbest` finished ones. Those stay, unless better ones than this fill the beam;
    // and what its continuations could displace is behind them too.
    bool hopeless(const Beam& beam, const Node& node) const {
        if (static_cast<long>(beam.best.size()) == wanted.width && node.total <= beam.best.back().total) return true;
        const float bound = score(node.total, wanted.longest + 1);
        return wanted.nbest <= std::count_if(beam.best.begin(), beam.best.end(), [&](const Node& other) {
            return other.token == END && score(other.total, other.length) > bound;
        });
    }

    // The continuations take the places of what they continue, without those that fall behind the best by too much.
    void settle(Beam& beam) {
        beam.alive.clear();
        const auto best = std::find_if(beam.best.begin(), beam.best.end(), [](const Node& node) { return node.token != END; });
        const float least = best == beam.best.end() ? NEVER : best->total - static_cast<float>(wanted.threshold);
        for (const Node& node : beam.best) {
            if (node.token != END && node.total < least) continue;
            beam.alive.push_back(beam.nodes.size());
            beam.nodes.push_back(node);
        }
        beam.best.clear();
        beam.next = 0;
    }

    // Offers every continuation of a hypothesis, whose scores are in the decoder's `row`; its part begins at `first`.
    void continue_node(Beam& beam, long at, long row, long first, bool last) {
        const Node node = beam.nodes[at];
        float* scores = decoder.scores.row(row);
        const long vocabulary = decoder.vocabulary();
        const Normal all = normal(scores, vocabulary);
        const long looked = beam.looked.size();
        if (wanted.attention) {
            const float* weights = decoder.weights.row(row);
            beam.looked.insert(beam.looked.end(), weights, weights + memory.lengths[beam.source]);
        }
        for (long token = last ? END : 0; token < (last ? END + 1 : vocabulary); token++)
            offer(
                beam.best, {node.total + ((scores[token] - all.most) - all.rest), static_cast<int32_t>(token), at,
                            node.length + 1, first + row, looked}
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

// Targets that are given, each of one of the sources: how probable they are, and where the decoder looks meanwhile.
class Forced {
    const Memory& memory;
    Decoder decoder;
    struct Target {
        const int32_t* ids;
        long length, source;
        long row;  // of the step before
        float total;
        std::vector<float> looked;
    };
    std::vector<Target> targets;

  public:
    Forced(const Network& network, Memory& memory) : memory(memory), decoder(network, memory) {}

    // `source` as it was given.
    void add(const int32_t* ids, long length, long source) {
        const long at = std::find(memory.places.begin(), memory.places.end(), source) - memory.places.begin();
        targets.push_back({ids, length, at, at, 0, {}});
    }

    void run() {
        Numbers going(targets.size());
        for (size_t number = 0; number < targets.size(); number++) going[number] = number;
        for (long said = 0; !going.empty(); said++) {
            std::vector<Row> rows;
            for (const long number : going) {
                const Target& target = targets[number];
                rows.push_back({target.source, target.row, said ? target.ids[said - 1] : BEGIN});
            }
            decoder.step(rows.size());
            const long first = decoder.go_on(rows);
            Numbers still;
            for (size_t row = 0; row < rows.size(); row++)
                if (tell(targets[going[row]], row, first, said)) still.push_back(going[row]);
            going.swap(still);
        }
    }

    void answer(Answers& answers) const {
        for (const Target& target : targets) {
            answers.counts_.push_back(1);
            answers.lengths_.push_back(target.length);
            answers.ids_.insert(answers.ids_.end(), target.ids, target.ids + target.length);
            answers.totals_.push_back(target.total);
            answers.scores_.push_back(target.total);
            answers.looked_.insert(answers.looked_.end(), target.looked.begin(), target.looked.end());
        }
    }

  private:
    // Whether there is more of the target.
    bool tell(Target& target, long row, long first, long said) {
        const bool more = said < target.length;
        float* scores = decoder.scores.row(row);
        const Normal all = normal(scores, decoder.vocabulary());
        target.total += (scores[more ? target.ids[said] : END] - all.most) - all.rest;
        target.row = first + row;
        const float* weights = decoder.weights.row(row);
        if (more) target.looked.insert(target.looked.end(), weights, weights + memory.lengths[target.source]);
        return more;
    }
};

}  // namespace

extern "C" {

// The targets that are given, each of the source with the number in `sources_of`.
Found* tell(
    const Network* network, const int32_t* ids, const int64_t* lengths, int64_t sources, const int32_t* targets,
    const int64_t* target_lengths, const int64_t* sources_of, int64_t several
) try {
    Memory memory;
    order(ids, lengths, sources, memory);
    encode(*network, memory);
    Forced forced(*network, memory);
    for (int64_t number = 0; number < several; targets += target_lengths[number++])
        forced.add(targets, target_lengths[number], sources_of[number]);
    forced.run();
    auto answers = std::make_unique<Answers>();
    forced.answer(*answers);
    return answers.release()->seal();
} catch (const std::bad_alloc&) {
    return nullptr;
}

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
