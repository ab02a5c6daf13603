"""The frontend: the page, and the way from it to the backend."""
