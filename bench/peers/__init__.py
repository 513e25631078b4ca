"""The comparison with other servers. ``serve_*`` and ``recognise`` run in the peers' environments, the rest in ours."""
