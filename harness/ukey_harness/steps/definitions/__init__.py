"""The step definitions, a module for each matter."""
