"""Alembic's side of alerting's database."""
