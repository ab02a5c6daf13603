"""Logs: what services wrote, kept in one CRI file each; the files are the transport, readers follow them.

Writing, inside the supervisor: `capture` (pipes) → `store` (lines, one file a service) → `file` (bytes, rotation, trouble).
Reading, anywhere: `chain` (rotated files) → `scan` (records) → `query` (select, merge) or `follow` (as they come).
"""
