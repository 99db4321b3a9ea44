"""Who talks where, as branch v6 describes it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class SceneType(IntEnum):
    """The kinds of scenes."""

    PRIVATE = 0
    GROUP = 1
    GUILD = 2
    CHANNEL_TEXT = 3
    CHANNEL_CATEGORY = 4
    CHANNEL_VOICE = 5


@dataclass
class User:
    """A user."""

    id: str
    name: str | None = None
    nick: str | None = None
    avatar: str | None = None
    gender: str | None = None


@dataclass
class Scene:
    """Where people talk. In 6.3.16 the type is a text."""

    id: str
    type: SceneType | str
    name: str | None = None
    avatar: str | None = None
    parent: Scene | None = None


@dataclass
class Role:
    """What a member is in a scene."""

    id: str
    level: int | None = None
    name: str | None = None


@dataclass
class Member:
    """A user in a scene."""

    user: User
    nickname: str | None = None
    role: Role | None = None
    mute: bool | None = None
    joined_at: datetime | None = None


@dataclass
class Session:
    """A bot, a scene and a user."""

    self_id: str
    adapter: str
    scope: str
    scene: Scene
    user: User
    member: Member | None = None
    operator: Member | None = None

    @property
    def session_id(self) -> str:
        """The conversation: the scene, or the user in private."""
        return f"{self.scope}:{self.user.id if self._is_private else self.scene.id}"

    @property
    def target_id(self) -> str:
        """The user in the conversation."""
        if self._is_private:
            return f"{self.scope}:{self.user.id}"
        return f"{self.scope}:{self.scene.id}:{self.user.id}"

    @property
    def _is_private(self) -> bool:
        return self.scene.type in (SceneType.PRIVATE, "private")
