"""The backend's endpoints, one module for each part; every one gives a `router(...)` factory that `app.py` includes."""
