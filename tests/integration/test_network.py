"""The networks of containers: what an instance on the bridge can reach and what not, and what is left afterwards.

The test lives in a network of its own, the machine; behind a pair of devices is a second one, the outside: an Internet
address, one of a private network, and the address where clouds keep their metadata.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import harness
from harness import Service, busybox_layer, check, equal, oci_archive, run, wait_for

INTERNET, INTERNET_2, LAN, METADATA = "203.0.113.1", "203.0.113.2", "192.168.77.1", "169.254.169.254"
MACHINE, MACHINE_LAN = "203.0.113.9", "192.168.77.9"
IMAGE = "network/shell:1"


class Outside:
    """The other end of the machine's uplink, a process of its own, with services that say who asked them."""

    def __enter__(self):
        harness.own_network()
        # A new network takes over what the machine's says.
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        ready, tell = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--outside", str(tell)], pass_fds=[tell], stdin=subprocess.PIPE,
        )
        harness.own_children.add(self.process.pid)
        os.close(tell)
        check(os.read(ready, 1) == b"n", "the outside did not come up")
        ip("link", "add", "uplink", "type", "veth", "peer", "name", "uplink", "netns", str(self.process.pid))
        ip("addr", "add", MACHINE + "/24", "dev", "uplink")
        ip("addr", "add", MACHINE_LAN + "/24", "dev", "uplink")
        ip("link", "set", "uplink", "up")
        # Also the metadata address: only the rules keep instances from it.
        ip("route", "add", METADATA, "dev", "uplink")
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        check(os.read(ready, 1) == b"s", "the outside serves nothing")
        os.close(ready)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", "uplink")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def say_who(listener):
    while True:
        try:
            client, peer = listener.accept()
        except OSError:
            return  # the test closed it
        with client:
            client.recv(4096)
            client.sendall(f"HTTP/1.0 200 OK\r\n\r\nyou are {peer[0]}\n".encode())


def answer_datagrams(receiver):
    while True:
        data, peer = receiver.recvfrom(4096)
        receiver.sendto(b"answer to " + data, peer)


