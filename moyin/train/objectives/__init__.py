"""What each stage learns: five objectives, one per network."""
