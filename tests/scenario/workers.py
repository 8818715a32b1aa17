"""Several workers: what holds with one holds with two and four, and what they share is one for all."""
import concurrent.futures
import re
import select
import signal
import time

import datagrams
import lab as lab_module
import listeners
import stages
from ends import PATIENCE, Deaf, Service, check_echo, connect, echo, echo_once, receive_exactly
from lab import REGISTERED, until
from stages import direct, tunnel

COUNTS = (2, 4)
AGAIN = [
    "relay.carries_small_sizes_both_ways", "relay.carries_200_connections_at_once",
    "relay.a_user_who_has_said_all_still_hears_the_answer",
    "relay.a_reset_by_the_user_reaches_the_service_as_a_reset",
    "relay.a_reset_by_the_service_reaches_the_user_as_a_reset",
    "relay.a_connection_to_a_service_that_is_away_ends_at_once",
    "relay.max_connections_closes_what_is_over_it_at_once",
    "relay.many_short_connections_one_after_another_leave_nothing",
    "differential.a_conversation_of_sizes_at_every_edge_is_the_same",
    "differential.a_reset_by_the_service_behind_much_is_the_same",
    "differential.many_urgent_bytes_arrive_in_their_places",
    "flood.handshakes_from_many_addresses_leave_honest_clients_their_service",
    "flood.what_only_looks_like_handshakes_leaves_honest_clients_their_service",
    "tunnel.each_udp_user_has_a_session_of_its_own", "tunnel.a_udp_session_ends_when_it_is_silent",
    "tunnel.a_client_offers_several_services_by_name",
    "tunnel.a_second_signal_ends_a_tunnel_with_open_connections_at_once",
    "tunnel.garbage_on_the_tunnels_port_disturbs_nobody",
    "pool.a_server_that_is_away_costs_the_user_nothing", "pool.a_killed_client_is_left_out",
    "pool.connections_of_the_other_client_do_not_notice",
    "pool.a_refused_open_is_replayed_with_its_bytes_on_the_other_client",
    "pool.a_client_that_leaves_in_order_loses_no_user",
    "pool.one_client_holds_tunnels_to_two_servers",
    "failure.sigterm_drains_a_direct_relay", "failure.sigterm_drains_a_tunnel_server",
    "failure.sigterm_drains_a_tunnel_client", "failure.draining_ends_after_its_timeout",
    "listeners.a_source_that_comes_too_often_is_refused_and_others_are_not",
    "listeners.a_run_of_ports_keeps_the_port_towards_a_server_without_one",
    "listeners.users_and_servers_may_be_at_a_path",
    "datagrams.five_hundred_users_keep_a_session_each",
    "datagrams.udp_sessions_is_exact_and_what_ends_makes_room", "datagrams.udp_sessions_per_source_is_exact",
    "datagrams.a_flow_that_nobody_answers_keeps_its_session",
    "datagrams.a_flow_of_the_service_keeps_its_session",
    "listeners.udp_answers_leave_from_the_address_that_was_asked",
    "listeners.source_hash_goes_by_the_address_that_a_header_names",
    "listeners.rate_limit_counts_those_whom_headers_name",
    "datagrams.one_port_of_a_user_at_two_listeners_is_two_sessions",
    "names.servers_come_and_go_with_the_records_and_those_that_stay_keep_their_users",
    "names.a_name_that_vanishes_keeps_its_servers_and_is_counted",
    "names.a_silent_name_server_holds_up_neither_the_start_nor_the_end",
    "reload.two_hundred_reloads_under_load_lose_nobody_of_a_direct_relay",
    "reload.two_hundred_reloads_under_load_lose_nobody_of_a_tunnel",
    "reload.a_listener_that_is_removed_drains_and_a_new_one_serves",
    "reload.max_connections_counts_those_who_were_there_before_it",
    "reload.clients_that_are_not_allowed_any_more_are_closed_within_a_second",
    "reload.a_tunnel_that_is_removed_lets_its_users_end_and_a_new_one_serves",
    "admin.sockets_that_were_handed_over_are_used_where_they_fit",
]


