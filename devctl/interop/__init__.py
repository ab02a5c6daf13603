"""Other formats: a plan as somebody else's tool has it. Knows the plan, and nothing of running stacks.

`container` (what a service's labels say of its container) → `compose` (docker-compose.yml).
"""
