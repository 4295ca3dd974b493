"""A seeded fleet of simulated devices, the record of what it sent, and the check that it all arrived."""
