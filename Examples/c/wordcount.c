// Word count: how often each word occurs.
//
// Words are counted in a table while they pass, so that few pairs are emitted. They are read eight bytes at a time, and looked
// up many at once: the processor then waits for the memory of all of them together.
#include "mapreduce.h"

enum { most_words = 1 << 16, most_places = 2 * most_words, batch_size = 256, inline_size = 15, arena_size = 1 << 20 };

// A word that was read: its bytes, filled up with zeros; of one of more than 15 the first 8 and a hash of the rest.
typedef struct {
    uint64_t low, high;
    const uint8_t *start;
    uint32_t length, hash;
} word;

// A word that was counted. Its bytes are those of `low` and `high`; a longer one lies in the arena.
typedef struct {
    uint64_t low, high;
    uint32_t length, hash, count, start;
} entry;

static entry entries[most_words];
static uint32_t word_count;
// Numbers of entries, from 1, by their words' hashes.
static uint32_t places[most_places], place_count = 1 << 12;
static uint8_t arena[arena_size];
static uint32_t arena_used;

static mr_bytes text(const entry *entry) {
    return (mr_bytes){entry->length > inline_size ? arena + entry->start : (const uint8_t *)&entry->low, entry->length};
}

static void emit_words(void) {
    for (uint32_t i = 0; i < word_count; i++) mr_emit_number(text(&entries[i]), entries[i].count);
    if (word_count > 0) __builtin_memset(places, 0, place_count * sizeof *places);
    word_count = 0;
    arena_used = 0;
}

static void double_places(void) {
    __builtin_memset(places, 0, place_count * sizeof *places);
    place_count *= 2;
    for (uint32_t i = 0; i < word_count; i++) {
        uint32_t place = entries[i].hash & (place_count - 1);
        while (places[place] > 0) place = (place + 1) & (place_count - 1);
        places[place] = i + 1;
    }
}

static inline bool is_word(const entry *known, const word *word) {
    if (known->low != word->low || known->high != word->high || known->length != word->length) return false;
    return word->length <= inline_size || mr_equal(text(known), (mr_bytes){word->start, word->length});
}

static inline void count_word(const word *word) {
    uint32_t place = word->hash & (place_count - 1);
    for (; places[place] > 0; place = (place + 1) & (place_count - 1)) {
        entry *known = &entries[places[place] - 1];
        if (is_word(known, word)) {
            known->count++;
            return;
        }
    }
    uint32_t stored = word->length > inline_size ? word->length : 0;
    if (stored > arena_size) {
        mr_emit_number((mr_bytes){word->start, word->length}, 1);
        return;
    }
    if (word_count == most_words || stored > arena_size - arena_used) {
        emit_words();
        place = word->hash & (place_count - 1);
    }
    entries[word_count++] = (entry){word->low, word->high, word->length, word->hash, 1, arena_used};
    places[place] = word_count;
    mr_copy(arena + arena_used, word->start, stored);
    arena_used += stored;
}

static word batch[batch_size];

static void count_batch(uint32_t count) {
    if (word_count + count > place_count / 2 && place_count < most_places) double_places();
    // Touches what will be needed, of all words before the first one is counted.
    static uint32_t numbers[batch_size];
    uint32_t touched = 0;
    for (uint32_t i = 0; i < count; i++) numbers[i] = places[batch[i].hash & (place_count - 1)];
    for (uint32_t i = 0; i < count; i++) touched += entries[numbers[i] > 0 ? numbers[i] - 1 : 0].count;
    __asm__ volatile("" : : "r"(touched));
    for (uint32_t i = 0; i < count; i++) count_word(&batch[i]);
}

static inline uint64_t load(const uint8_t *bytes) {
    uint64_t eight;
    __builtin_memcpy(&eight, bytes, 8);
    return eight;
}

// The highest bit of each byte that is a space: 9 to 13, or 32.
static inline uint64_t spaces(uint64_t eight) {
    const uint64_t ones = 0x0101010101010101;
    uint64_t low = eight & 0x7f * ones;
    uint64_t control = (low + 0x77 * ones) & ~(low + 0x72 * ones);
    uint64_t blank = ~((low ^ 0x20 * ones) + 0x7f * ones);
    return (control | blank) & ~eight & 0x80 * ones;
}

static inline uint64_t mix(uint64_t hash, uint64_t eight) {
    hash = (hash ^ eight) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

// The bytes in front of the first space, if there is one; `next` goes behind them.
static inline uint64_t front(uint64_t eight, uint64_t found, const uint8_t **next) {
    if (!found) {
        *next += 8;
        return eight;
    }
    uint32_t bits = __builtin_ctzll(found) - 7;
    *next += bits / 8;
    return eight & (((uint64_t)1 << bits) - 1);
}

// Reads the word at `next`, behind which there is a space.
static inline word read_word(const uint8_t *next) {
    word word = {.start = next};
    uint64_t eight = load(next), found = spaces(eight);
    word.low = front(eight, found, &next);
    if (!found) {
        eight = load(next), found = spaces(eight);
        word.high = front(eight, found, &next);
        while (!found) {
            eight = load(next), found = spaces(eight);
            word.high = mix(word.high, front(eight, found, &next));
        }
    }
    word.length = next - word.start;
    word.hash = mix(mix(0, word.low), word.high);
    return word;
}

// Words do not reach over the end of a record, so a batch needs no cutting into lines.
static void count_words(mr_bytes input, enum mr_format format) {
    if (format == mr_pairs) mr_fail("word count reads text, not pairs");
    const uint8_t *next = input.start, *end = next + input.count;
    // Every word has an end within the bytes that can be read.
    __builtin_memset((uint8_t *)end, ' ', mr_slack);
    uint32_t count = 0;
    while (true) {
        while (next < end && mr_is_space(*next)) next++;
        if (next >= end) break;
        batch[count] = read_word(next);
        next += batch[count++].length;
        if (count == batch_size) {
            count_batch(count);
            count = 0;
        }
    }
    count_batch(count);
}
MR_MAP_BATCH(count_words)

static int64_t sum;
static void begin(mr_bytes key) { sum = 0; }
static void add_count(mr_bytes key, mr_bytes value) { sum += mr_parse(value); }
static void end_key(mr_bytes key) { mr_emit_number(key, sum); }
MR_REDUCE(begin, add_count, end_key)
MR_END(emit_words)
