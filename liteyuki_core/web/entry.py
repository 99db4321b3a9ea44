"""What somebody sees who has no session: where to log in, or how to get a link."""

from __future__ import annotations

from html import escape

from ..language import say


def log_in(has_password: bool, problem: str = "") -> str:
    """Return what stands on the page for somebody without a session, as HTML."""
    parts = [f'<p role="alert">{escape(problem)}</p>'] if problem else []
    if has_password:
        parts.append(
            '<form method="post" action="/login">'
            # For password managers.
            '<input name="username" value="liteyuki" autocomplete="username" hidden>'
            f'<label for="password">{escape(say("Password"))}</label>'
            '<input id="password" name="password" type="password" required autofocus '
            'autocomplete="current-password">'
            f"<button>{escape(say('Log in'))}</button></form>"
        )
    how = say("Run this on the machine of the bot, in its directory; it gives you a link:")
    parts.append(f"<p>{escape(how)}</p><p><code>liteyuki web</code></p>")
    return "\n".join(parts)


def used_ticket() -> str:
    """Return what stands on the page for somebody whose ticket is good for nothing, as HTML."""
    return log_in(False, say("This link was used before, or it is too old."))


def welcome() -> str:
    """Return what stands on the page for a moment, until the browser goes on."""
    return f'<p><a href="/">{escape(say("Go on to the page"))}</a></p>'
