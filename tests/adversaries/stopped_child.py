"""A child stops itself: a TERM would wait in it for a CONT that never comes."""

import os
import signal

from stage import child, hold, in_position

os.waitid(os.P_PID, child(lambda: os.kill(os.getpid(), signal.SIGSTOP)), os.WSTOPPED | os.WNOWAIT)
in_position()
hold()
