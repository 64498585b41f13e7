#!/usr/bin/env python3
"""Word count, the map: a line of text in, a `word TAB 1` line out for each word."""
import sys

for line in sys.stdin:
    for word in line.split():
        print(f"{word}\t1")
