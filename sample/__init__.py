"""The sample retailer: a real data set, delivered the way a retailer would deliver it.

Tills (SQLite or PostgreSQL), a file drop, a web API, and a topic where there is a Kafka; a clock
moves them through the year.
"""

from sample.retailer import VARIABLES, Retailer, services

__all__ = ["VARIABLES", "Retailer", "services"]
