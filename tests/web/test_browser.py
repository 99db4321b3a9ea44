"""The page in a real browser: what people do with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from liteyuki_core.control import Client
from tests.children.shown import EVIL
from tests.conftest import wait_until
from tests.program import Program
from tests.web.chromium import PHONE, Opens, go, needs_chromium, send, shown, wire
from tests.web.chromium import _nothing_left as _nothing_left
from tests.web.chromium import bot as bot
from tests.web.chromium import chromium as chromium
from tests.web.chromium import contexts as contexts
from tests.web.chromium import opens as opens

pytestmark = needs_chromium

VIEWS = ("overview", "log", "charts", "channels", "channels/echo-active", "store", "settings")


def row(page: Page, kind: str, name: str) -> Any:
    """Return the row of a table that begins with a name."""
    return page.locator(f".{kind} [role=row]").filter(has=page.get_by_text(name, exact=True))


def lines_of(page: Page, pattern: str) -> list[str]:
    """Return what the log's list has, seen or not, that matches."""
    texts = page.evaluate(
        "document.querySelector('lite-lines')._rows.map(row => row.line?.text ?? row.note)"
    )
    return [found[0] for text in texts if (found := re.search(pattern, text))]


# ------------------------------------------------------------- in and out


def test_a_ticket_opens_the_page_once(opens: Opens) -> None:
    page = opens()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert page.url.endswith("/#overview")
    expect(row(page, "processes", "echo").locator(".state")).to_have_text("running")
    page.reload()  # With the session, not with the ticket.
    expect(row(page, "processes", "works")).to_be_visible()


def test_a_used_ticket_is_told(bot: Program, contexts: Any) -> None:
    url = str(Client().ask("POST", "/web", body={})["url"])
    for words in ("Processes", "This link was used before, or it is too old."):
        page = contexts().new_page()
        page.goto(url)
        expect(page.get_by_text(words, exact=True)).to_be_visible()


def test_a_link_on_another_site_opens_the_page(bot: Program, contexts: Any) -> None:
    """The cookie is for this site alone, and the ticket comes from another one."""
    url = Client().ask("POST", "/web", body={})["url"]
    page = contexts().new_page()
    page.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(content_type="text/html", body=f'<a href="{url}">look</a>'),
    )
    page.goto("http://elsewhere.test/")
    page.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_who_logs_out_is_asked_to_log_in(opens: Opens) -> None:
    page = opens("settings")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("liteyuki web")).to_be_visible()


