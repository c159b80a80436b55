"""Pages of jobs, data, models and endpoints, by subject."""
