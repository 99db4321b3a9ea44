"""What runs in a child process, and nothing else.

Of the other files of `process` it imports only what both sides use: group, report, sources, spec.
"""
