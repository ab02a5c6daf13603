"""Writes so many lines a second, for ever. Arguments: lines a second."""

import sys
import time

rate = int(sys.argv[1])
written, began = 0, time.monotonic()
while True:
    wanted = int((time.monotonic() - began) * rate)
    if wanted > written:
        sys.stdout.write(
            "".join(
                f"INFO request handled path=/api/items/{i} status=200 ms={i % 40} user=somebody\n" for i in range(written, wanted)
            )
        )
        sys.stdout.flush()
        written = wanted
    time.sleep(0.02)
