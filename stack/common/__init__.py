"""What the three services share: settings, logging, errors, serving, and watching one another."""