def test_a_bot_that_has_ended_is_told(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with shown(tmp_path) as other:
        page = opens()
        assert other.stop() == 0
        expect(page.get_by_role("alert")).to_contain_text("does not answer")


def test_a_friend_may_look_and_change_nothing(opens: Opens, contexts: Any) -> None:
    page = opens("settings")
    page.get_by_role("button", name="Make a link").click()
    url = page.get_by_label("Link for a friend").input_value()
    friend = contexts().new_page()
    friend.goto(url)
    expect(friend.get_by_text("read-only", exact=True)).to_be_visible()
    expect(row(friend, "processes", "echo")).to_be_visible()
    expect(friend.get_by_role("button", name="Restart echo")).to_have_count(0)
    go(friend, "store/users/1")
    expect(friend.get_by_label("Value, as JSON")).to_have_value(re.compile("level"))
    expect(friend.get_by_label("Value, as JSON")).not_to_be_editable()
    expect(friend.get_by_role("button", name="Save")).to_have_count(0)


# ------------------------------------------------------------- overview


def test_what_is_wrong_comes_first_in_words(opens: Opens) -> None:
    page = opens()
    trouble = page.locator(".troubles li").first
    expect(trouble).to_contain_text("fails: FAILED, and not started again; it exited with code 9")
    first, processes = trouble.bounding_box(), page.locator(".processes").bounding_box()
    assert first
    assert processes
    assert first["y"] < processes["y"]


def test_a_restarted_child_is_seen_to_come_back(opens: Opens) -> None:
    page = opens()
    echo = row(page, "processes", "echo")
    expect(echo.locator(".restarts")).to_be_visible()
    before = Client().ask("GET", "/processes/echo")["pid"]
    page.get_by_role("button", name="Restart echo").click()
    dialog = page.get_by_role("dialog", name="Restart echo?")
    expect(dialog).to_contain_text("with time to finish what it has in hand")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Restart echo")).to_be_focused()
    assert Client().ask("GET", "/processes/echo")["pid"] == before
    page.get_by_role("button", name="Restart echo").click()
    dialog.get_by_role("button", name="Restart").click()
    expect(page.get_by_role("status").filter(has_text="echo is being restarted")).to_be_visible()
    wait_until(lambda: Client().ask("GET", "/processes/echo")["pid"] not in (before, None))
    expect(echo.locator(".state")).to_have_text("running")
    expect(echo.locator(".uptime")).to_have_text(re.compile(r"^\d s$"))


def test_a_stopped_child_can_be_started(opens: Opens) -> None:
    page = opens()
    page.get_by_role("button", name="Stop works").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    state = row(page, "processes", "works").locator(".state")
    expect(state).to_have_text("stopped")
    page.get_by_role("button", name="Start works").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(state).to_have_text("running")


# ------------------------------------------------------------- log


def test_the_log_is_followed_filtered_and_linked(opens: Opens) -> None:
    page = opens("log")
    send("echo-active", "one")
    expect(page.locator(".line", has_text="line one")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()

    page.get_by_label("Search the log").fill("line two")
    expect(page.get_by_text("No line matches.")).to_be_visible()
    send("echo-active", "two")
    expect(page.locator(".line")).to_have_count(1)
    expect(page.locator("mark")).to_have_text("line two")
    assert "text=line+two" in page.url
    page.get_by_role("button", name="Clear").click()

    page.get_by_label("Level").select_option("ERROR")
    expect(page.locator(".line", has_text=EVIL)).to_be_visible()
    expect(page.locator(".line", has_text="line two")).to_have_count(0)
    page.get_by_label("Level").select_option("")
    page.get_by_label("Process").select_option("fails")
    expect(page.locator(".line .who").first).to_have_text("fails")

    go(page, "log")
    line = page.locator(".line", has_text="line one")
    line.locator(".time").click()
    expect(page).to_have_url(re.compile(r"#log\?at=20"))
    page.reload()
    expect(page.locator(".line.target")).to_contain_text("line one")
    expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    send("echo-active", "three")
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator(".line", has_text="line three")).to_be_visible()


def test_scrolling_up_stops_following(opens: Opens) -> None:
    page = opens("log")
    send("echo-active", 301)
    expect(page.locator(".line", has_text="line 301")).to_be_visible()
    page.locator("lite-lines").hover()
    page.mouse.wheel(0, -1500)
    expect(page.get_by_role("status").filter(has_text="Not following")).to_be_visible()
    seen = page.locator(".line").first
    expect(page.locator(".line").nth(10)).to_be_attached()
    top = page.evaluate("document.querySelector('lite-lines').scrollTop")
    send("echo-active", "more")
    expect(page.get_by_role("button", name=re.compile(r"Follow \(\d+ new\)"))).to_be_visible()
    assert page.evaluate("document.querySelector('lite-lines').scrollTop") == top
    expect(seen).to_be_attached()
    page.get_by_role("button", name=re.compile("Follow")).click()
    expect(page.locator(".line", has_text="line more")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()


def test_scrolling_up_leads_into_the_files_of_the_log(opens: Opens) -> None:
    page = opens("log")
    send("echo-active", 7000)
    expect(page.locator(".line", has_text="line 7000")).to_be_visible()
    go(page, "overview")
    go(page, "log")
    expect(page.locator(".line", has_text="line 7000")).to_be_visible()

    def at_the_beginning() -> bool:
        page.evaluate("document.querySelector('lite-lines').scrollTop = 0")
        page.wait_for_timeout(30)
        return page.get_by_text("The log begins here.").is_visible()

    wait_until(at_the_beginning, timeout=60)
    numbers = [int(each) for each in lines_of(page, r"(?<=number )\d+$")]
    assert numbers[-7000:] == list(range(7000))
    assert lines_of(page, "process echo started")


def test_a_cut_connection_leaves_no_gap_and_no_double(opens: Opens) -> None:
    port = Client().ask("POST", "/web", body={})["port"]
    with wire(port) as line:
        page = opens("log", port=line.port)
        for number in range(5):
            send("echo-active", f"a{number}")
        expect(page.locator(".line", has_text="line a4")).to_be_visible()
        for again in range(3):
            line.cut()
            for number in range(5):
                send("echo-active", f"b{again}{number}")
            if again == 0:
                expect(page.locator(".log-state")).to_have_text("Connection lost. Trying again …")
            line.mend()
            expect(page.locator(".line", has_text=f"line b{again}4")).to_be_visible()
        expected = [f"line a{number}" for number in range(5)]
        expected += [f"line b{again}{number}" for again in range(3) for number in range(5)]
        assert lines_of(page, r"line [ab]\d+$") == expected
        page.context.close()


HOLD = """() => {
  // Answers of the log come when they are let go, each at a moment that the test says.
  const real = window.fetch;
  const gates = { history: {}, follow: {} };
  for (const gate of Object.values(gates)) {
    gate.asked = 0;
    gate.opened = new Promise((open) => { gate.open = open; });
  }
  window.gates = gates;
  window.fetch = async (url, options) => {
    const answer = await real(url, options);
    const gate = url.includes("/log/history") ? gates.history
      : url.includes("/log/follow") ? gates.follow : null;
    if (!gate) return answer;
    gate.asked += 1;
    if (gate === gates.history) {
      await gate.opened;
      return answer;
    }
    const reader = answer.body.getReader();
    const body = new ReadableStream({
      start: () => gate.opened,
      pull: async (to) => {
        const { done, value } = await reader.read();
        if (done) to.close(); else to.enqueue(value);
      },
      cancel: (why) => reader.cancel(why),
    });
    return new Response(body, { headers: answer.headers });
  };
}"""


@pytest.mark.parametrize("first", ["history", "follow"])
def test_a_line_that_comes_while_the_log_is_read_is_there_once(opens: Opens, first: str) -> None:
    """Whichever is answered first: what there was, or what comes."""
    page = opens()
    for number in range(3):
        send("echo-active", f"{first} {number}")
    wait_until(lambda: Client().ask("GET", "/log", query={"text": f"line {first} 2"}))
    page.evaluate(HOLD)
    go(page, "log")
    wait_until(lambda: page.evaluate("gates.history.asked + gates.follow.asked > 0"))
    page.wait_for_timeout(300)  # What else the page asks for, meanwhile.
    send("echo-active", f"{first} 3")
    wait_until(lambda: Client().ask("GET", "/log", query={"text": f"line {first} 3"}))
    then = "follow" if first == "history" else "history"
    page.evaluate("([first, then]) => { gates[first].open(); gates[then].open(); }", [first, then])
    expect(page.locator(".line", has_text=f"line {first} 3")).not_to_have_count(0)
    send("echo-active", f"{first} 4")
    expect(page.locator(".line", has_text=f"line {first} 4")).not_to_have_count(0)
    assert lines_of(page, rf"line {first} \d$") == [f"line {first} {number}" for number in range(5)]


def to_the_end(page: Page, last: str) -> None:
    """Scroll down until the list ends with a line."""

    def there() -> bool:
        page.evaluate(
            "(() => { const l = document.querySelector('lite-lines');"
            " l.scrollTop = l.scrollHeight; })()"
        )
        page.wait_for_timeout(30)
        return lines_of(page, ".*")[-1:] != [] and bool(lines_of(page, f"{last}$"))

    wait_until(there, timeout=60)


def test_what_was_forgotten_meanwhile_is_read_from_the_files(opens: Opens) -> None:
    """More lines than the bot keeps in memory come while the connection is lost."""
    port = Client().ask("POST", "/web", body={})["port"]
    with wire(port) as line:
        follows, reads = (opens("log", port=line.port) for _ in range(2))
        send("echo-active", "before")
        for page in (follows, reads):
            expect(page.locator(".line", has_text="line before")).to_be_visible()
        reads.locator(".line", has_text="line before").locator(".time").click()
        line.cut()
        send("echo-active", 6000)
        wait_until(lambda: Client().ask("GET", "/log", query={"text": "line 6000"}))
        line.mend()
        expect(follows.locator(".line", has_text="line 6000")).to_be_visible()
        numbers = [int(each) for each in lines_of(follows, r"(?<=number )\d+$")]
        assert numbers == list(range(6000 - len(numbers), 6000))
        to_the_end(reads, "line 6000")
        found = lines_of(reads, r"(?<=number )\d+$|line before$")
        begun = len(found) - found[::-1].index("line before")
        assert found[begun:] == list(map(str, range(6000)))
        send("echo-active", "after")
        for page in (follows, reads):
            expect(page.locator(".line", has_text="line after")).to_be_visible()
            page.context.close()


def test_what_was_dropped_from_a_long_list_is_read_again(opens: Opens) -> None:
    page = opens("log")
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()
    page.evaluate("document.querySelector('lite-log')._most = 500")
    send("echo-active", 1200)
    expect(page.locator(".line", has_text="line 1200")).to_be_visible()
    # A page before the first line may have been asked for meanwhile.
    wait_until(lambda: len(lines_of(page, ".")) <= 500 + 300, "some are dropped")
    page.evaluate("document.querySelector('lite-log')._most = 5000")

    def further_up() -> bool:
        page.evaluate("document.querySelector('lite-lines').scrollTop = 0")
        page.wait_for_timeout(30)
        return len(lines_of(page, r"number \d+$")) >= 1200

    wait_until(further_up, timeout=60)
    assert lines_of(page, r"(?<=number )\d+$")[-1200:] == list(map(str, range(1200)))


def test_what_was_dropped_while_older_lines_come_leaves_no_gap(opens: Opens) -> None:
    """They are older than what was dropped, so there is no place for them any more."""
    seeks = "document.querySelector('lite-log')._seeks.earlier"
    page = opens("log")
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()
    send("echo-active", 1200)
    expect(page.locator(".line", has_text="line 1200")).to_be_visible()
    go(page, "overview")
    go(page, "log")
    expect(page.locator(".line", has_text="line 1200")).to_be_visible()
    wait_until(lambda: not page.evaluate(seeks), "that is over")
    held: list[Any] = []
    page.route(re.compile(r"/api/log/history\?.*before="), lambda route: held.append(route))
    most = page.evaluate("""(log => {
        log._most = log._list.length + 100;
        void log._earlier();
        return log._most;
    })(document.querySelector("lite-log"))""")
    wait_until(lambda: page.wait_for_timeout(10) or held, "older lines are asked for")
    send("echo-active", 1300)
    expect(page.locator(".line", has_text="line 1300")).to_be_visible()
    wait_until(lambda: len(lines_of(page, ".")) <= most, "some were dropped")
    for route in held:
        route.continue_()
    wait_until(lambda: not page.evaluate(seeks), "that is over")
    numbers = [int(each) for each in lines_of(page, r"(?<=number )\d+$")]
    assert numbers == list(range(numbers[0], 1300))


def test_from_a_moment_on_to_now(opens: Opens) -> None:
    """Whoever reads on from a moment comes to what is logged now."""
    page = opens("log")
    send("echo-active", "moment")
    send("echo-active", 900)
    expect(page.locator(".line", has_text="line 900")).to_be_visible()
    (moment,) = Client().ask("GET", "/log", query={"text": "line moment", "lines": 1})
    go(page, "overview")
    go(page, f"log?at={moment['time']}&line={moment['position']}")
    expect(page.locator(".line.target")).to_contain_text("line moment")
    to_the_end(page, "line 900")
    send("echo-active", "now")
    to_the_end(page, "line now")
    found = lines_of(page, r"(?<=number )\d+$|line (?:moment|now)$")
    begun = len(found) - found[::-1].index("line moment")
    assert found[begun:] == [*map(str, range(900)), "line now"]
    page.get_by_role("button", name="Back to now").click()
    expect(page.get_by_role("status").filter(has_text="Following")).to_be_visible()
    assert "at=" not in page.url
    # One that an earlier bot has given: its time is what is left.
    go(page, f"log?at={moment['time']}&line=0badlife:7&text=line+moment")
    expect(page.locator(".line.target")).to_contain_text("line moment")


def test_of_100_000_lines_only_what_is_seen_is_in_the_page(opens: Opens) -> None:
    page = opens("log")
    expect(page.locator(".line").first).to_be_visible()
    took = page.evaluate(
        """async () => {
          const list = document.querySelector("lite-lines");
          const frame = () => new Promise(requestAnimationFrame);
          let longest = 0;
          let most = 0;
          for (let i = 0; i < 100; i += 1) {
            const lines = Array.from({ length: 1000 }, (_, j) => ({
              id: `x-${i * 1000 + j}`, position: "", process: "echo", level: "INFO",
              time: new Date(1.7e12 + (i * 1000 + j) * 500).toISOString(),
              text: `number ${i * 1000 + j} ${"and more ".repeat((i * 1000 + j) % 40)}`,
            }));
            list.add(lines, 200_000);
            await frame();
          }
          for (let i = 0; i < 200; i += 1) {
            const begun = performance.now();
            list.scrollTop = list.scrollHeight * ((i * 37) % 100) / 100;
            await frame();
            longest = Math.max(longest, performance.now() - begun);
            most = Math.max(most, list.querySelectorAll("*").length);
          }
          return { longest, most, rows: list.length };
        }"""
    )
    assert took["rows"] >= 100_000
    assert took["most"] < 1500
    assert took["longest"] < 500


# ------------------------------------------------------------- charts


def test_charts_draw_each_process(opens: Opens) -> None:
    page = opens("charts")
    memory = page.locator("figure").first
    expect(memory.get_by_role("row", name=re.compile("^echo"))).to_contain_text(
        "MB", timeout=40_000
    )
    expect(memory.locator("path.curve")).to_have_count(6)
    page.get_by_role("button", name="Show echo").click()
    expect(memory.locator("path.curve")).to_have_count(5)
    page.get_by_role("button", name="Last day").click()
    expect(page.get_by_role("button", name="Last day")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Last hour").click()  # There is nothing of a day yet.
    expect(memory.locator("path.curve")).not_to_have_count(0)
    memory.locator("svg").focus()
    page.keyboard.press("Home")
    expect(memory.locator("thead")).not_to_contain_text("now")


# ------------------------------------------------------------- channels


def test_a_dead_letter_is_looked_at_and_put_back(opens: Opens) -> None:
    page = opens("channels")
    send("fragile-active", "die")
    wait_until(lambda: Client().ask("GET", "/dead-letters"))
    letter = row(page, "letters", "fragile-active")
    expect(letter).to_contain_text("3 crashes")
    letter.get_by_role("button", name="Look").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("pre")).to_contain_text("die")
    dialog.get_by_role("button", name="Close").click()
    first = Client().ask("GET", "/dead-letters")[0]["time"]
    letter.get_by_role("button", name="Put back").click()
    expect(dialog).to_contain_text("fragile crashed 3 times over it")
    dialog.get_by_role("button", name="Put back").click()
    expect(page.get_by_role("status").filter(has_text="The message is sent again.")).to_be_visible()
    wait_until(
        lambda: [x["time"] for x in Client().ask("GET", "/dead-letters")] not in ([], [first])
    )
    letter.get_by_role("button", name="Discard").click()
    dialog.get_by_role("button", name="Discard").click()
    expect(letter).to_have_count(0)
    assert Client().ask("GET", "/dead-letters") == []


def test_who_holds_a_channel_and_what_goes_over_it(opens: Opens) -> None:
    page = opens("channels")
    page.get_by_role("link", name="echo-active").click()
    expect(row(page, "ends", "echo").locator(".side")).to_have_text("other side")
    page.get_by_label("with their texts").check()
    page.get_by_role("button", name="Watch").click()
    expect(page.get_by_text("Waiting for messages")).to_be_visible()

    def seen() -> bool:
        send("echo-active", EVIL)
        return page.locator(".messages li", has_text=EVIL).count() > 1

    wait_until(seen)
    expect(page.locator(".messages li .way").first).to_contain_text("→")
    page.get_by_role("button", name="Stop watching").click()
    page.get_by_role("link", name="All channels").click()
    expect(page.get_by_role("link", name=f"{EVIL}-active")).to_be_visible()


# ------------------------------------------------------------- store


def test_a_key_of_the_store_is_changed(opens: Opens) -> None:
    page = opens("store")
    page.get_by_label("Keys that begin with").fill("users/")
    page.get_by_role("button", name="Watch changes").click()
    expect(page.get_by_text("Waiting for changes")).to_be_visible()
    page.get_by_role("button", name="users/1", exact=True).click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("Value, as JSON")
    assert json.loads(field.input_value()) == {"name": EVIL, "level": 3}
    field.fill("{not json")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This is not JSON")
    field.fill('{"level": 4}')
    dialog.get_by_label("Gone after, in seconds").fill("300")
    Client().ask("PUT", "/store/users/1", body={"value": "of somebody else"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Somebody has changed it")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    found = Client().ask("GET", "/store/users/1")
    assert found["value"] == {"level": 4}
    assert 200 < found["expires_in"] <= 300
    expect(page.locator(".messages li").first).to_contain_text('{"level":4}')
    expect(row(page, "keys", "users/1").locator(".expires")).to_have_text(re.compile("[45] min"))


def test_a_key_is_made_and_deleted(opens: Opens) -> None:
    page = opens("store")
    page.get_by_role("button", name="New key").click()
    dialog = page.get_by_role("dialog", name="New key")
    dialog.get_by_label("Key", exact=True).fill("a/b?c#d%e ü")
    dialog.get_by_label("Value, as JSON").fill("[1, 2]")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert "a/b?c#d%e ü" in [each["key"] for each in Client().ask("GET", "/store")]
    page.get_by_role("button", name="a/b?c#d%e ü").click()
    page.get_by_role("button", name="Delete").click()
    sure = page.get_by_role("dialog", name="Delete a/b?c#d%e ü?")
    sure.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "a/b?c#d%e ü" not in [each["key"] for each in Client().ask("GET", "/store")]


# ------------------------------------------------------------- how it looks


def test_each_view_fits_a_phone(opens: Opens) -> None:
    page = opens(viewport=PHONE, has_touch=True, is_mobile=True)
    for view in VIEWS:
        go(page, view)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        assert page.evaluate("visualViewport.scale") == 1, view


def test_chinese_by_the_browser_and_by_choice(opens: Opens) -> None:
    page = opens(locale="zh-CN")
    expect(page.get_by_role("heading", level=1)).to_have_text("总览")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(row(page, "processes", "echo").locator(".state")).to_have_text("运行中")
    trouble = page.locator(".troubles li").first
    expect(trouble).to_contain_text("fails：已失败，不会再自动启动（已退出，退出码 9）")
    page.get_by_role("button", name="Switch to English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_dark_where_the_system_is(opens: Opens) -> None:
    def ground(scheme: str) -> float:
        page = opens(color_scheme=scheme)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    assert ground("light") > 200
    assert ground("dark") < 50


def test_it_works_with_the_keyboard(opens: Opens) -> None:
    page = opens()
    page.reload()  # Who has gone to a view stands at its beginning.
    expect(row(page, "processes", "echo")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("link", name="Log", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.locator("lite-lines").focus()
    page.keyboard.press("Home")
    go(page, "overview")
    page.get_by_role("button", name="Restart echo").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "dark"),
        (1280, "light"),
        pytest.param(360, "light", marks=pytest.mark.long),
        pytest.param(1280, "dark", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing_serious(opens: Opens, width: int, scheme: str) -> None:
    if not Client().ask("GET", "/dead-letters"):
        send("fragile-active", "die")
        wait_until(lambda: Client().ask("GET", "/dead-letters"))
    page = opens(color_scheme=scheme, viewport={"width": width, "height": 800})
    wrong = []
    for view in VIEWS:
        go(page, view)
        page.wait_for_timeout(700)
        for found in Axe().run(page).response["violations"]:
            if found["impact"] in ("serious", "critical"):
                wrong.append((view, found["id"], [each["html"] for each in found["nodes"]][:3]))
    assert not wrong


def test_a_process_whose_name_is_markup_is_shown_as_text(opens: Opens) -> None:
    page = opens()
    expect(page.locator(".processes strong", has_text=EVIL)).to_be_visible()
    for view in VIEWS:
        go(page, view)
        page.wait_for_timeout(300)
        assert page.locator("img").count() == 0
    go(page, f"channels/{EVIL}-active")
    expect(page.get_by_role("heading", name=f"{EVIL}-active")).to_be_visible()
    expect(row(page, "ends", EVIL)).to_be_visible()
    go(page, "log?process=main&text=onerror")
    expect(page.locator(".line.error", has_text=EVIL)).to_be_visible()
    expect(page.locator("mark").first).to_have_text("onerror")