def listen_tcp(address, port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    threading.Thread(target=say_who, args=(listener,), daemon=True).start()
    return listener


def outside(tell):
    """What the process behind the uplink does."""
    harness.own_network()
    os.write(tell, b"n")
    sys.stdin.readline()
    for address in (INTERNET, INTERNET_2, LAN):
        ip("addr", "add", address + "/24", "dev", "uplink")
    ip("addr", "add", METADATA + "/32", "dev", "uplink")
    ip("link", "set", "uplink", "up")
    for address in (INTERNET, LAN, METADATA):
        listen_tcp(address, 80)
    listen_tcp(LAN, 81)
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind((LAN, 53))
    threading.Thread(target=answer_datagrams, args=(resolver,), daemon=True).start()
    os.write(tell, b"s")
    while True:
        time.sleep(60)


@contextlib.contextmanager
def network(*arguments, resolvers=LAN, **environment):
    """A service between its instances and the outside, with an image that runs its input as a shell script."""
    settings = {"FERRITE_RESOLVERS": resolvers, **{f"FERRITE_{k.upper()}": v for k, v in environment.items()}}
    with Outside(), Service(arguments=arguments, environment=settings) as service:
        service.import_image(IMAGE, oci_archive([busybox_layer()], {
            "Entrypoint": ["/bin/busybox", "sh"], "Env": ["PATH=/bin"]}, IMAGE))
        yield service


def shell(service, script, app="net", path="/bridge", **route):
    """Runs the script in an instance; returns its output. The route is made when it is not there."""
    answer = service.request("GET", f"/v1/apps/{app}/routes{path}")
    if answer.status == 404:
        service.create_route(app, path, IMAGE, **route)
    answer = service.call(app, path, script.encode())
    equal(answer.status, 200, f"{script!r}: {answer.text}")
    return answer.text


def fetch_script(where):
    host, _, port = where.partition(":")
    return f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox timeout 5 busybox nc -w 3 {host} {port or 80} 2>&1 || true"


def fetch(service, where, **more):
    return shell(service, fetch_script(where), **more)


def reached(text):
    return "you are" in text


# --- what an instance has -----------------------------------------------------------------------------------------


def test_an_image_is_on_the_bridge_and_reaches_the_internet():
    with network() as service:
        script = "cat /etc/resolv.conf /etc/hosts >&2; cat /etc/resolv.conf /etc/hosts; " + fetch_script(INTERNET)
        text = shell(service, script)
        check(f"nameserver {LAN}\n" in text, f"no resolver: {text}")
        check(re.search(rf"^10\.231\.\d+\.\d+\s+{re.escape(socket.gethostname())}$", text, re.M),
              f"its name has no address: {text}")
        check(reached(text) and f"you are {MACHINE}" in text, f"the Internet: {text}")
        with waiting_instance(service, "sleep 60") as instance:
            text = in_network_of(instance["pid"], "sh", "-c", "ip addr; ip route").stdout
            check(re.search(r"inet (10\.231\.\d+\.\d+)/32", text), f"no address of its own: {text}")
            check(re.search(r"default via 10\.231\.\d+\.1 dev eth0", text), f"no default route: {text}")
            check("fe80" not in text, f"IPv6 is on: {text}")


def test_its_resolvers_are_open_and_only_their_port_53():
    with network() as service:
        with waiting_instance(service, "sleep 60") as instance:
            asked = in_network_of(instance["pid"], sys.executable, "-c", SEND.format(source="", to=LAN))
            check("answer to" in asked.stdout, f"the resolver: {asked.stderr}")
        check(not reached(fetch(service, LAN)), "the resolver's other ports are open")


def devices_of(pid):
    text = in_network_of(pid, "ip", "-o", "link").stdout
    return [line.split(": ")[1].partition("@")[0] for line in text.splitlines()]


def test_none_is_a_loopback_device_and_costs_the_machine_nothing():
    with network() as service:
        with waiting_instance(service, "sleep 60", network="none") as instance:
            equal(devices_of(instance["pid"]), ["lo"], "devices")
        equal({name for _, name in socket.if_nameindex()}, {"lo", "uplink"}, "devices of the machine")


def test_the_operator_chooses_the_default():
    with network(network_default="none") as service:
        with waiting_instance(service, "sleep 60") as instance:
            equal(devices_of(instance["pid"]), ["lo"], "devices")


# --- what is closed -----------------------------------------------------------------------------------------------


def test_sec_H1_no_service_of_the_machine():
    with network() as service:
        listener = listen_tcp("0.0.0.0", 8099)
        with listener:
            gateway = re.sub(r"\.\d+$", ".1", re.search(r"^10\S+", shell(service, "cat /etc/hosts"), re.M)[0])
            for address in (gateway, MACHINE, MACHINE_LAN):
                text = fetch(service, f"{address}:8099")
                check(not reached(text), f"a service on {address} is open: {text}")
        check(not reached(fetch(service, f"{gateway}:{service.port}")), "our own interface is open")


def test_sec_H2_metadata_and_private_networks_are_closed():
    with network() as service:
        check(urlopen(METADATA) and urlopen(LAN), "control: the machine itself reaches them")
        for address in (METADATA, LAN, "10.231.0.0", "172.16.0.1", "127.0.0.1", "224.0.0.1"):
            text = fetch(service, address)
            check(not reached(text), f"{address} is open: {text}")


def urlopen(address):
    with socket.create_connection((address, 80), timeout=5) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"you are" in s.makefile("rb").read()


@contextlib.contextmanager
def waiting_instance(service, script, app="net", path="/waiting", **route):
    """An instance that runs the script, which must wait for its end; yields what /v1/instances says of it."""
    service.create_route(app, path, IMAGE, timeout=60, **route)
    thread = threading.Thread(target=lambda: service.call(app, path, script.encode()), daemon=True)
    thread.start()

    def found():
        return [i for i in service.instances() if i["route"] == path and i["state"] != "starting"]

    [instance] = wait_for(found, "the waiting instance")
    try:
        yield instance
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(instance["pid"], 9)
        thread.join(30)


def in_network_of(pid, *command):
    """As root in the network of a process: more than any function can do."""
    return subprocess.run(
        ["nsenter", "-n", "-t", str(pid), *command], capture_output=True, text=True, timeout=30
    )


def test_sec_H2_instances_do_not_reach_each_other():
    with network() as service:
        script = "busybox ip -4 addr show eth0 >&2; while true; do echo secret | busybox nc -l -p 8080; done"
        with waiting_instance(service, script) as instance:
            text = in_network_of(instance["pid"], "ip", "-4", "-o", "addr", "show", "eth0").stdout
            address = re.search(r"inet ([\d.]+)/32", text)[1]
            check("secret" in in_network_of(instance["pid"], sys.executable, "-c", READ.format(address)).stdout,
                  "control: the port answers inside")
            text = shell(service, f"busybox timeout 4 busybox nc -w 2 {address} 8080 || echo CLOSED")
            check("secret" not in text and "CLOSED" in text, f"another instance: {text}")


READ = "import socket; s = socket.create_connection(('{}', 8080), 5); print(s.recv(100))"
SEND = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{source}", 0)); s.settimeout(2); s.sendto(b"name", ("{to}", 53)); print(s.recv(100))
"""


def test_sec_H2_nobody_speaks_for_anybody_else():
    with network() as service:
        with waiting_instance(service, "sleep 60") as instance:
            pid = instance["pid"]
            text = in_network_of(pid, "ip", "-4", "-o", "addr", "show", "eth0").stdout
            own = re.search(r"inet ([\d.]+)/32", text)[1]
            other = re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), own)
            control = in_network_of(pid, sys.executable, "-c", SEND.format(source=own, to=LAN))
            check("answer to" in control.stdout, f"control: its own address: {control.stderr}")
            equal(in_network_of(pid, "ip", "addr", "add", other + "/32", "dev", "eth0").returncode, 0, "spoofing")
            spoofed = in_network_of(pid, sys.executable, "-c", SEND.format(source=other, to=LAN))
            check("answer to" not in spoofed.stdout, f"with the address of another: {spoofed.stdout}")
            equal(in_network_of(pid, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:01").returncode, 0, "mac")
            spoofed = in_network_of(pid, sys.executable, "-c", SEND.format(source=own, to=LAN))
            check("answer to" not in spoofed.stdout, f"with another hardware address: {spoofed.stdout}")


def test_sec_H2_no_ipv6():
    with network() as service:
        with waiting_instance(service, "sleep 60") as instance:
            pid = instance["pid"]
            in_network_of(pid, "ip", "addr", "add", "fd00::2/64", "dev", "eth0", "nodad")
            ip("addr", "add", "fd00::1/64", "dev", next(n for _, n in socket.if_nameindex() if n.startswith("fe")), "nodad")
            asked = in_network_of(pid, sys.executable, "-c",
                                  "import socket; s = socket.create_connection(('fd00::1', 80), 2)")
            check(asked.returncode != 0 and "refused" not in asked.stderr, f"IPv6 passes: {asked.stderr}")


def test_sec_H3_connections_are_limited():
    with network(connections_max="8") as service:
        script = (f"i=0; while [ $i -lt 12 ]; do (busybox sleep 3 | busybox nc -w 3 {INTERNET} 80 >/dev/null 2>&1"
                  " && echo open || echo closed) & i=$((i+1)); done; wait")
        text = shell(service, script)
        equal((text.count("open"), text.count("closed")), (8, 4), "connections at a time")
        check(reached(fetch(service, INTERNET)), "afterwards none is possible")


# --- what a route may ask for -------------------------------------------------------------------------------------


def allow(*ranges):
    return {"mode": "bridge", "allow": list(ranges)}


def test_a_route_opens_what_the_operator_lets_it():
    with network(network_allow="192.168.77.0/24", resolvers=INTERNET) as service:
        check(reached(fetch(service, LAN, path="/allowed", network=allow(f"{LAN}:80/tcp"))), "what was allowed is closed")
        check(not reached(fetch(service, f"{LAN}:81", path="/allowed")), "another port is open")
        check(not reached(fetch(service, METADATA, path="/allowed")), "another address is open")
        check(not reached(fetch(service, LAN)), "another route's instances may, too")
        answer = service.request("GET", "/v1/apps/net/routes/allowed").json["route"]
        equal(answer["network"], allow(f"{LAN}:80/tcp"), "the route's network")
        table = next(n for _, n in socket.if_nameindex() if n.startswith("fe"))

        def elements():
            listed = subprocess.run(["nft", "list", "set", "inet", table, "allowed"], capture_output=True, text=True)
            return "elements" in listed.stdout

        wait_for(lambda: not elements(), "the end of what was allowed")


TWICE = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
for line in sys.stdin:
    s.sendto(b"name", ("{to}", 53))
    try: print(s.recv(100), flush=True)
    except OSError as e: print(e, flush=True)
"""


def test_sec_H2_a_connection_lasts_no_longer_than_what_allowed_it():
    # The next instance with the same address would take it over with the same port.
    with network(network_allow="192.168.77.0/24", resolvers=INTERNET) as service:
        with waiting_instance(service, "sleep 60", network=allow(f"{LAN}:53/udp")) as instance:
            table = next(n for _, n in socket.if_nameindex() if n.startswith("fe") and "." not in n)
            command = ["nsenter", "-n", "-t", str(instance["pid"]), sys.executable, "-c", TWICE.format(to=LAN)]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as asker:

                def ask():
                    asker.stdin.write("\n")
                    asker.stdin.flush()
                    return asker.stdout.readline()

                for _ in range(2):
                    check("answer to" in ask(), "control: what the route may")
                subprocess.run(["nft", "flush", "set", "inet", table, "allowed"], check=True)
                text = ask()
                check("answer to" not in text, f"what it may no longer: {text}")
                asker.stdin.close()


def test_ranges_inside_each_other_are_no_error():
    with network(network_allow="192.168.77.0/24", resolvers=INTERNET) as service:
        ranges = allow(f"{LAN}:80/tcp", "192.168.77.0/24", f"{LAN}:80/tcp", f"{LAN}", "192.168.77.0/24")
        for port in (80, 81):
            check(reached(fetch(service, f"{LAN}:{port}", path="/nested", network=ranges)), f"port {port} is closed")


def test_a_route_gets_no_more_than_the_operator_lets_it():
    with network(network_allow="192.168.77.0/24:80") as service:
        for ranges in ([f"{METADATA}"], [f"{LAN}"], [f"{LAN}:80", f"{LAN}:81"]):
            path = f"/more{len(ranges)}{ranges[0][:3]}"
            service.create_route("net", path, IMAGE, network=allow(*ranges))
            answer = service.call("net", path, b"echo ran")
            equal(answer.status, 500, f"{ranges}: {answer.text}")
            check("network_allow" in answer.message, f"the cure is not named: {answer.message}")


def test_bad_networks_of_routes():
    with network() as service:
        for value, word in (
            ("bridges", "none, bridge and host"), ({"mode": "none", "allow": ["1.2.3.4"]}, "mode bridge"),
            ({"allow": "1.2.3.4"}, "list"), ({"allow": ["1.2.3"]}, "ADDRESS[/PREFIX]"), ({"allow": [7]}, "strings"),
            ({"allow": ["1.2.3.4"] * 17}, "at most 16"), ({"allow": [], "deny": []}, "mode and allow"), (7, "network"),
        ):
            answer = service.request("POST", "/v1/apps/net/routes", {
                "route": {"path": "/bad", "image": IMAGE, "network": value}})
            equal(answer.status, 400, f"{value!r}: {answer.text}")
            check(word in answer.message, f"{value!r}: {answer.message}")


def test_the_network_of_the_host_is_the_operators_to_give():
    with network() as service:
        service.create_route("net", "/host", IMAGE, network="host")
        answer = service.call("net", "/host", b"busybox ip link")
        equal(answer.status, 500, answer.text)
        check("network_host" in answer.message, f"the cure is not named: {answer.message}")
    with network(network_host="yes") as service:
        with waiting_instance(service, "sleep 60", path="/host", network="host") as instance:
            equal(os.stat(f"/proc/{instance['pid']}/ns/net").st_ino, os.stat("/proc/self/ns/net").st_ino, "network")
        text = shell(service, "busybox ifconfig lo down 2>&1 || true; " + fetch_script(LAN), path="/host2", network="host")
        check(reached(text), f"it does not reach what the machine reaches: {text}")
        check("denied" in text or "not permitted" in text.lower(), f"it may change devices: {text}")


# --- what is left -------------------------------------------------------------------------------------------------


def tables():
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout


def forwards():
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()


def test_nothing_is_left_of_it():
    with network() as service:
        equal(forwards(), "0", "forwarding before the first instance")
        check(reached(fetch(service, INTERNET)), "the Internet")
        equal(forwards(), "1", "forwarding with an instance")
        check("table inet fe" in tables() and "table bridge fe" in tables(), f"tables: {tables()}")
        service.stop()
        equal(tables(), "", "tables afterwards")
        equal(forwards(), "0", "forwarding afterwards")
        equal({name for _, name in socket.if_nameindex()}, {"lo", "uplink"}, "devices afterwards")


def test_a_machine_that_forwards_stays_one():
    with network() as service:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        check(reached(fetch(service, INTERNET)), "the Internet")
        service.stop()
        equal(forwards(), "1", "forwarding afterwards")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")


def test_a_mark_of_an_earlier_boot_is_no_reason_to_stop_forwarding():
    with network() as service:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        mark = service.state_dir / "sandbox" / "ip_forward"
        check(mark.parent.is_dir(), "the state directory of ferrite-sandbox is not where it was")
        mark.write_text("00000000-0000-0000-0000-000000000000\n")
        check(reached(fetch(service, INTERNET)), "the Internet")
        service.stop()
        equal(forwards(), "1", "forwarding afterwards")
        check(not mark.exists(), "the mark is left")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")


def test_the_successor_of_a_killed_server_goes_on():
    with network() as service:
        check(reached(fetch(service, INTERNET)), "the Internet")
        before = service.servers()["ferrite-sandbox"]
        os.kill(before, 9)
        wait_for(lambda: service.servers().get("ferrite-sandbox") not in (None, before), "a new ferrite-sandbox")
        wait_for(lambda: reached(service.call("net", "/bridge", fetch_script(INTERNET).encode()).text), "calls after it")
        service.stop()
        equal(tables(), "", "tables afterwards")
        equal(forwards(), "0", "forwarding afterwards")


def test_many_instances_at_once():
    with network() as service:
        service.create_route("net", "/bridge", IMAGE)
        texts = [None] * 24

        def one(i):
            texts[i] = service.call("net", "/bridge", fetch_script(INTERNET).encode()).text

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(texts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        bad = [text for text in texts if not reached(text)]
        equal(bad, [], "answers")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--outside"]:
        outside(int(sys.argv[2]))
    else:
        run(globals())
