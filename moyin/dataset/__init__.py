"""What training reads: samples in shards, with one file per column, and the order of reading."""
