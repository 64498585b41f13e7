// Functions in C for a MapReduce node: docs/wasm-abi.md.
//
//     clang --target=wasm32 -msimd128 -nostdlib -O3 -Wl,--no-entry -o job.wasm job.c
//     peerctl run --map job.wasm INPUT…
//
// Include this in one file, write what the job needs, and name it with the macros at the end:
//
//     static void each(mr_bytes record) { … mr_emit(key, value) … }
//     MR_MAP(each)
//
// No C library is needed. Memory that `mr_alloc` gives lasts as long as the attempt.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __wasm_simd128__
#include <wasm_simd128.h>
#endif

#define MR_EXPORT(name) __attribute__((export_name(#name)))
#define MR_IMPORT(name) __attribute__((import_module("mr"), import_name(#name)))

// What the host offers.
MR_IMPORT(emit) void mr_host_emit(const void *pairs, uint32_t count);
MR_IMPORT(log) void mr_host_log(const void *text, uint32_t count);
MR_IMPORT(counter)
void mr_host_counter(const void *group, uint32_t group_count, const void *name, uint32_t name_count, int64_t amount);
MR_IMPORT(fail) _Noreturn void mr_host_fail(const void *text, uint32_t count);
MR_IMPORT(random) uint64_t mr_random(void);
// A map that uses one of these two is run again for the same bytes of another file.
MR_IMPORT(input_name) uint32_t mr_input_name(void *target, uint32_t capacity);
MR_IMPORT(input_offset) uint64_t mr_input_offset(void);

// MARK: Bytes

typedef struct {
    const uint8_t *start;
    uint32_t count;
} mr_bytes;

// A pair without a value has this.
static const mr_bytes mr_none = {NULL, UINT32_MAX};

static inline uint32_t mr_length(const char *text) {
    uint32_t count = 0;
    // The empty statement keeps the compiler from making this a call of strlen, which is not here.
    while (text[count]) {
        count++;
        __asm__("" : "+r"(count));
    }
    return count;
}

static inline mr_bytes mr_text(const char *text) { return (mr_bytes){(const uint8_t *)text, mr_length(text)}; }

static inline bool mr_equal(mr_bytes a, mr_bytes b) {
    if (a.count != b.count) return false;
    for (uint32_t i = 0; i < a.count; i++)
        if (a.start[i] != b.start[i]) return false;
    return true;
}

// Copies bytes that do not overlap.
static inline void mr_copy(void *target, const void *source, uint32_t count) {
    uint8_t *to = target;
    const uint8_t *from = source;
    if (count > 64) {
        __builtin_memcpy(to, from, count);
    } else if (count >= 8) {
        // The last eight overlap those before them.
        for (uint32_t i = 0; i < count - 8; i += 8) __builtin_memcpy(to + i, from + i, 8);
        __builtin_memcpy(to + count - 8, from + count - 8, 8);
    } else if (count >= 4) {
        __builtin_memcpy(to, from, 4);
        __builtin_memcpy(to + count - 4, from + count - 4, 4);
    } else if (count > 0) {
        to[0] = from[0];
        to[count / 2] = from[count / 2];
        to[count - 1] = from[count - 1];
    }
}

// The next field up to `delimiter`, which is taken from the front of `bytes`; the rest when there is none.
static inline mr_bytes mr_field(mr_bytes *bytes, uint8_t delimiter) {
    mr_bytes field = {bytes->start, 0};
    while (field.count < bytes->count && bytes->start[field.count] != delimiter) field.count++;
    uint32_t taken = field.count < bytes->count ? field.count + 1 : field.count;
    bytes->start += taken;
    bytes->count -= taken;
    return field;
}

static inline bool mr_is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

// The white space among 64 bytes, a bit each; found 16 at a time in a module that is built with -msimd128.
static inline uint64_t mr_spaces(const uint8_t *bytes) {
    uint64_t found = 0;
#ifdef __wasm_simd128__
    for (uint32_t i = 0; i < 64; i += 16) {
        v128_t sixteen = wasm_v128_load(bytes + i);
        v128_t control = wasm_u8x16_le(wasm_i8x16_sub(sixteen, wasm_i8x16_splat('\t')), wasm_i8x16_splat('\r' - '\t'));
        v128_t blank = wasm_i8x16_eq(sixteen, wasm_i8x16_splat(' '));
        found |= (uint64_t)wasm_i8x16_bitmask(wasm_v128_or(control, blank)) << i;
    }
#else
    for (uint32_t i = 0; i < 64; i++) found |= (uint64_t)mr_is_space(bytes[i]) << i;
#endif
    return found;
}

// MARK: Numbers

