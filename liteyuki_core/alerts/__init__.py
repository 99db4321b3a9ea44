"""Alerts: what an operator must know, sent to mail, chat and telephone by apprise.

Imported only where LITEYUKI_ALERT_URLS is set, or where this bot is a node of a cluster, in which
another one may send its alerts.
"""

from .alerts import Alerts, to_services
from .passing import Passing

__all__ = ["Alerts", "Passing", "to_services"]
