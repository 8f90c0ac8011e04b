"""The five networks, a file each."""
