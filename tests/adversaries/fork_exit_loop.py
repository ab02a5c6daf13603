"""Forks and exits in a loop: its pid is another before anybody can read it and send a signal."""

import os

from stage import deafen, in_position, over, pulse

WARM = 20  # generations before it says that it runs

deafen()
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    generation = 0
    while not over():
        if os.fork():
            os._exit(0)
        generation += 1
        pulse()
        if generation == WARM:
            in_position()
            os.write(writer, b"1")
else:
    os.read(reader, 1)
