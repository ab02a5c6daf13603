"""FILE: ignores TERM, makes FILE once it does, and waits."""

import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(600)
