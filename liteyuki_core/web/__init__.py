"""The web page: a thin layer over `control`, which it serves to a browser.

Nothing of it is imported before somebody wants the page. It runs on the thread of the control
socket.
"""
