"""`python -m stack.verify`: proves the whole stack from outside, with devctl and as a visitor of the page.

It runs services.yaml on free ports, beside whatever else runs, with state and logs of its own that go away with it.
"""
