#!/usr/bin/env python3
"""Word count, the reduce: `word TAB number` lines in, sorted by word; a line out for each word."""
import itertools
import sys

pairs = (line.rstrip(b"\n").split(b"\t", 1) for line in sys.stdin.buffer)
for word, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
    sys.stdout.buffer.write(b"%s\t%d\n" % (word, sum(int(count) for _, count in group)))
