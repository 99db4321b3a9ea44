"""Several main processes as one: channels between nodes, over NATS. Inert on import.

Only `bot.py` imports it, where LITEYUKI_NATS_URL is set.
"""
