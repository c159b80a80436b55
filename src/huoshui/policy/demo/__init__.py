"""Demo data of the desk; every firm, office and fund is visibly invented."""
