"""The dashboard: a client of the supervisor that shows the stack and steers it. Closing or killing it harms nothing."""
