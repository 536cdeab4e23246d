"""The run record, and what fills it: see SCHEMA.md."""
