"""Brings bytes in: declaration, readers, contract, load and dead letters."""
