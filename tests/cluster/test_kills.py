"""Main processes of a cluster that are killed: nothing is lost, nothing overtakes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.cluster.counting import SLOW, check, environment_of, numbers, wait_for_some
from tests.conftest import a_little
from tests.nats import NatsServer
from tests.program import running_program


@a_little(2, 20)
def test_a_receiver_is_killed(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer, times: int
) -> None:
    """Again and again: its next life has what it had not handled, and then all the rest."""
    environment = environment_of(environment, nats)
    stop = 300 * (times + 1)
    came: list[int] = []
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with ExitStack() as stack:
        sender = None
        for life in range(times + 1):
            with running_program(
                tmp_path / "a", environment, "clustered:receiving", LITEYUKI_NODE="a"
            ) as receiver:
                if sender is None:
                    nats.wait_for_channel("numbers")
                    sender = stack.enter_context(
                        running_program(
                            *(tmp_path / "b", environment, "clustered:sending", "0", str(stop)),
                            LITEYUKI_NODE="b",
                        )
                    )
                wait_for_some(receiver, 200 if life < times else 0)
                if life < times:
                    receiver.process.kill()
                    receiver.wait()
                else:
                    sender.wait_for_line("^> all$", timeout=SLOW)
                    assert receiver.stop() == 0
                came += numbers(receiver)
        assert sender is not None
        assert sender.stop() == 0
    check(came, 0, stop)


def test_a_sender_is_killed(tmp_path: Path, environment: dict[str, str], nats: NatsServer) -> None:
    """What had left comes without a gap, and then what its next life sends."""
    environment = environment_of(environment, nats)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running_program(
        tmp_path / "a", environment, "clustered:receiving", LITEYUKI_NODE="a"
    ) as receiver:
        nats.wait_for_channel("numbers")
        with running_program(
            *(tmp_path / "b", environment, "clustered:sending", "0", "100000"), LITEYUKI_NODE="b"
        ) as sender:
            wait_for_some(receiver, 100)
            sender.process.kill()
            sender.wait()
        with running_program(
            *(tmp_path / "b", environment, "clustered:sending", "100000", "100200"),
            LITEYUKI_NODE="b",
        ) as sender:
            sender.wait_for_line("^> all$", timeout=SLOW)
            assert sender.stop() == 0
        assert receiver.stop() == 0
        came = numbers(receiver)
    last = max(number for number in came if number < 100_000)
    check([number for number in came if number < 100_000], 0, last + 1)
    check([number for number in came if number >= 100_000], 100_000, 100_200)
    assert came.index(100_000) > came.index(last)
