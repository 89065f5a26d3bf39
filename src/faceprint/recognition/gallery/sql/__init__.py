"""Gallery rows in SQL: the same queries for SQLite and PostgreSQL."""
