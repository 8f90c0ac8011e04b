"""What a user wrote, as the networks read it: quoted strings, token grids, ids, positions."""
