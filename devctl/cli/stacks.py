"""`devctl ls`, `reap` and `clean`: all stacks of this user, and what they left."""

from __future__ import annotations
