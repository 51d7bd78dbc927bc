"""report.html: a run folder as one page that needs nothing else."""
