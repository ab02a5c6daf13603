from devctl.control.launch import Launched, RecoveryReport, launch
from devctl.control.teardown import Outcome, recover, teardown
