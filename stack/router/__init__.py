"""The router: understands what a message is about and lets the right agent answer it."""
