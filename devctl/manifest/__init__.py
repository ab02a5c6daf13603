"""From services.yaml to a plan.

Reading order: source (bounded files, located problems) → nodes (YAML as located nodes) → interpolate → merge → forms and
table (what each key may be, which is also the JSON Schema) → build (one service's values) → load (all of it) → graph.
`envfile`, `interpolate` and `secrets` need no YAML; the supervisor uses them. This package imports nothing by itself, so that
using those costs nothing.
"""