def play(count, function, lab):
    stages.workers = count
    try:
        function(lab)
    finally:
        stages.workers = 1


def register():
    for name in AGAIN:
        room, claim = name.split(".")
        for known in list(lab_module.SCENARIOS):
            if known not in (name, f"{room}.direct_{claim}", f"{room}.tunnel_{claim}"):
                continue
            function = lab_module.SCENARIOS[known]
            for count in COUNTS:
                def again(lab, count=count, function=function):
                    play(count, function, lab)
                lab_module.SCENARIOS[f"workers.{count}_{known.replace('.', '_')}"] = again


def counted(program, name):
    """What the program said at its end."""
    found = re.search(rf"name={name} value=(\d+)", program.text())
    return int(found.group(1)) if found else 0


def with_workers(count):
    def register_one(function):
        def claim(lab):
            play(count, function, lab)
        lab_module.SCENARIOS[f"workers.{function.__name__}"] = claim
        return function
    return register_one


@with_workers(2)
def a_port_that_another_process_of_ours_has_is_noticed(lab):
    service = lab.add(Service(echo))
    stage = direct(lab, service.address)
    lab.write("second.ini", stages.direct_config(stage.address, [service.address]))
    code, text = lab.call("second.ini")
    assert code == 1 and stage.address in text and "in use" in text, (code, text)


@with_workers(4)
def users_find_their_tunnel_on_the_worker_that_accepted_them(lab):
    service = lab.add(Service(echo))
    stage = tunnel(lab, service.address)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(echo_once, stage.address) for _ in range(64)]:
            done.result()
    lab.close_ends()
    stage.server.stop()
    assert counted(stage.server, "accepted") == 64
    assert counted(stage.server, "handed_connections") == 0


@with_workers(2)
def a_client_with_one_connection_serves_users_of_all_workers(lab):
    service = lab.add(Service(echo))
    stage, dial = stages.tunnel_server(lab)
    lab.start("client", stages.client_config(dial, service.address,
                                             client="connections = 1\n")).ready(REGISTERED)
    stage.server.await_line(REGISTERED)
    stage.server.descriptors = stage.server.count_descriptors()
    for _ in range(40):
        echo_once(stage.address)
    lab.close_ends()
    stage.server.stop()
    assert 0 < counted(stage.server, "handed_connections") < 40


def clients_of_one_connection(lab, services, **server):
    """Each on whichever worker its connection came to."""
    names = [f"client-{number}" for number in range(len(services))]
    lab.certs(".", *(word for name in names for word in ("--client", name)))
    services = [lab.add(service) for service in services]
    stage, dial = stages.tunnel_server(lab, certs=False, **server)
    clients = [lab.start(name, stages.client_config(dial, service.address, name=name,
                                                    client="connections = 1\n"))
               for name, service in zip(names, services)]
    for client in clients:
        client.ready(REGISTERED)
    stage.server.await_line(REGISTERED, len(names))
    stage.server.descriptors = stage.server.count_descriptors()
    return stage, clients, services


@with_workers(4)
def a_refused_open_is_replayed_on_a_client_that_other_workers_have(lab):
    stage, _, services = clients_of_one_connection(lab, [Service(echo) for _ in range(3)],
                                                   tunnel="open_retries = 2\n")
    for service in services[:2]:
        service.close()
    for key in range(24):
        echo_once(stage.address, key=key, size=5000)
    assert services[2].accepted == 24
    lab.close_ends()
    stage.server.stop()
    assert counted(stage.server, "opens_retried") > 0


@with_workers(2)
def an_open_that_is_not_answered_is_replayed_on_a_client_that_other_workers_have(lab):
    stage, clients, services = clients_of_one_connection(lab, [Service(echo) for _ in range(4)],
                                                         tunnel="open_retries = 3\n")
    for client in clients[:3]:
        client.signal(signal.SIGSTOP)
    begun = time.monotonic()
    for key in range(12):
        echo_once(stage.address, key=key, size=5000)
    assert time.monotonic() - begun < 12, "a user waits for open_timeout at most, for each client"
    assert services[3].accepted == 12
    for client in clients[:3]:
        client.signal(signal.SIGCONT)
    lab.close_ends()
    stage.server.stop()
    assert counted(stage.server, "opens_retried") > 0


