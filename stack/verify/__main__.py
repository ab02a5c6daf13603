"""`python -m stack.verify [--profile full]`: exit status 0 when everything was proved, 1 otherwise."""

from __future__ import annotations

import argparse
import sys
import time

from stack.verify.proof import Proof
from stack.verify.stage import Stage, Unproven


def main() -> int:
    """Prove step by step until one fails; what the services said about it follows."""
    parser = argparse.ArgumentParser(prog="python -m stack.verify", description="Prove the reference stack from outside.")
    parser.add_argument("--profile", choices=["full"], help="with Redis, NATS and Prometheus; without it, with nothing beside")
    full = parser.parse_args().profile == "full"
    began = time.monotonic()
    with Stage(["full"] if full else []) as stage:
        proof = Proof(stage, full=full)
        try:
            for name, step in proof.steps():
                start = time.monotonic()
                try:
                    found = step()
                except Exception as error:
                    known = isinstance(error, Unproven)
                    print(f"✗ {name}: {error if known else f'{type(error).__name__}: {error}'}", flush=True)
                    print(stage.tail(), end="", file=sys.stderr)
                    return 1
                print(f"✓ {name} ({found}) {time.monotonic() - start:.1f} s", flush=True)
        finally:
            proof.close()
    print(f"proved in {time.monotonic() - began:.1f} s")
    return 0


sys.exit(main())
