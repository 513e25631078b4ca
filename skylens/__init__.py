"""What the tiers of Skylens share: messages, settings, errors, AWS ports, logs, metrics, the CLI, the local cloud."""

__version__ = "0.1.0"
