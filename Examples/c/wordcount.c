// Word count: how often each word occurs. Words are counted in a table while they pass, so that few pairs are emitted.
#include "mapreduce.h"

enum { slot_count = 1 << 15, most_words = slot_count / 2, arena_size = 1 << 20 };

typedef struct {
    uint32_t hash, count;
    uint32_t start, length;
} slot;

static slot table[slot_count];
static uint8_t arena[arena_size + 8];
static uint32_t word_count, arena_used;

static void emit_table(void) {
    for (uint32_t i = 0; i < slot_count && word_count > 0; i++) {
        if (table[i].count == 0) continue;
        mr_emit_number((mr_bytes){arena + table[i].start, table[i].length}, table[i].count);
        table[i].count = 0;
        word_count--;
    }
    arena_used = 0;
}

static bool has_word(const slot *entry, const uint8_t *word, uint32_t length) {
    if (entry->length != length) return false;
    const uint8_t *known = arena + entry->start;
    uint32_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t a, b;
        __builtin_memcpy(&a, known + i, 8);
        __builtin_memcpy(&b, word + i, 8);
        if (a != b) return false;
    }
    for (; i < length; i++)
        if (known[i] != word[i]) return false;
    return true;
}

static void add(const uint8_t *word, uint32_t length, uint32_t hash) {
    if (length > arena_size) {
        mr_emit_number((mr_bytes){word, length}, 1);
        return;
    }
    uint32_t index = hash & (slot_count - 1);
    for (; table[index].count > 0; index = (index + 1) & (slot_count - 1)) {
        if (table[index].hash == hash && has_word(&table[index], word, length)) {
            table[index].count++;
            return;
        }
    }
    if (word_count == most_words || arena_used + length > arena_size) {
        emit_table();
        index = hash & (slot_count - 1);
    }
    mr_copy(arena + arena_used, word, length);
    table[index] = (slot){hash, 1, arena_used, length};
    arena_used += length;
    word_count++;
}

// Words do not reach over the end of a record, so a batch needs no cutting into lines.
static void count_words(mr_bytes batch, enum mr_format format) {
    if (format == mr_pairs) mr_fail("word count reads text, not pairs");
    const uint8_t *next = batch.start, *end = next + batch.count;
    while (true) {
        while (next < end && mr_is_space(*next)) next++;
        if (next == end) return;
        const uint8_t *word = next;
        uint32_t hash = 0;
        do hash = (hash ^ *next++) * 0x9e3779b1; while (next < end && !mr_is_space(*next));
        add(word, next - word, hash ^ hash >> 15);
    }
}
MR_MAP_BATCH(count_words)

static int64_t sum;
static void begin(mr_bytes key) { sum = 0; }
static void add_count(mr_bytes key, mr_bytes value) { sum += mr_parse(value); }
static void end(mr_bytes key) { mr_emit_number(key, sum); }
MR_REDUCE(begin, add_count, end)
MR_END(emit_table)
