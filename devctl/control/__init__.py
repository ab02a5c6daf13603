"""The control API: one supervisor, reached over HTTP on a private Unix socket.

`interface` says what the server needs of a supervisor, `server` serves it, `client` talks to it. The server half is imported by the
supervisor only; the client half needs the standard library only, as every command pays for its import.
"""
