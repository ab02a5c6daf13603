"""The command line: a client of the supervisor like any other. See docs/guide.md for what each command is for."""
