#!/usr/bin/env python3
"""Word count, the reduce: `word TAB number` lines in, sorted by word; a line out for each word."""
import itertools
import sys

pairs = (line.rstrip("\n").split("\t", 1) for line in sys.stdin)
for word, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
    print(f"{word}\t{sum(int(count) for _, count in group)}")
