"""The reference stack: an assistant in three services, for devctl to run.

    browser ── frontend :3000 ── backend :3002 ── router :8888

Each service is a package that starts with `python -m stack.<name>` and is configured by its environment alone. The stack knows
devctl only through public interfaces and never imports it.
"""
