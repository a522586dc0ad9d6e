// What joint n-grams say of a source. `../ngrams/plain.py` tells the same in Python and says what it means.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <vector>

namespace {

constexpr double NEVER = -std::numeric_limits<double>::infinity();
constexpr long EACH = 16;  // hypotheses of a given target, at each place of the source and each of the target
enum { BEGIN = 0, END = 1, FIRST = 2, LONGEST = 2 };

extern "C" {

// `../ngrams/counts.py`, Trie; and the two source tokens and the two target tokens of each piece, -1 where there is none.
struct Grams {
    const int32_t* tokens;
    const float *logs, *rests;
    const int32_t *shorter, *children;
    const int32_t *sources, *targets;
    int64_t pieces;
};

// Of all sources in turn, the targets of each, the most probable first.
struct Found {
    const int64_t *counts, *lengths;  // targets of a source; tokens of a target
    const int32_t* ids;
    const double *logs, *wholes;  // of each target; of each source: the log probability of all its targets together
};
}

double log_sum(double one, double other) {
    if (one < other) std::swap(one, other);
    return other == NEVER ? one : one + std::log1p(std::exp(other - one));
}

struct Hypothesis {
    int32_t history, said;
    double total;
};

uint64_t together(int32_t one, int32_t other) {
    return static_cast<uint64_t>(static_cast<uint32_t>(one)) << 32 | static_cast<uint32_t>(other);
}

// From two numbers to a third one, open addressing: std::unordered_map would take memory for each.
class Numbers {
    struct Slot {
        uint64_t key;
        int32_t number;
    };
    std::vector<Slot> slots = std::vector<Slot>(256, {0, -1});
    size_t known = 0;

    Slot& slot(uint64_t key) {
        uint64_t at = key * 0x9E3779B97F4A7C15u;
        for (at ^= at >> 32;; at++) {
            Slot& found = slots[at & (slots.size() - 1)];
            if (found.number < 0 || found.key == key) return found;
        }
    }

  public:
    // The number of the key, `fresh` where it has none yet.
    int32_t at(uint64_t key, int32_t fresh) {
        Slot* found = &slot(key);
        if (found->number >= 0) return found->number;
        if (2 * ++known > slots.size()) {
            std::vector<Slot> before(2 * slots.size(), {0, -1});
            before.swap(slots);
            for (const Slot& each : before)
                if (each.number >= 0) slot(each.key) = each;
            found = &slot(key);
        }
        *found = {key, fresh};
        return fresh;
    }
};

// The hypotheses that have come to one place of the source: each history with each target once.
class Place {
    std::vector<Hypothesis> hypotheses;
    Numbers numbers;

  public:
    void add(int32_t history, int32_t said, double total) {
        const size_t at = numbers.at(together(history, said), hypotheses.size());
        if (at == hypotheses.size()) hypotheses.push_back({history, said, total});
        else hypotheses[at].total = log_sum(hypotheses[at].total, total);
    }

    // Nothing is to be added afterwards.
    const std::vector<Hypothesis>& best(size_t width, double threshold) {
        double least = NEVER;
        for (const Hypothesis& each : hypotheses) least = std::max(least, each.total);
        least -= threshold;
        const auto behind = [&](const Hypothesis& each) { return each.total < least; };
        hypotheses.erase(std::remove_if(hypotheses.begin(), hypotheses.end(), behind), hypotheses.end());
        const auto more = [](const Hypothesis& one, const Hypothesis& other) { return one.total > other.total; };
        std::stable_sort(hypotheses.begin(), hypotheses.end(), more);
        if (hypotheses.size() > width) hypotheses.resize(width);
        return hypotheses;
    }

    // So many of each target so far.
    const std::vector<Hypothesis>& best_of_each(long most, int32_t targets) {
        std::vector<long> kept(targets, 0);
        best(hypotheses.size(), -NEVER);
        std::vector<Hypothesis> found;
        for (const Hypothesis& each : hypotheses)
            if (kept[each.said]++ < most) found.push_back(each);
        hypotheses.swap(found);
        return hypotheses;
    }
};

// Targets so far as a tree, so that equal ones are one number.
class Free {
    struct Node {
        int32_t parent, token;
    };
    std::vector<Node> nodes{{-1, -1}};
    Numbers numbers;
    const size_t width;
    const double threshold;

  public:
    Free(size_t width, double threshold) : width(width), threshold(threshold) {}

    const std::vector<Hypothesis>& best(Place& place) const { return place.best(width, threshold); }

    int32_t further(int32_t said, int32_t token) {
        const size_t at = numbers.at(together(said, token), nodes.size());
        if (at == nodes.size()) nodes.push_back({said, token});
        return at;
    }

    std::vector<int32_t> told(int32_t said) const {
        std::vector<int32_t> ids;
        for (; said; said = nodes[said].parent) ids.push_back(nodes[said].token);
        std::reverse(ids.begin(), ids.end());
        return ids;
    }
};

// One target that is given; what differs from it is not followed.
struct Bound {
    const int32_t* target;
    int32_t length;

    const std::vector<Hypothesis>& best(Place& place) const { return place.best_of_each(EACH, length + 1); }

    int32_t further(int32_t said, int32_t token) const { return said < length && target[said] == token ? said + 1 : -1; }
};

class Search {
    const Grams& grams;
    const int32_t* source;
    const size_t length;
    std::vector<char> heard;  // of each piece that is looked for, whether a longer history knew it

  public:
    Search(const Grams& grams, const int32_t* source, size_t length) : grams(grams), source(source), length(length) {}

