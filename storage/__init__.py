"""Storage keeps: engine, tables, column types, migrations."""
