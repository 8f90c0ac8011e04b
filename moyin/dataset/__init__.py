"""What training reads: samples in shards, one file a column, and the order they are read in."""
