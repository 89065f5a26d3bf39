"""Bulk work that finishes: any number of photographs to one table, on one machine or a cluster."""
