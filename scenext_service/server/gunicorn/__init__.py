"""gunicorn 27.0.1: the settings of this service, its hooks, and a worker that replaces some of gunicorn's internals.

    settings     every setting with its reason
    hooks        server hooks, from startup to shutdown, and gunicorn's logger
    accepting    `AcceptingWorker`: accept new connections
    connections  time and size limits of a connection
    worker       `Worker`: serve requests in threads

The service also runs with stock `-k gthread`: `test_another_worker_class_serves_both_eras_and_stops_gracefully`. Each
entry below states the behaviour of gunicorn 27.0.1, its consequence, our change, and the test that fails without it.
`tests/test_borrowed_names.py` lists the internals on which the changes depend.

Changes in `hooks`:

- SIGTERM lets a worker finish its requests within `graceful_timeout`. A waiting call lasts up to 900 s, so it would be
  killed without a response. Stop all waits first: `test_sigterm_ends_waiting_calls_and_then_the_worker`.
- USR2 runs the file of `python -m gunicorn`, so the file's folder is first on the import path and its `http` hides
  Python's. The new master fails. Restore `-m`: `test_gunicorn_is_reexecuted_as_it_was_started`.
- gevent patches ssl after a preloaded application has imported it, so every HTTPS call fails. Exit with an error that
  names the setting: `test_gevent_with_preload_app_is_rejected`.
- A garbage collection in a worker writes to every object that it shares with the master, which costs 8 MB for each
  worker. Freeze these objects: `test_the_master_announces_the_service_and_freezes_objects`.
- gunicorn's log records have a format of their own and go to stderr. Log parsers need a second rule for them. Use the
  service's format and streams: `test_gunicorn_lines_have_our_logfmt_format`.

Changes in `accepting`:

- The first worker to wake up accepts all connections that arrive together, and one of two cores stays idle. Delay each
  accept in proportion to the worker's connections: `test_a_worker_with_more_connections_accepts_later`.
- A worker without a free descriptor dies, together with all its connections. Pause accepting instead:
  `test_a_worker_without_free_descriptors_pauses_accepting`, `test_a_worker_out_of_descriptors_warns_once_and_recovers`.
- A new connection occupies a thread for 5 s before its first byte, then waits in the poller for another 95 s. A few
  hundred silent connections occupy all threads. Register a new connection with the poller, without a thread, for 10 s:
  `test_a_silent_connection_does_not_occupy_a_thread`, `test_silent_connections_do_not_block_other_requests`.
- At shutdown, silent connections may stay for the whole `graceful_timeout`. Give them as long as idle connections:
  `test_silent_connections_get_the_idle_timeout_at_shutdown`.
- At shutdown, a worker keeps listening without accepting, and resets the queued connections when it exits. A router
  would have sent a refused connection to another instance. Accept the backlog, then close the listeners:
  `test_shutdown_accepts_the_backlog_and_refuses_new_connections`.

Changes in `connections`:

- The rest of an incomplete request may take forever. A client with as many connections as there are threads stops the
  service. Allow 60 s for a request: `test_an_incomplete_request_times_out_with_408`.
- A client that does not read its response occupies a thread, also forever. Reset its connection after 30 s without
  progress: `test_a_client_that_does_not_read_is_disconnected`. The same applies to a client that reads a few bytes now
  and then, so require 10 kB/s: `test_a_client_that_reads_too_slowly_is_disconnected`.
- gunicorn limits the number and the size of header fields, but not the whole head. 64 fields of 8 KiB are 512 KiB for
  each unfinished request. Allow 64 KiB: `test_the_total_size_of_request_headers_is_limited`.
- Each request makes its socket blocking and non-blocking, which costs two system calls. Keep it blocking, and send with
  MSG_DONTWAIT: `test_a_nonblocking_socket_raises_blockingioerror_at_once` (benchmarks/prices.py, "worker and threads").

Changes in `worker`:

- A malformed request gets an HTML page, sometimes with a 5xx. The page and a log line repeat the input, so a malformed
  header line exposes its API key in both. Respond in JSON, and repeat nothing:
  `test_an_invalid_http_request_gets_a_json_error_and_is_closed`, `test_hostile_input_is_not_logged`.
- An error after the response has begun sends a second response, which a client takes for that of its next request. Send
  none: `test_an_answered_request_gets_no_second_response`.
- The accepting thread closes connections, and waits up to 2 s for the client to close first. One such client per second
  blocks all others. Close each connection in the thread that served it:
  `test_clients_that_do_not_close_do_not_delay_other_requests`, `test_unread_bytes_do_not_cost_the_client_its_response`.
- A response announces keep-alive before gunicorn checks for an unread body, which may make it close the connection. A
  proxy that relies on the announcement loses the next client's request. Read or reject the body before the headers are
  sent: `test_an_error_announces_whether_its_connection_is_kept`.
- A worker that cannot start another thread dies, together with all its connections. Queue the request until a thread is
  free: `test_a_request_waits_if_no_thread_can_be_started`.
- A SystemExit in a request is not caught, and its connection stays open. Catch it:
  `test_a_thread_survives_an_exception_that_ends_a_request`.
- A response sends its headers and its body with two system calls, and formats the date again. Send both together, and
  format the date once a second: `test_headers_and_body_are_sent_together`, `test_a_response_sends_the_same_bytes`
  (benchmarks/prices.py, "one write per response").
- Each request costs a Future with its locks, a function call for each lookup of a setting, and a drain of a body that
  has already been read. Avoid all three: `test_settings_are_plain_attributes_in_a_worker` (benchmarks/prices.py,
  "worker and threads").
"""
