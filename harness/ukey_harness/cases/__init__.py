"""The conformance cases: what a standard demands of a key, one file per section."""
