"""What a user wrote, as the networks read it: quoted strings, grids, ids, positions."""
