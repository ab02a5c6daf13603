"""Questions answered later: accepted at once, kept in the database, worked ten at a time, through NATS or in this process."""
