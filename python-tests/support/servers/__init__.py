"""Servers on loopback that queuekeeper talks to."""
