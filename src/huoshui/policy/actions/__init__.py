"""The writes of the desk, one room for each part of it."""
