"""A virtual fleet under real traffic: the policies of this product, those of others, and an oracle, side by side.

It imports nothing of AWS. ``world`` moves requests and instances in virtual time; whoever sizes the fleet is a
``Scaler`` (``view``); what came of it is a ``Run``.
"""
