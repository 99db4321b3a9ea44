"""Alerts: what an operator must know, sent to mail, chat and telephone by apprise.

Imported only where LITEYUKI_ALERT_URLS is set.
"""

from .alerts import Alerts

__all__ = ["Alerts"]