    // The targets at the end of the source, as numbers of `targets`; none where a token stands in no piece.
    template <class Targets>
    std::vector<Hypothesis> run(Targets& targets) {
        std::vector<Place> places(length + 1);
        places[0].add(BEGIN + 1, 0, 0);  // the node of what stands alone, as each token does
        for (size_t at = 0; at < length; at++) {
            const std::vector<Hypothesis>& best = targets.best(places[at]);
            for (size_t tokens = 1; tokens <= LONGEST && at + tokens <= length; tokens++) {
                const auto [from, to] = range(at, tokens);
                for (const Hypothesis& each : best)
                    go_on(each, from + FIRST, to + FIRST, [&](int32_t piece, int32_t history, double log) {
                        const int32_t said = with(targets, each.said, piece - FIRST);
                        if (said >= 0) places[at + tokens].add(history, said, each.total + log);
                    });
            }
        }
        Place ended;
        for (const Hypothesis& each : places[length].best(std::numeric_limits<size_t>::max(), -NEVER))
            go_on(each, END, END + 1, [&](int32_t, int32_t, double log) { ended.add(0, each.said, each.total + log); });
        return ended.best(std::numeric_limits<size_t>::max(), -NEVER);
    }

  private:
    // The pieces of these source tokens. They are sorted by them.
    std::pair<int32_t, int32_t> range(size_t at, size_t tokens) const {
        const std::pair<int32_t, int32_t> wanted(source[at], tokens > 1 ? source[at + 1] : -1);
        const auto first = [&](auto before) {
            int64_t from = 0, to = grams.pieces;
            while (from < to) {
                const int64_t middle = (from + to) / 2;
                const std::pair<int32_t, int32_t> there(grams.sources[2 * middle], grams.sources[2 * middle + 1]);
                if (before(there)) from = middle + 1;
                else to = middle;
            }
            return static_cast<int32_t>(from);
        };
        return {first([&](auto there) { return there < wanted; }), first([&](auto there) { return there <= wanted; })};
    }

    // All pieces from one number to before another, after a history: the longest n-gram that knows a piece tells of it.
    template <class Tell>
    void go_on(const Hypothesis& hypothesis, int32_t from, int32_t to, Tell tell) {
        heard.assign(to - from, 0);
        double rest = 0;
        int32_t left = to - from;
        for (int32_t history = hypothesis.history; left > 0; history = grams.shorter[history]) {
            const int32_t* end = grams.tokens + grams.children[history + 1];
            const int32_t* at = std::lower_bound(grams.tokens + grams.children[history], end, from);
            for (; at < end && *at < to; at++) {
                if (heard[*at - from]) continue;
                heard[*at - from] = 1;
                left--;
                const int32_t node = at - grams.tokens;
                tell(*at, known(node), rest + grams.logs[node]);
            }
            if (history == 0) break;
            rest += grams.rests[history];
        }
    }

    // The longest end of this n-gram that something was seen to follow: what is left of it as a history.
    int32_t known(int32_t node) const {
        while (node && grams.children[node] == grams.children[node + 1]) node = grams.shorter[node];
        return node;
    }

    template <class Targets>
    int32_t with(Targets& targets, int32_t said, int32_t piece) const {
        for (int at = 0; at < 2 && said >= 0; at++)
            if (grams.targets[2 * piece + at] >= 0) said = targets.further(said, grams.targets[2 * piece + at]);
        return said;
    }
};

struct Answers : Found {
    std::vector<int64_t> counts_, lengths_;
    std::vector<int32_t> ids_;
    std::vector<double> logs_, wholes_;

    Found* seal() {
        counts = counts_.data(), lengths = lengths_.data(), ids = ids_.data();
        logs = logs_.data(), wholes = wholes_.data();
        return this;
    }
};

}  // namespace

extern "C" {

// The `most` most probable targets of each source; null where memory is short. `lengths` of the sources, and their ids
// one after the other.
Found* say(
    const Grams* grams, const int32_t* ids, const int64_t* lengths, int64_t sources, int64_t width, double threshold,
    int64_t most
) try {
    auto answers = std::make_unique<Answers>();
    for (int64_t number = 0; number < sources; ids += lengths[number++]) {
        Free targets(width, threshold);
        std::vector<Hypothesis> ended = Search(*grams, ids, lengths[number]).run(targets);
        double whole = NEVER;
        for (const Hypothesis& each : ended) whole = log_sum(whole, each.total);
        answers->wholes_.push_back(whole);
        if (static_cast<int64_t>(ended.size()) > most) ended.resize(most);
        answers->counts_.push_back(ended.size());
        for (const Hypothesis& each : ended) {
            const std::vector<int32_t> told = targets.told(each.said);
            answers->ids_.insert(answers->ids_.end(), told.begin(), told.end());
            answers->lengths_.push_back(told.size());
            answers->logs_.push_back(each.total);
        }
    }
    return answers.release()->seal();
} catch (const std::bad_alloc&) {
    return nullptr;
}

void release(Found* found) { delete static_cast<Answers*>(found); }

// The log probability of one source and one target together, into `log`; 0 where memory is short.
int32_t joint(
    const Grams* grams, const int32_t* source, int64_t length, const int32_t* target, int64_t said, double* log
) try {
    Bound bound{target, static_cast<int32_t>(said)};
    *log = NEVER;
    Search search(*grams, source, length);
    for (const Hypothesis& each : search.run(bound))
        if (each.said == said) *log = each.total;
    return 1;
} catch (const std::bad_alloc&) {
    return 0;
}
}
