"""`python -m devctl` is `devctl`."""

from __future__ import annotations

import sys

from devctl.cli.main import main

sys.exit(main())
