"""The dashboard: a client of the supervisor that shows the stack and steers it. Closing or killing it harms nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devctl.dashboard.context import Context


def run(context: Context) -> int:
    """Opens the dashboard on the terminal until it is closed; the exit status.

    When this dashboard holds the stack (`context.detach`) and is not told to leave it, the stack has been stopped on return.
    """
    from devctl.dashboard.terminal import guarded

    with guarded() as ended:
        from devctl.dashboard.app import Dashboard
        from devctl.dashboard.memory import Collector

        app = Dashboard(context, collector=Collector())
        status = app.run()
        ended()
    if app.left and context.detach is not None:
        from devctl.errors import DevctlError

        try:
            context.detach()
        except DevctlError as error:
            app.farewell = f"the stack could not be left running: {error.what}"
            status = 1
    if app.farewell:
        print(app.farewell, file=sys.stderr)
    # Without a result Textual has failed, and said how.
    return 1 if status is None else status