// Writes a number's decimal digits, at most 20; returns how many.
static inline uint32_t mr_format(int64_t number, uint8_t *target) {
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    uint8_t digits[20];
    uint32_t count = 0, length = 0;
    do {
        digits[count++] = '0' + left % 10;
        left /= 10;
    } while (left > 0);
    if (number < 0) target[length++] = '-';
    while (count > 0) target[length++] = digits[--count];
    return length;
}

_Noreturn static void mr_fail(const char *text) { mr_host_fail(text, mr_length(text)); }

// Reads a decimal number; fails the attempt when there is something else.
static inline int64_t mr_parse(mr_bytes text) {
    uint32_t i = text.count > 0 && text.start[0] == '-';
    if (i == text.count || text.count == UINT32_MAX) mr_fail("a value is not a number");
    int64_t number = 0;
    for (; i < text.count; i++) {
        uint8_t digit = text.start[i] - '0';
        if (digit > 9) mr_fail("a value is not a number");
        if (number > (INT64_MAX - digit) / 10) mr_fail("a number is too large");
        number = 10 * number + digit;
    }
    return text.start[0] == '-' ? -number : number;
}

// MARK: Memory

extern uint8_t __heap_base;
static uintptr_t mr_heap_end;

// Memory of the attempt; it is never given back.
static inline void *mr_alloc(uint32_t count) {
    uintptr_t start = mr_heap_end ? mr_heap_end : (uintptr_t)&__heap_base;
    start = (start + 15) & ~(uintptr_t)15;
    uint64_t end = (uint64_t)start + count, size = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > size) {
        uint64_t pages = (end - size + 65535) >> 16;
        if (pages > 65536 || __builtin_wasm_memory_grow(0, (uint32_t)pages) == (size_t)-1) mr_fail("out of memory");
    }
    mr_heap_end = (uintptr_t)end;
    return (void *)start;
}

// Bytes that grow.
typedef struct {
    uint8_t *start;
    uint32_t count, capacity;
} mr_buffer_t;

static inline void mr_reserve(mr_buffer_t *buffer, uint32_t count) {
    if (count <= buffer->capacity) return;
    uint32_t doubled = buffer->capacity < (1u << 31) ? 2 * buffer->capacity : 0;
    uint32_t capacity = count > doubled ? count : doubled;
    uint8_t *start = mr_alloc(capacity);
    if (buffer->count > 0) mr_copy(start, buffer->start, buffer->count);
    buffer->start = start;
    buffer->capacity = capacity;
}

// MARK: Output

enum { mr_batch = 64 << 10 };
// Room that is there from the start costs nothing until it is used; memory that grows is copied.
static uint8_t mr_output_room[mr_batch];
static mr_buffer_t mr_output = {mr_output_room, 0, mr_batch};

// Hands over what was emitted.
static inline void mr_flush(void) {
    if (mr_output.count > 0) mr_host_emit(mr_output.start, mr_output.count);
    mr_output.count = 0;
}

// Emits a pair; `mr_none` for one without a value.
static inline void mr_emit(mr_bytes key, mr_bytes value) {
    uint32_t value_count = value.count == UINT32_MAX ? 0 : value.count, size = 8 + key.count + value_count;
    if (mr_output.count + size > mr_batch) mr_flush();
    mr_reserve(&mr_output, size > mr_batch ? size : mr_batch);
    uint8_t *target = mr_output.start + mr_output.count;
    __builtin_memcpy(target, &key.count, 4);
    __builtin_memcpy(target + 4, &value.count, 4);
    mr_copy(target + 8, key.start, key.count);
    mr_copy(target + 8 + key.count, value.start, value_count);
    mr_output.count += size;
}

static inline void mr_emit_number(mr_bytes key, int64_t number) {
    uint8_t digits[20] = {'0' + number};
    bool is_digit = number >= 0 && number < 10;
    mr_emit(key, (mr_bytes){digits, is_digit ? 1 : mr_format(number, digits)});
}

static inline void mr_log(const char *text) { mr_host_log(text, mr_length(text)); }

static inline void mr_count(const char *group, const char *name, int64_t amount) {
    mr_host_counter(group, mr_length(group), name, mr_length(name), amount);
}

// MARK: Input

// How records are told apart.
enum mr_format { mr_lines = 0, mr_crlf = 1, mr_words = 2, mr_pairs = 3 };

static inline uint32_t mr_load32(const uint8_t *bytes) {
    uint32_t number;
    __builtin_memcpy(&number, bytes, 4);
    return number;
}

