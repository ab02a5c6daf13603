"""`python -m stack.router`: the router on PORT, 8888 by default."""

from stack.common.serve import run
from stack.router.app import build

run("router", 8888, build)
