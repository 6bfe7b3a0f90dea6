"""The lite world as a plugin: what the package may ask of it, each thing loaded at first use."""

from __future__ import annotations