// The next pair is taken from the front of `bytes`.
static inline bool mr_next_pair(mr_bytes *bytes, mr_bytes *key, mr_bytes *value) {
    if (bytes->count < 8) return false;
    *key = (mr_bytes){bytes->start + 8, mr_load32(bytes->start)};
    *value = (mr_bytes){key->start + key->count, mr_load32(bytes->start + 4)};
    uint32_t taken = 8 + key->count + (value->count == UINT32_MAX ? 0 : value->count);
    bytes->start += taken;
    bytes->count -= taken;
    return true;
}

// The next record of lines, crlf or words is taken from the front of `bytes`.
static inline bool mr_next_record(mr_bytes *bytes, enum mr_format format, mr_bytes *record) {
    if (format == mr_words) {
        while (bytes->count > 0 && mr_is_space(*bytes->start)) bytes->start++, bytes->count--;
        *record = (mr_bytes){bytes->start, 0};
        while (record->count < bytes->count && !mr_is_space(record->start[record->count])) record->count++;
        bytes->start += record->count;
        bytes->count -= record->count;
        return record->count > 0;
    }
    if (bytes->count == 0) return false;
    uint32_t before = bytes->count;
    *record = mr_field(bytes, '\n');
    bool is_terminated = before - bytes->count > record->count;
    if (format == mr_crlf && is_terminated && record->count > 0 && record->start[record->count - 1] == '\r')
        record->count--;
    return true;
}

// Behind a batch are this many bytes that may be read and written; batches are rarely larger than `mr_usual`.
enum { mr_slack = 64, mr_usual = 512 << 10 };

// Where the host puts the next bytes.
MR_EXPORT(mr_buffer) void *mr_input_buffer(uint32_t count) {
    static uint8_t room[mr_usual];
    static mr_buffer_t input = {room, 0, mr_usual};
    input.count = 0;
    mr_reserve(&input, count + mr_slack);
    return input.start;
}

MR_EXPORT(mr_abi_1) void mr_abi_1(void) {}

// MARK: What a job is made of

// A map that gets all records of a batch at once: `void whole(mr_bytes batch, enum mr_format format)`.
#define MR_MAP_BATCH(whole)                                                                        \
    MR_EXPORT(mr_map) void mr_map(const uint8_t *start, uint32_t count, uint32_t format) {         \
        whole((mr_bytes){start, count}, (enum mr_format)format);                                   \
    }

// A map of records: `void each(mr_bytes record)`; of pairs, the record is the pair's key.
#define MR_MAP(each)                                                                               \
    MR_EXPORT(mr_map) void mr_map(const uint8_t *start, uint32_t count, uint32_t format) {         \
        mr_bytes batch = {start, count}, record, value;                                            \
        if (format == mr_pairs)                                                                    \
            while (mr_next_pair(&batch, &record, &value)) each(record);                            \
        else                                                                                       \
            while (mr_next_record(&batch, (enum mr_format)format, &record)) each(record);          \
    }

// A reduce, which is a combine as well: `begin(mr_bytes key)`, `add(mr_bytes key, mr_bytes value)` for each value,
// `end(mr_bytes key)`. A key's values may come in many batches, so that they need not fit in memory.
#define MR_REDUCE(begin, add, end)                                                                 \
    static mr_buffer_t mr_key;                                                                     \
    static bool mr_has_key;                                                                        \
    static void mr_end_key(void) {                                                                 \
        if (mr_has_key) end((mr_bytes){mr_key.start, mr_key.count});                               \
        mr_has_key = false;                                                                        \
    }                                                                                              \
    MR_EXPORT(mr_reduce) void mr_reduce(const uint8_t *start, uint32_t count) {                    \
        mr_bytes batch = {start, count}, key, value;                                               \
        while (mr_next_pair(&batch, &key, &value)) {                                               \
            mr_bytes known = {mr_key.start, mr_key.count};                                         \
            if (!mr_has_key || !mr_equal(key, known)) {                                            \
                mr_end_key();                                                                      \
                mr_key.count = 0;                                                                  \
                mr_reserve(&mr_key, key.count);                                                    \
                mr_copy(mr_key.start, key.start, key.count);                                       \
                mr_key.count = key.count;                                                          \
                mr_has_key = true;                                                                 \
                begin((mr_bytes){mr_key.start, mr_key.count});                                     \
            }                                                                                      \
            add((mr_bytes){mr_key.start, mr_key.count}, value);                                    \
        }                                                                                          \
    }                                                                                              \
    MR_EXPORT(mr_combine) void mr_combine(const uint8_t *start, uint32_t count) { mr_reduce(start, count); }

// Behind the last of these: `finish()` emits what a map still holds. It may be called more than once.
#define MR_END(finish)                                                                             \
    MR_EXPORT(mr_end) void mr_end(uint32_t role) {                                                 \
        if (role == 1) finish(); else mr_end_key();                                                \
        mr_flush();                                                                                \
    }
