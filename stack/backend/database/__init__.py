"""What outlives the process: tables, how they came about, and the way to them."""
