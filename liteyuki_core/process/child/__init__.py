"""What runs in a child process, and nothing else.

Of `process` outside this folder it imports what both sides share: group, loaded, report, spec.
"""
