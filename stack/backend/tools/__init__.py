"""Tools of MCP servers: what they are, calling them, and asking a person before anything is changed."""
