// Word count: how often each word occurs.
//
// Words are counted in a table while they pass, so that few pairs are emitted, and read eight bytes at a time.
#include "mapreduce.h"

enum { most_words = 1 << 16, slot_count = 2 * most_words, arena_size = 1 << 20 };

typedef struct {
    uint32_t hash, count, length;
    // Where the word lies in the arena, in eights of bytes; the last is filled up with zeros.
    uint32_t start;
} entry;

static entry entries[most_words];
static uint32_t word_count;
// Numbers of entries, from 1, by their words' hashes.
static uint32_t slots[slot_count];
static uint64_t arena[arena_size / 8];
static uint32_t arena_used;

static void emit_words(void) {
    for (uint32_t i = 0; i < word_count; i++) {
        entry *word = &entries[i];
        mr_emit_number((mr_bytes){(const uint8_t *)(arena + word->start), word->length}, word->count);
    }
    if (word_count > 0) __builtin_memset(slots, 0, sizeof slots);
    word_count = 0;
    arena_used = 0;
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

// Bytes in front of the first space, of which there is one.
static inline uint32_t front(uint64_t found) { return __builtin_ctzll(found) / 8; }

static inline bool is_word(const entry *entry, const uint8_t *word, uint32_t length, uint64_t tail) {
    const uint64_t *known = arena + entry->start;
    for (; length >= 8; length -= 8, word += 8)
        if (*known++ != load(word)) return false;
    return length == 0 || *known == tail;
}

static void add(const uint8_t *word, uint32_t length, uint64_t tail, uint32_t hash) {
    if (length > arena_size - 8) {
        mr_emit_number((mr_bytes){word, length}, 1);
        return;
    }
    uint32_t slot = hash & (slot_count - 1);
    for (; slots[slot] > 0; slot = (slot + 1) & (slot_count - 1)) {
        entry *known = &entries[slots[slot] - 1];
        if (known->hash == hash && known->length == length && is_word(known, word, length, tail)) {
            known->count++;
            return;
        }
    }
    if (word_count == most_words || arena_used + length / 8 + 1 > arena_size / 8) {
        emit_words();
        slot = hash & (slot_count - 1);
    }
    entries[word_count++] = (entry){hash, 1, length, arena_used};
    slots[slot] = word_count;
    for (; length >= 8; length -= 8, word += 8) arena[arena_used++] = load(word);
    arena[arena_used++] = tail;
}

// Words do not reach over the end of a record, so a batch needs no cutting into lines.
static void count_words(mr_bytes batch, enum mr_format format) {
    if (format == mr_pairs) mr_fail("word count reads text, not pairs");
    const uint8_t *next = batch.start, *end = next + batch.count;
    // Every word has an end within the bytes that can be read.
    __builtin_memset((uint8_t *)end, ' ', mr_slack);
    while (true) {
        while (next < end && mr_is_space(*next)) next++;
        if (next >= end) return;
        const uint8_t *word = next;
        uint64_t hash = 0, eight, found;
        while (!(found = spaces(eight = load(next)))) {
            hash = (hash ^ eight) * 0x9e3779b97f4a7c15;
            hash ^= hash >> 32;
            next += 8;
        }
        uint32_t count = front(found);
        uint64_t tail = count > 0 ? eight & ~(uint64_t)0 >> (64 - 8 * count) : 0;
        next += count;
        hash = (hash ^ tail) * 0x9e3779b97f4a7c15;
        add(word, next - word, tail, (uint32_t)(hash >> 32));
    }
}
MR_MAP_BATCH(count_words)

static int64_t sum;
static void begin(mr_bytes key) { sum = 0; }
static void add_count(mr_bytes key, mr_bytes value) { sum += mr_parse(value); }
static void end_key(mr_bytes key) { mr_emit_number(key, sum); }
MR_REDUCE(begin, add_count, end_key)
MR_END(emit_words)
