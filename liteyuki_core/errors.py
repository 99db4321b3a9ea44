"""Every exception of liteyuki_core.

All derive from `LiteyukiError`. Where the standard library has a class for the same
situation, that class is the second parent, so `except TimeoutError` works as expected. All
survive pickle, because an error may be sent through a channel.
"""

from __future__ import annotations

__all__ = [
    "AlreadyRunning",
    "BotNotConnected",
    "ChannelBroken",
    "ChannelClosed",
    "ChannelEmpty",
    "ChannelError",
    "ChannelExists",
    "ChannelFull",
    "ChannelModeError",
    "ChannelNotFound",
    "ChannelTimeout",
    "ChannelTypeError",
    "ClusterError",
    "ConfigError",
    "FrameError",
    "LiteyukiError",
    "MessageTooLarge",
    "NodeError",
    "NodeGone",
    "NodeNotFound",
    "NodeTimeout",
    "NotConnected",
    "PluginCycle",
    "PluginError",
    "PluginExists",
    "PluginFailed",
    "PluginNotFound",
    "ProcessError",
    "ProcessExists",
    "ProcessNotFound",
    "ProcessStartError",
    "ProcessTimeout",
    "PromptTimeout",
    "RemoteError",
    "SendError",
    "StoreError",
    "StoreTimeout",
    "WorkerDied",
    "WouldBlockLoop",
]


class LiteyukiError(Exception):
    """Root of every error that liteyuki_core raises on purpose."""

    def __str__(self) -> str:
        # A second parent such as KeyError would print the repr of the message.
        return str(self.args[0]) if self.args else ""


class _About(LiteyukiError):
    """An error about one named thing. The name survives pickle."""

    def __init__(self, message: str, subject: str | None = None) -> None:
        super().__init__(message, subject)

    @property
    def _subject(self) -> str | None:
        return self.args[1] if len(self.args) > 1 else None


class ChannelError(_About):
    """An error of a channel; `channel` is its name."""

    @property
    def channel(self) -> str | None:
        """The name of the channel, or None if it has no name."""
        return self._subject


class ChannelClosed(ChannelError, EOFError):
    """This end was closed, or the other side was closed and everything it sent was received.

    If the other side died, `ChannelBroken` is raised instead.
    """


