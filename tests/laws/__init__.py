"""The laws of LiteyukiBot by their numbers, and where each is tested.

Laws of channels and of the store are tested here, between two sides in one process; what needs
processes that die is tested with real ones. `tests/transport` says over what.

Channels

- C1 order: laws/test_c01_order.py
- C2 values: laws/test_c02_value.py; long messages: comm/wire/test_payload.py
- C3 bounded: laws/test_c03_capacity.py; full for a minute: test_soak.py
- C4 receiving: laws/test_c04_receive.py
- C5 callbacks: laws/test_c05_callbacks.py, laws/test_c05_concurrency.py, laws/test_c05_bare.py
- C6 one mode an end: laws/test_c06_mode.py
- C7 close: laws/test_c07_close.py, laws/test_c07_on_end.py; what the dead leave:
  process/test_last_words.py
- C8 at least once across a crash: laws/test_c08_crashes.py, laws/test_c08_holders.py,
  laws/test_c08_receivers.py; with real processes: process/test_kills.py,
  process/test_kills_at_lines.py, process/test_restarts_in_hand.py, process/test_topologies.py,
  process/test_chaos.py
- C9 names, channels through channels: laws/test_c09_names.py, laws/test_c09_reply.py,
  laws/test_c09_equality.py, comm/test_registry.py; in arguments: process/test_arguments.py
- C10 types: laws/test_c10_typed.py
- C11 select: laws/test_c11_select.py
- C12 stats: laws/test_c12_stats.py
- all of them, in random order: laws/test_properties.py

Requests

- R1 answers, and why there is none: laws/test_r01_answers.py
- R2 an asker that gives up: laws/test_r02_giving_up.py
- R3 at least once across a crash: laws/test_r03_crashes.py; with real processes:
  process/test_requests.py
- R4 bounded: laws/test_r04_bounds.py

Queues

- Q1 one receiver a message, whoever sends: laws/test_q01_queues.py

Store

- S1 operations: laws/test_s01_operations.py
- S2 linearizable per key: laws/test_s02_linearizable.py, process/test_consistency.py
- S3 own writes are read, what has not changed is not asked for: laws/test_s03_own_writes.py
- S4 values: laws/test_s04_values.py
- S5 order with messages: laws/test_s05_order_with_messages.py
- S6 anywhere, at import time too: laws/test_s06_anywhere.py, plugin/test_store.py
- S7 time to live: laws/test_s07_time_to_live.py
- S8 watches: laws/test_s08_watch.py
- S9 topics: laws/test_s09_topics.py
- S10 locks: laws/test_s10_lock.py
- all of them between nodes of a cluster: over the transport "nats", cluster/test_store.py,
  cluster/test_store_shared.py
- what is kept outlives main: comm/store/test_journal.py, process/test_store.py

Processes

- P1 start, stop, restart, states: process/test_supervision.py, process/test_restart.py,
  process/test_verdict.py, process/test_reload.py
- P2 hooks: test_bot.py, process/test_supervision.py, plugin/test_hooks.py
- P3 one deadline; ask, terminate, kill: test_bot.py, process/test_busy.py, plugin/test_shutdown.py
- P4 no orphans, whatever dies: process/test_endings.py, process/test_supervision.py
- P5 a hostile child: process/test_hostile.py, comm/hub/test_link_peer.py, comm/store/test_table.py
- P6 files are the user's alone: test_files.py
- P7 exit codes: process/test_exits.py, process/test_reaping.py, plugin/test_ready.py
- P8 a child that hangs: process/test_health.py, process/test_pulse.py, process/test_report.py
- P9 listening sockets: process/test_listening.py
"""
