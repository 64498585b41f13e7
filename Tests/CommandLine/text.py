"""Texts with traps: what boundaries of blocks cut is words, \\r\\n, UTF-8 characters and long lines."""

import random

BLOCK = 262_144


def trapped(seed, block_count):
    """A text of about `block_count` blocks, without a final newline."""
    source = random.Random(seed)
    words = [b"the", b"of", b"and", b"needle", "süß".encode(), "日本".encode(), b"x\xff\xfey", b"nul\0nul", b"a\tb"]
    words += [b"w%d" % source.randrange(3000) for _ in range(3000)]
    ends = [b"\n"] * 8 + [b"\r\n", b"\n\n", b" \n"]
    text = bytearray(b"\n \t\n")
    while len(text) < block_count * BLOCK:
        before = len(text) // BLOCK
        line = source.choice([b" ", b"\t", b"  "]).join(source.choices(words, k=source.randrange(14)))
        text += line + source.choice(ends)
        after = len(text) // BLOCK
        if after > before:  # lay a trap on the boundary
            trap = source.choice(["é日".encode() * 3, b"\r\n", b"cutword", b"\n\n", b"\t\r\n"])
            at = after * BLOCK - source.randrange(len(trap) + 1)
            text[at:at + len(trap)] = trap
        if source.random() < 0.0002:
            text += b"long " * (BLOCK // 5 * 2) + b"\n"
    return bytes(text) + b"last line"
