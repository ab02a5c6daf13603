"""`python -m stack.backend`: the backend on PORT, 3002 by default."""

from stack.backend.app import build
from stack.backend.openai_face import MAX_REQUEST
from stack.common.serve import run

run("backend", 3002, build, bodies={"/v1/": MAX_REQUEST})
