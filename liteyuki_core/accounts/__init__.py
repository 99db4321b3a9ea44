"""Accounts: what the children's bots are logged in as, and what follows when one is not online."""

from .account import Account, AccountState
from .known import Accounts

__all__ = ["Account", "AccountState", "Accounts"]
