"""For those who test with devctl: see `devctl.testing.plugin`, the pytest plugin."""
