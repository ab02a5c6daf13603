"""What devctl must reach, measured. `python -m benchmarks` runs all of it, `python -m benchmarks gate idle` some of it."""
