"""A bag through a session: passes, journal, resumption."""
