"""The main thread exits while another lives: /proc shows a zombie that is not dead."""

import ctypes
import os
import threading
import time

from stage import deafen, hold, in_position


def stay() -> None:
    while True:
        with open(f"/proc/{os.getpid()}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"Z":
                break
        time.sleep(0.001)
    in_position()
    hold()


deafen()
threading.Thread(target=stay, daemon=True).start()
ctypes.CDLL(None).pthread_exit(None)
