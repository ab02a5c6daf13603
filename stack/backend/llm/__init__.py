"""Language models: one interface, providers behind it, and the chain that copes when they fail."""
