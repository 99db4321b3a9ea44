"""Nodes of a cluster: one has workers, another one calls functions in them."""

from __future__ import annotations

from liteyuki_core import LiteyukiBot, workers
from tests.children import acting, reached


def at_home() -> None:
    """Call workers of the same node with what would be something else on another one."""
    bot = LiteyukiBot()
    bot.add_workers("render", 1)
    pool = workers("render", timeout=60)

    async def act() -> None:
        same = [1]
        assert await pool.async_call(reached.types_of, (1,), same, k=bytearray(b"x")) == [
            ["tuple", "list", "bytearray"],
            False,
        ]
        assert await pool.async_call(reached.types_of, same, same) == [["list", "list"], True]
        assert await pool.async_call(reached.types_of, {1, 2}, b"x") == [["set", "bytes"], False]
        for given in ((1, [2, (3,)]), {"a": (1,)}, ("x" * 300_000, b"x" * 300_000), {1}, None):
            assert await pool.async_call(reached.same, given) == given
        assert await pool.async_call(reached.pair) == (1, [2, (3,)])
        try:
            await pool.async_call(reached.raises, "no such colour")
        except ValueError as error:
            assert str(error) == "no such colour"
        else:
            raise AssertionError

    acting.main(bot, act)
