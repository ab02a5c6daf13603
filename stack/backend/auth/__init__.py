"""Who is asking: accounts, tokens, active sessions, and the guard in front of the protected routes."""
