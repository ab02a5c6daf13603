"""LINES GO FILE: waits until GO exists, writes LINES lines of 100 bytes in blocks of 64 KiB, then the two moments (ns) to FILE.

Each block begins with a line that has its number, so that order and completeness can be checked afterwards.
"""

import os
import sys
import time

BLOCK_LINES = 655  # 65,500 bytes: the most whole lines of 100 bytes in 64 KiB

lines, go, file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rest = (b"x" * 99 + b"\n") * (BLOCK_LINES - 1)
while not os.path.exists(go):
    time.sleep(0.002)
begin = time.time_ns()
number = 0
while lines > 0:
    block = memoryview(b"block %012d " % number + b"." * 80 + b"\n" + rest)[: min(lines, BLOCK_LINES) * 100]
    while block:
        block = block[os.write(1, block) :]
    lines -= BLOCK_LINES
    number += 1
end = time.time_ns()
with open(file, "w") as out:
    out.write(f"{begin} {end}")
