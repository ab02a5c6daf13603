"""The stack as tools of the Model Context Protocol, for coding agents. See docs/mcp.md.

The protocol itself is the official SDK's part, which only the extra `mcp` installs: nothing else of devctl imports this package.
"""
