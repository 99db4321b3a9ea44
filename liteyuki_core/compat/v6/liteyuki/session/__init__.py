"""Chat, under the names of 6.3.10 to 6.3.16 and of branch v6."""

from .models import Member, Role, Scene, SceneType, Session, User

__all__ = ["Member", "Role", "Scene", "SceneType", "Session", "User"]
