"""The supervisor: the asyncio shell around the pure lifecycle. Run by the guard as `python -m devctl.supervisor`."""
