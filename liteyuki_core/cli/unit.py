"""The files that have a system start a bot: a unit of systemd, a task of Windows.

Pure: they are texts.
"""

from __future__ import annotations

from typing import NamedTuple
from xml.sax.saxutils import escape


class Service(NamedTuple):
    """A bot that the system is to start. All paths are absolute but `file`."""

    name: str
    directory: str
    python: str
    file: str
    path: str
    """The variable PATH, so that programs are found as they are now."""


_UNIT = """\
[Unit]
Description=LiteyukiBot in {directory}

[Service]
Type=notify
WorkingDirectory={directory}
ExecStart={python} {file}
Environment={path}
TimeoutStartSec=180
WatchdogSec=60
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStopSec={stop}
UMask=0077

[Install]
WantedBy=default.target
"""

_TASK = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>LiteyukiBot in {directory}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>{user}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{python}</Command>
      <Arguments>{file}</Arguments>
      <WorkingDirectory>{directory}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"""


def unit_of(service: Service, stop_timeout: float) -> str:
    """Return the unit of a service of systemd, for one user.

    systemd waits longer than `stop_timeout` seconds before it ends the bot by force.
    """
    return _UNIT.format(
        directory=_plain(service.directory),
        python=_quoted(service.python),
        file=_quoted(service.file).replace("$", "$$"),
        path=_quoted(f"PATH={service.path}"),
        stop=int(stop_timeout) + 10,
    )


def directory_of(unit: str) -> str | None:
    """Return the directory of the bot that a unit starts, or None if it is no such unit."""
    for line in unit.splitlines():
        key, _, value = line.partition("=")
        if key == "WorkingDirectory":
            return value.replace("%%", "%")
    return None


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Return a word as systemd.service(5) wants it. `$` means something in arguments alone."""
    text = _plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def task_of(service: Service, user: str) -> str:
    """Return the XML of a task that Windows starts when `user` logs in."""
    return _TASK.format(
        directory=escape(service.directory),
        python=escape(service.python),
        file=escape(f'"{service.file}"'),
        user=escape(user),
    )
