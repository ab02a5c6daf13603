"""`python -m stack.frontend`: the frontend on PORT, 3000 by default."""

from stack.common.serve import run
from stack.frontend.app import build

run("frontend", 3000, build)
