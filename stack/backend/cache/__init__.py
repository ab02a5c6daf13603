"""Answers kept for a while: in Redis when it is there, in this process when it is not."""