@with_workers(2)
def source_hash_of_a_tunnel_goes_by_the_address_that_a_header_names(lab):
    answers = [b"a", b"b", b"c"]
    stage, _, _ = clients_of_one_connection(
        lab, [Service(lambda sock, answer=answer: sock.sendall(answer)) for answer in answers],
        tunnel="balance = source_hash\n", listener="accept_proxy = any\naccept_proxy_from = 127.0.0.1\n")
    listeners.check_hashed(stage, answers)


@with_workers(2)
def datagrams_are_carried_to_the_worker_that_has_their_tunnel(lab):
    service = lab.add(datagrams.Watcher())
    stage, dial = stages.tunnel_server(lab, listener=datagrams.UDP + "udp_timeout = 5s\n")
    lab.start("client", stages.client_config(dial, service.address,
                                             client="connections = 1\n")).ready(REGISTERED)
    stage.server.await_line(REGISTERED)
    users = lab.add(datagrams.Users(stage.address, 100))
    users.check_served(100)
    assert len(service.words) == 100, f"{len(service.words)} sessions"
    assert all(set(heard) == {b"%d" % number} for number, heard in users.heard.items())
    lab.close_ends()
    stage.server.stop()
    assert counted(stage.server, "carried_datagrams") and not counted(stage.server, "limit_handed")


@with_workers(2)
def udp_users_of_one_address_are_hashed_to_one_client(lab):
    stage, _, services = clients_of_one_connection(
        lab, [datagrams.Watcher() for _ in range(4)], tunnel="balance = source_hash\n",
        listener=datagrams.UDP + "udp_timeout = 5s\n")
    for host in range(1, 17):
        before = [len(service.words) for service in services]
        lab.add(datagrams.Users(stage.address, 8, f"127.0.1.{host}")).check_served(8)
        more = [len(service.words) - count for service, count in zip(services, before)]
        assert sorted(more) == [0, 0, 0, 8], more
    assert sum(bool(service.words) for service in services) > 1, "not all at one client"


@with_workers(4)
def a_user_who_moves_to_another_worker_while_the_server_drains_is_waited_for(lab):
    names = ("client-a", "client-b")
    lab.certs(".", *(word for name in names for word in ("--client", name)))
    stage, dial = stages.tunnel_server(lab, certs=False, tunnel="open_retries = 2\n",
                                       process="drain_timeout = 1m\n")
    service, deaf = lab.add(Service(echo)), lab.add(Deaf())
    for name, target in zip(names, (deaf.address, service.address)):
        lab.start(name, stages.client_config(dial, target, name=name, client="connections = 1\n",
                                             service="connect_timeout = 1m\n")).ready(REGISTERED)
    stage.server.await_line(REGISTERED, 2)
    users = [lab.add(connect(stage.address)) for _ in range(12)]
    for user in users:
        user.sendall(b"x")
    until(lambda: stage.server.count_descriptors() >= stage.server.descriptors + len(users), "all are in")
    select.select(users, [], [], PATIENCE)  # whom the second client serves is answered
    waiting = [user for user in users if not select.select([user], [], [], 0)[0]]
    for user in users:
        if user not in waiting:
            user.close()
    stage.server.signal(signal.SIGTERM)
    stage.server.await_line("draining")
    deaf.close()  # refused when it is knocked at again, and so opened at the other client
    for user in waiting:
        assert receive_exactly(user, 1) == b"x"
    assert not select.select(waiting, [], [], 0.5)[0], "a drain ends nobody"
    for user in waiting:
        check_echo(user, b"y")
        user.close()
    lab.close_ends()
    assert stage.server.await_exit() == 0
    assert waiting and counted(stage.server, "handed_connections") > 0


register()
