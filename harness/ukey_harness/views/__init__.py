"""Views of the run record: they show what it holds and know nothing else."""
