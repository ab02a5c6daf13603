"""The backend: the API that pages and programs talk to."""
