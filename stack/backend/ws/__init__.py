"""Conversations over WebSockets: answers stream as they come, and what a lost connection missed is sent again."""
