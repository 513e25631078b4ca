"""Webhooks: who posts an image or a batch with ``Callback-Url`` is told once it is finished."""
