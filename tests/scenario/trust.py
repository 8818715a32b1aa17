"""Who may come in: certificates that are wrong, each in its own way, are refused with a reason that
both ends log, and nobody is served through them."""
import os
import re
import shutil
import stat
import subprocess
import time

from ends import Nat, Service, echo, echo_once, is_served
from lab import REGISTERED, Skip, scenario, until
from stages import client_config, tunnel_client, tunnel_server


def openssl(lab, *words):
    if not shutil.which("openssl"):
        raise Skip("openssl makes the odd certificates, and is not here")
    run = subprocess.run(["openssl", *words], cwd=lab.folder, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    assert run.returncode == 0, run.stdout


def make_certificate(lab, name, san, ca="ca", start=None, end=None, use="clientAuth"):
    """A certificate of our own choosing; ca None: self-signed."""
    lab.write(f"{name}.ext", f"subjectAltName={san}\nextendedKeyUsage={use}\nbasicConstraints=CA:FALSE\n")
    openssl(lab, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    os.chmod(lab.path(f"{name}.key"), 0o600)
    if ca is None:
        openssl(lab, "x509", "-req", "-in", f"{name}.csr", "-signkey", f"{name}.key", "-days", "1",
                "-extfile", f"{name}.ext", "-out", f"{name}.crt")
        return
    lab.write("ca.cnf", "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index.txt\nserial=serial\n"
              "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    lab.write("index.txt", "")
    lab.write("serial", "1234\n")
    openssl(lab, "ca", "-batch", "-config", "ca.cnf", "-cert", f"{ca}.crt", "-keyfile", f"{ca}.key",
            "-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", f"{name}.ext", "-notext",
            "-startdate", start or "20240101000000Z", "-enddate", end or "20991231235959Z")


def refused(lab, server_says, client_says, **options):
    """A client with these options is not let in; one with a good certificate is, afterwards."""
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab, certs=not os.path.exists(lab.path("ca.crt")))
    bad = lab.start("bad", client_config(dial, service.address, **options))
    bad.await_line(client_says)
    if server_says:
        stage.server.await_line(server_says)
    assert not bad.count(REGISTERED)
    assert not is_served(stage.address)
    bad.stop()
    tunnel_client(lab, dial, service.address)
    echo_once(stage.address)


REASON = "(?i)certificate|expired|signer|unknown ca|bad_certificate|handshake"


@scenario
def a_wrong_server_name_is_refused(lab):
    lab.certs()
    refused(lab, None, "(?i)name", server_name="other.example")


@scenario
def a_server_of_another_ca_is_refused_by_the_client(lab):
    lab.certs()
    lab.certs("foreign")
    refused(lab, REASON, "(?i)certificate|signer|ca", ca="foreign/ca.crt")


@scenario
def a_client_of_another_ca_is_refused(lab):
    lab.certs()
    lab.certs("foreign")
    refused(lab, REASON, REASON,
            tls="cert = foreign/client.crt\nkey = foreign/client.key\n")


@scenario
def a_self_signed_client_is_refused(lab):
    lab.certs()
    make_certificate(lab, "self", "DNS:client", ca=None)
    refused(lab, REASON, REASON, tls="cert = self.crt\nkey = self.key\n")


@scenario
def a_client_whose_certificate_expires_before_it_arrives_is_refused(lab):
    lab.certs()
    end = int(time.time()) + 3
    make_certificate(lab, "old", "DNS:client",
                     end=time.strftime("%Y%m%d%H%M%SZ", time.gmtime(end)))
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab, certs=False)
    nat = lab.add(Nat(dial))
    nat.silent = True
    bad = lab.run("bad", client_config(nat.address, service.address,
                                       tls="cert = old.crt\nkey = old.key\n"))
    until(lambda: time.time() > end + 1, "it has expired")
    nat.silent = False
    bad.await_line(REASON)
    stage.server.await_line(REASON)
    assert not bad.count(REGISTERED) and not is_served(stage.address)


def not_started(lab, words, tls):
    """A client that could never be let in is not even started."""
    lab.write("bad.ini", client_config("127.0.0.1:1", "127.0.0.1:2", tls=tls))
    code, text = lab.call("bad.ini")
    assert code == 2 and re.search(r"bad\.ini:\d+: .*" + words, text), (code, text)


@scenario
def a_client_does_not_start_with_an_expired_certificate(lab):
    lab.certs()
    make_certificate(lab, "old", "DNS:client", end="20240201000000Z")
    not_started(lab, "expired", "cert = old.crt\nkey = old.key\n")


@scenario
def a_client_does_not_start_with_a_certificate_of_tomorrow(lab):
    lab.certs()
    make_certificate(lab, "early", "DNS:client", start="20980101000000Z")
    not_started(lab, "not valid before", "cert = early.crt\nkey = early.key\n")


@scenario
def a_client_does_not_start_without_a_certificate(lab):
    lab.certs()
    not_started(lab, "no cert", "")


@scenario
def a_servers_certificate_does_not_make_a_client(lab):
    lab.certs()
    make_certificate(lab, "double", "DNS:client", use="serverAuth")
    refused(lab, REASON, REASON, tls="cert = double.crt\nkey = double.key\n")


@scenario
def an_identity_that_is_not_allowed_is_refused_in_words(lab):
    lab.certs(".", "--client", "client", "--client", "stranger")
    refused(lab, r"(?i)stranger.*allow|allow.*stranger", "(?i)allow|refused",
            tls="cert = stranger.crt\nkey = stranger.key\n")


@scenario
def the_common_name_is_not_an_identity(lab):
    lab.certs()
    make_certificate(lab, "client-2", "DNS:somebody.else")  # CN=client-2 would match client-*
    refused(lab, r"(?i)allow", "(?i)allow|refused", tls="cert = client-2.crt\nkey = client-2.key\n")


@scenario
def a_uri_is_an_identity(lab):
    lab.certs()
    make_certificate(lab, "uri", "URI:spiffe://example/pod")
    service = lab.add(Service(echo))
    stage, dial = tunnel_server(lab, certs=False, allow="spiffe://example/*")
    tunnel_client(lab, dial, service.address, tls="cert = uri.crt\nkey = uri.key\n")
    echo_once(stage.address)


@scenario
def keys_are_made_for_their_owner_alone(lab):
    lab.certs()
    for name in ("ca.key", "server.key", "client.key"):
        assert stat.S_IMODE(os.stat(lab.path(name)).st_mode) == 0o600, name


@scenario
def a_key_that_others_may_read_is_refused(lab):
    lab.certs()
    os.chmod(lab.path("client.key"), 0o644)
    lab.write("client.ini", client_config("127.0.0.1:1", "127.0.0.1:2"))
    for words in (("client.ini",), ("check", "client.ini")):
        code, text = lab.call(*words)
        assert code == 2 and "client.ini:" in text and "client.key" in text, (code, text)
