"""Steps that bring a registry database to the tables of this version."""
