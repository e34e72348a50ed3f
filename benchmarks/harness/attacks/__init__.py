"""Attacks on a running service, a module a kind; `proofs/serving/attacks.py` runs them all."""
