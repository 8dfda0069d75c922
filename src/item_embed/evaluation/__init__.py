"""How well products are found: queries, metrics, intervals, simple methods to compare with, reports."""