class ChannelBroken(ChannelError, ConnectionError):
    """The other side died and will not come back, and everything it sent was received.

    `lines` are the last lines that its process wrote.
    """

    def __init__(
        self, message: str, channel: str | None = None, lines: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, channel)
        self.args = (message, channel, tuple(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines that the process wrote, at most 20; () for a request and where nothing
        is known."""
        return self.args[2]  # type: ignore[no-any-return]


class ChannelFull(ChannelError):
    """`capacity` messages are sent and unacknowledged, and this call may not wait."""


class ChannelEmpty(ChannelError):
    """`receive_nowait` found no message."""


class ChannelTimeout(ChannelError, TimeoutError):
    """The timeout passed. Nothing was sent, and no message was lost."""


class ChannelModeError(ChannelError):
    """`receive` was called on an end with callbacks, or `on_receive` on an end that receives."""


class ChannelExists(ChannelError, ValueError):
    """Another channel has this name already."""


class ChannelNotFound(ChannelError, KeyError):
    """No channel has this name."""


class ChannelTypeError(ChannelError, TypeError):
    """The data is not of the channel's type, or the channel's type can't be checked."""


class _RemoteTraceback(Exception):
    """Shows a traceback of another process above the traceback of this one."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class RemoteError(ChannelError):
    """A request was not answered with a value: its handler has raised, or there is none.

    `type_name` is the name of the class that the handler has raised, `message` its text, and
    `traceback` its traceback in the other process, as text; "" where nothing was raised.
    """

    def __init__(
        self,
        message: str,
        channel: str | None = None,
        type_name: str = "",
        remote_message: str = "",
        traceback: str = "",
    ) -> None:
        super().__init__(message, channel)
        self.args = (message, channel, type_name, remote_message, traceback)
        if traceback:
            self.__cause__ = _RemoteTraceback(traceback)

    @property
    def type_name(self) -> str:
        """The name of the class of what was raised, such as "ValueError"."""
        return str(self.args[2])

    @property
    def message(self) -> str:
        """The text of what was raised, or what was wrong."""
        return str(self.args[3] or self.args[0])

    @property
    def traceback(self) -> str:
        """The traceback in the process of the handler, as text."""
        return str(self.args[4])


class SendError(ChannelError, TypeError):
    """The data can't be serialised; nothing was sent."""


class MessageTooLarge(ChannelError, ValueError):
    """The serialised message is over `max_message_bytes`; nothing was sent."""


class WouldBlockLoop(LiteyukiError, RuntimeError):
    """A call that would have to wait was made on a thread that runs an event loop."""


class StoreError(_About):
    """An error of the shared store; `key` is the key, lock or topic."""

    @property
    def key(self) -> str | None:
        """The key, lock or topic, or None if the error is about none."""
        return self._subject


class StoreTimeout(StoreError, TimeoutError):
    """The main process did not answer in time, or a lock was not acquired in time.

    A change that was requested may still be made.
    """


class ProcessError(_About):
    """An error of a child process; `process` is its name."""

    @property
    def process(self) -> str | None:
        """The name of the process."""
        return self._subject


class ProcessExists(ProcessError, ValueError):
    """A process of this name was added already."""


class ProcessNotFound(ProcessError, KeyError):
    """No process has this name."""


class ProcessStartError(ProcessError):
    """A child process could not be started."""


class ProcessTimeout(ProcessError, TimeoutError):
    """A child process was not ready in time, or a worker's call has not ended in time."""


class WorkerDied(ProcessError):
    """A worker has ended while it ran this call; `process` is the worker's name.

    `exitcode` is its exit code: negative for a signal, None if it is not known. `lines` are the
    last lines that it wrote.
    """

    def __init__(
        self,
        message: str,
        process: str | None = None,
        exitcode: int | None = None,
        lines: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, process)
        self.args = (message, process, exitcode, lines)

    @property
    def exitcode(self) -> int | None:
        """The exit code of the worker's process."""
        return self.args[2]  # type: ignore[no-any-return]

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines that the worker's process wrote, at most 20."""
        return tuple(self.args[3])


class PluginError(_About):
    """An error of a plugin of the main process; `plugin` is its name."""

    @property
    def plugin(self) -> str | None:
        """The name of the plugin."""
        return self._subject


class PluginExists(PluginError, ValueError):
    """Another plugin, or another module that Python finds first, has this name."""


class PluginNotFound(PluginError, ModuleNotFoundError):
    """No module or file is there that could be this plugin."""


class PluginFailed(PluginError, ImportError):
    """The plugin raised an error when it was imported. The log has its traceback."""


class PluginCycle(PluginError, ImportError):
    """Plugins require each other in a circle; the message names them in order."""


class BotNotConnected(_About, ConnectionError):
    """A bot is not connected to its child process, or that does not run; `bot` is its id."""

    @property
    def bot(self) -> str | None:
        """The id of the bot."""
        return self._subject


class PromptTimeout(LiteyukiError, TimeoutError):
    """A user has not answered a prompt in time."""


class NotConnected(LiteyukiError, RuntimeError):
    """This process is neither a running LiteyukiBot nor one of its child processes."""


class AlreadyRunning(LiteyukiError):
    """Another LiteyukiBot runs in this working directory; `pid` is its process id."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message, pid)

    @property
    def pid(self) -> int | None:
        """The process id of the other LiteyukiBot, or None if its lock file does not say."""
        return self.args[1] if len(self.args) > 1 else None


class ClusterError(LiteyukiError, ConnectionError):
    """The NATS server of a cluster can't be used, or this node can't be one of the cluster.

    It says what the server has answered. A connection that is lost later raises nothing: channels
    to other nodes wait until it is there again.
    """


class NodeError(_About):
    """Another node of the cluster does not do what it is asked; `node` is its name."""

    @property
    def node(self) -> str | None:
        """The name of the node."""
        return self._subject


class NodeNotFound(NodeError, KeyError):
    """No node of the cluster has this name."""


class NodeGone(NodeError, ConnectionError):
    """The node does not run, or has vanished while it was asked. It may have begun."""


class NodeTimeout(NodeError, TimeoutError):
    """The node has not answered in time. What it was asked may still be done."""


class ConfigError(LiteyukiError, ValueError):
    """A setting has a value that is not allowed; the message names the key."""


class FrameError(LiteyukiError, ValueError):
    """Bytes on a link are not frames of this protocol; the link is ended."""
