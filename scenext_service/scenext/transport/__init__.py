"""The transport below the Scenext client: requests 2.34, urllib3 2.8 and http.client, with some internals replaced.

Each replacement solves a measured problem. The test named after it fails without it. `tests/test_borrowed_names.py`
lists the internal names that this package uses from these libraries, and fails if a new version lacks one.

    adapter     All callers share a pool's idle connections, so a late response could reach another caller. Here a
                connection belongs to one key: `test_a_connection_is_never_reused_with_another_key`.
                A request may be sent on a connection that the server is about to close, and is then lost. Here a
                request other than GET gets a new one: `test_each_job_uses_a_connection_of_its_own`.
                A full pool closes the newest connection. Here it closes the one that was idle for the longest time:
                `test_the_longest_idle_connection_is_evicted_first`.
                A connection returns to the pool at the last byte of a response. Here it returns on `close()`, so that
                a wrong response can close it: `test_a_response_about_another_job_is_a_lost_connection`.
                A timeout starts again once a proxy's tunnel is open. Here it covers the whole call:
                `test_a_stalling_proxy_does_not_extend_the_deadline`.
                Every call looks the pool up, and builds a response with cookies and an encoding. Here the pool is
                looked up once, and the response has neither (cost: benchmarks/prices.py).
    connection  A timeout starts again with each byte, so a slow-drip server could hold a thread without limit. Here
                all reads share one timeout: `test_a_slow_response_ends_at_the_deadline`.
                A timeout while sending is a lost connection. Here it is a timeout:
                `test_a_job_upload_that_is_never_read_ends_at_the_deadline`.
                A failed tunnel or handshake has the exceptions of a request that was sent. Here it has its own:
                `test_a_failed_tunnel_counts_as_never_opened`.
                http.client treats any 1xx except 100 as a final response, and keeps connections with ambiguous framing.
                Here 1xx are skipped, and such connections are closed:
                `test_no_caller_receives_the_response_of_another`.
                http.client takes a CR in a header for the end of its line, and keeps connections with invalid lines.
                Here a CR is a space, and such connections are closed:
                `test_an_invalid_header_line_ends_the_connection`.
                http.client of CPython 3.13.0 reads interim responses without a limit. Here 100 are allowed:
                `test_endless_interim_responses_break_the_connection`.
                http.client accepts a minus before the size of a chunk, and then raises an exception that urllib3 does
                not catch. Here the response is broken: `test_the_size_of_a_chunk_is_hexadecimal_digits`.
                `email` parses the headers of a response, and urllib3 copies them. urllib3 and http.client check and
                encode each header of a request. Here all headers are read or written together (cost:
                benchmarks/prices.py).
                http.client drops buffered bytes that follow a response, and urllib3 does not see those that TLS has
                already read. Here they close the connection: `test_bytes_after_a_response_close_its_connection`.
    sockets     `socket.getaddrinfo` has no timeout. Here it runs in a thread, and each caller waits only until its
                deadline: `test_a_stalled_name_lookup_ends_at_the_deadline`. Concurrent callers share the lookup of a
                name: `test_concurrent_callers_share_one_name_lookup`.
                urllib3 tries one address after the other, each for the whole timeout. Here attempts start every 250 ms,
                as RFC 8305 recommends: `test_dead_addresses_before_a_good_one_cost_little`.
    errors      Tracebacks of failed calls form cycles, which keep the key and the request in memory. Here their frames
                are cleared: `test_a_failed_call_leaves_nothing_behind`.
                The texts of exceptions may contain text from the network. Here the log gets their class and code:
                `test_a_reason_is_short_and_holds_no_text_from_scenext`.
    proxies     An invalid proxy or certificate file fails every call, without the variable's name. Here it is reported
                at the start: `test_an_invalid_proxy_url_is_reported_without_its_password`.
                requests reads the variables again for every call. Here they are read once:
                `test_the_proxy_is_read_once_at_the_first_call`.
"""
