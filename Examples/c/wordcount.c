// Word count: how often each word occurs.
//
// Words are counted in a table while they pass, so that few pairs are emitted. Their ends are found 64 bytes at a time, and
// they are looked up many at once: the processor then waits for the memory of all of them together.
//
// The table is touched all over and begins where a large page may (docs/wasm-abi.md, "What makes a module fast").
#include "mapreduce.h"

enum { most_places = 1 << 17, most_words = most_places / 4 * 3, batch_size = 64, inline_size = 16, arena_size = 1 << 20 };
enum { large_page = 2 << 20 };

// A word that was read: its bytes, filled up with zeros; of one of more than 16 the first 8 and a hash of the rest.
typedef struct {
    uint64_t low, high;
    const uint8_t *start;
    // `number`: of the entry that is likely the word's.
    uint32_t length, hash, number;
} word;

// A word that was counted. Its bytes are those of `low` and `high`; a longer one lies in the arena.
typedef struct {
    uint64_t low, high;
    uint32_t length, hash, count, start;
} entry;

// From 1: no word is equal to the first.
static _Alignas(large_page) entry entries[1 + most_words];
// Of each word, at the place that its hash says or behind it: the number of its entry, and above that the same bits of its hash,
// so that another word's entry is hardly ever looked at.
static uint32_t places[most_places];
static uint32_t word_count, place_count = 1 << 12;
static uint8_t arena[arena_size];
static uint32_t arena_used;

static mr_bytes text(const entry *entry) {
    return (mr_bytes){entry->length > inline_size ? arena + entry->start : (const uint8_t *)&entry->low, entry->length};
}

static void emit_words(void) {
    for (uint32_t i = 1; i <= word_count; i++) mr_emit_number(text(&entries[i]), entries[i].count);
    if (word_count > 0) __builtin_memset(places, 0, place_count * sizeof *places);
    word_count = 0;
    arena_used = 0;
}

// The first place from the one that a hash says that is free or has the same bits of it.
static inline uint32_t likely_place(uint32_t hash) {
    uint32_t mask = place_count - 1, place = hash & mask;
    while (places[place] > 0 && (places[place] ^ hash) >= most_places) place = (place + 1) & mask;
    return place;
}

static inline uint32_t number_at(uint32_t place) { return places[place] % most_places; }

static inline void set_place(uint32_t place, uint32_t number, uint32_t hash) {
    places[place] = number | (hash & -most_places);
}

static void double_places(void) {
    __builtin_memset(places, 0, place_count * sizeof *places);
    place_count *= 2;
    for (uint32_t i = 1; i <= word_count; i++) {
        uint32_t hash = entries[i].hash, place = hash & (place_count - 1);
        while (places[place] > 0) place = (place + 1) & (place_count - 1);
        set_place(place, i, hash);
    }
}

// Between batches only: the words of a batch know numbers of entries.
static void make_room(void) {
    if (word_count + batch_size > most_words || arena_used > arena_size / 2) emit_words();
    if (word_count + batch_size > place_count / 4 * 3 && place_count < most_places) double_places();
}

static inline bool is_word(const entry *known, const word *word) {
    if (((known->low ^ word->low) | (known->high ^ word->high) | (known->length ^ word->length)) != 0) return false;
    return word->length <= inline_size || mr_equal(text(known), (mr_bytes){word->start, word->length});
}

// Counts a word that is not where it is likely to be, or not counted yet.
static void find_word(const word *word) {
    uint32_t place = likely_place(word->hash);
    while (places[place] > 0) {
        entry *known = &entries[number_at(place)];
        if (is_word(known, word)) {
            known->count++;
            return;
        }
        place = (place + 1) & (place_count - 1);
    }
    uint32_t stored = word->length > inline_size ? word->length : 0;
    if (stored > arena_size - arena_used) {
        mr_emit_number((mr_bytes){word->start, word->length}, 1);
        return;
    }
    entries[++word_count] = (entry){word->low, word->high, word->length, word->hash, 1, arena_used};
    set_place(place, word_count, word->hash);
    mr_copy(arena + arena_used, word->start, stored);
    arena_used += stored;
}

static word batch[batch_size];
static volatile uint32_t touched;

static void count_batch(uint32_t count) {
    // One step for all words before the next: what a step waits for, it waits for at once.
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) batch[i].number = number_at(likely_place(batch[i].hash));
    for (uint32_t i = 0; i < count; i++) sum += entries[batch[i].number].length;
    touched = sum;
    for (uint32_t i = 0; i < count; i++) {
        entry *likely = &entries[batch[i].number];
        if (is_word(likely, &batch[i])) likely->count++;
        else find_word(&batch[i]);
    }
    make_room();
}

static inline uint64_t load(const uint8_t *bytes) {
    uint64_t eight;
    __builtin_memcpy(&eight, bytes, 8);
    return eight;
}

static inline uint64_t mix(uint64_t hash, uint64_t eight) {
    hash = (hash ^ eight) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

// The bytes of eight that are the first `count` of them.
static const uint64_t fronts[9] = {0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff, -1};

static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

static inline word read_word(const uint8_t *start, uint32_t length) {
    word word = {.start = start, .length = length};
    uint32_t first = least(length, 8);
    word.low = load(start) & fronts[first];
    word.high = load(start + 8) & fronts[least(length - first, 8)];
    for (uint32_t i = 16; i < length; i += 8) word.high = mix(word.high, load(start + i) & fronts[least(length - i, 8)]);
    word.hash = mix(word.low, word.high * 0xc2b2ae3d27d4eb4f);
    return word;
}

// Words do not reach over the end of a record, so a batch needs no cutting into lines.
static void count_words(mr_bytes input, enum mr_format format) {
    if (format == mr_pairs) mr_fail("word count reads text, not pairs");
    // Every word has an end within the bytes that can be read.
    __builtin_memset((uint8_t *)input.start + input.count, ' ', mr_slack);
    const uint8_t *start = input.start;
    uint32_t count = 0;
    bool is_inside = false;
    for (uint32_t base = 0; base <= input.count; base += 64) {
        uint64_t space = mr_spaces(input.start + base);
        // The first byte of each word, and the first behind it.
        for (uint64_t edges = ~space ^ (~space << 1 | is_inside); edges; edges &= edges - 1) {
            const uint8_t *edge = input.start + base + __builtin_ctzll(edges);
            if (!is_inside) {
                start = edge;
            } else {
                batch[count++] = read_word(start, edge - start);
                if (count == batch_size) count_batch(count), count = 0;
            }
            is_inside = !is_inside;
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
