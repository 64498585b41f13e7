// What Swift's runtime asks of a system: memory in blocks of powers of two, kept in lists when they are freed.
#include <stddef.h>
#include <stdint.h>

enum { head_size = 16, growth = 1 << 20 };

static void *free_blocks[32];
static uintptr_t heap_start, heap_end;

static void *allocate(size_t count) {
    unsigned power = 5;
    while (((size_t)1 << power) < count + head_size)
        if (++power == 31) return NULL;
    if (free_blocks[power]) {
        void *block = free_blocks[power];
        free_blocks[power] = *(void **)block;
        return block;
    }
    size_t size = (size_t)1 << power;
    if (heap_end - heap_start < size) {
        size_t pages = ((size > growth ? size : growth) + 65535) >> 16, first = __builtin_wasm_memory_grow(0, pages);
        if (first == (size_t)-1) return NULL;
        if (first << 16 != heap_end) heap_start = first << 16;
        heap_end = (first + pages) << 16;
    }
    // In front of each block stands its size.
    uint8_t *head = (uint8_t *)heap_start;
    heap_start += size;
    *(unsigned *)head = power;
    return head + head_size;
}

int posix_memalign(void **target, size_t alignment, size_t count) {
    void *block = alignment <= head_size ? allocate(count) : NULL;
    if (!block) return 12;
    *target = block;
    return 0;
}

void free(void *block) {
    if (!block) return;
    unsigned power = *(unsigned *)((uint8_t *)block - head_size);
    *(void **)block = free_blocks[power];
    free_blocks[power] = block;
}
