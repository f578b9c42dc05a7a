"""Latency, memory and the speed of a step."""
