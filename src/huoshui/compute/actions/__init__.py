"""Writes of the compute bank, by subject: catalogue, deposits, requests, rounds, delivery, accounts."""
