#!/usr/bin/env python3
"""Word count, the map: a line of text in, a `word TAB 1` line out for each word. Bytes, so that any encoding will do."""
import sys

for line in sys.stdin.buffer:
    for word in line.split():
        sys.stdout.buffer.write(word + b"\t1\n")
