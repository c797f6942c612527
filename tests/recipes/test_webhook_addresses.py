"""Addresses of webhooks: no endpoint of a stranger reaches what only this network can reach."""

import ipaddress
import json
import socket

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError

from heliograph.outbox import drain
from heliograph.recipes.webhooks.addresses import (
    RefusedError,
    UnknownHostError,
    addresses_of,
    destination,
    is_public,
    verify_url,
)
from heliograph.recipes.webhooks.conf import check_settings, webhook_settings
from heliograph.recipes.webhooks.models import Attempt, Endpoint
from heliograph.recipes.webhooks.signals import event_happened
from tests.helpers.endpoints import serving

PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1"),
    *("2002:7f00:1::1", "2002:a00:1::", "2001:0:7f00:1::", "3fff::1", "5f00::1", "203.0.113.5"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_r14_an_address_of_this_network_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


# --- the addresses of a host --------------------------------------------------------------------------------------


@pytest.fixture
def resolve(settings):
    """Answer as a name server: the first call has the first answer."""

    def answer(*answers, **options):
        left = iter(answers)
        settings.HELIOGRAPH_WEBHOOKS = {"RESOLVER": lambda host, port: next(left), **options}

    return answer


@pytest.mark.parametrize("answer", [["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"]], ids=str)
def test_r14_a_host_with_a_private_address_is_refused(resolve, answer):
    resolve(answer)
    with pytest.raises(RefusedError) as raised:
        destination("https://hooks.example/")
    assert str(raised.value) == (
        f"hooks.example has the address {answer[-1]}, which is not public. HELIOGRAPH_WEBHOOKS['ALLOW_PRIVATE'] has the"
        " hosts and networks that may be called all the same."
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"])
def test_r14_however_this_machine_is_written_it_is_refused(settings, host):
    settings.HELIOGRAPH_WEBHOOKS = {}
    with pytest.raises(RefusedError, match="which is not public"):
        destination(f"https://{host}/")


def test_a_public_host_is_not_refused(resolve):
    resolve(["8.8.8.8", "2606:4700::1111"])
    found = destination("https://hooks.example:8443/a?b=c")
    assert (found.host, found.port, found.target) == ("hooks.example", 8443, "/a?b=c")
    assert (found.addresses, found.authority) == (["8.8.8.8", "2606:4700::1111"], "hooks.example:8443")


def test_the_usual_port_is_not_part_of_the_authority(resolve):
    resolve(["8.8.8.8"], ["2606:4700::1111"])
    assert destination("https://hooks.example").authority == "hooks.example"
    assert destination("https://[2606:4700::1111]").authority == "[2606:4700::1111]"


ALLOWED = {
    "its network": (["10.0.0.0/8"], True),
    "its address": (["10.0.0.1"], True),
    "its host": (["Hooks.example"], True),
    "another network": (["10.1.0.0/16", "fd00::/8"], False),
    "another host": (["example", "other.example"], False),
}


@pytest.mark.parametrize(("allowed", "is_allowed"), ALLOWED.values(), ids=ALLOWED)
@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_the_settings_allow_hosts_and_networks(resolve, allowed, is_allowed, address):
    resolve([address], ALLOW_PRIVATE=allowed)
    if is_allowed:
        assert destination("https://hooks.example/").addresses == [address]
    else:
        with pytest.raises(RefusedError):
            destination("https://hooks.example/")


def test_a_host_without_an_address_is_unknown(resolve):
    resolve([])
    with pytest.raises(UnknownHostError, match=r"^hooks\.example has no address"):
        destination("https://hooks.example/")


def test_the_resolver_of_the_system_says_which_host_has_no_address():
    with pytest.raises(UnknownHostError, match=r"^no-such-host.invalid has no address: "):
        addresses_of("no-such-host.invalid", 443)
    with pytest.raises(UnknownHostError, match="has no address"):
        addresses_of(f"{'a' * 64}.example", 443)


# --- a name server that changes its answer ------------------------------------------------------------------------


def happen(number):
    message = f"msg_{number}"
    event_happened.send(
        sender=None, using="default", event="a.b", message=message, owner="", body=json.dumps({"data": number})
    )


@pytest.mark.django_db
def test_r14_a_name_server_that_changes_its_answer_is_noticed_at_the_next_request(settings):
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    settings.HELIOGRAPH_WEBHOOKS = {
        "ALLOW_HTTP": True,
        "ALLOW_PRIVATE": ["127.0.0.0/8"],
        "RESOLVER": lambda host, port: next(answers),
    }
    with serving() as server:
        Endpoint.objects.create(url=server.url("hooks.example"))
        happen(1)
        drain()
        happen(2)
        drain()
        assert len(server.requests) == 1
    assert "hooks.example has the address 10.0.0.1" in Attempt.objects.last().error


@pytest.mark.django_db
def test_r14_the_address_that_was_verified_is_the_one_that_is_called(webhooks_here, monkeypatch):
    """A second question, between the check and the request, would have another answer."""
    asked = []

    def getaddrinfo(host, *arguments, **options):
        asked.append(host)
        return resolve(host, *arguments, **options)

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with serving() as server:
        answers = iter([["127.0.0.1"]])
        webhooks_here(RESOLVER=lambda host, port: next(answers))
        Endpoint.objects.create(url=server.url("hooks.example"))
        happen(1)
        drain()
        assert len(server.requests) == 1
    assert "hooks.example" not in asked


# --- URLs ---------------------------------------------------------------------------------------------------------

REFUSED = {
    "http://hooks.example/": "The URL must begin with https, so that nobody on the way can read what is sent.",
    "ftp://hooks.example/": "The URL must begin with https.",
    "file:///etc/passwd": "The URL must begin with https.",
    "hooks.example": "The URL must begin with https.",
    "https:///hooks": "The URL has no host.",
    "https://ada:secret@hooks.example/": ("The URL has a user or a password: put what identifies you into its path."),
    "https://hooks.example/#here": "The URL has a #fragment, which is never sent: leave it out.",
    "https://hooks.example:x/": "This is no URL: Port could not be cast to integer value as 'x'.",
    "https://[::1/": "This is no URL: Invalid IPv6 URL.",
    "https://h\u00f6\u00f6ks.example/": (
        "A URL has no spaces, and only ASCII characters: write a host as IDNA, and others as %XX."
    ),
    "https://hooks.example/\r\nX-Evil: 1": (
        "A URL has no spaces, and only ASCII characters: write a host as IDNA, and others as %XX."
    ),
}


@pytest.mark.parametrize(("url", "text"), REFUSED.items(), ids=[ascii(url) for url in REFUSED])
def test_a_url_that_cannot_be_that_of_an_endpoint_is_refused(url, text):
    with pytest.raises(RefusedError) as raised:
        verify_url(url)
    assert str(raised.value) == text


def test_an_endpoint_with_such_a_url_is_not_valid():
    with pytest.raises(ValidationError) as raised:
        Endpoint(url="http://hooks.example/").full_clean(validate_unique=False)
    assert [*raised.value.message_dict] == ["url"]


# --- settings -----------------------------------------------------------------------------------------------------

NONSENSE = {
    "no dict": (7, "HELIOGRAPH_WEBHOOKS must be a dict of settings, not 7."),
    "no such key": (
        {"TIME_OUT": 1},
        "HELIOGRAPH_WEBHOOKS has no 'TIME_OUT': it takes ALLOW_PRIVATE, ALLOW_HTTP, TIMEOUT, DISABLE_AFTER, ROTATION,"
        " KEEP, CA_FILE, RESOLVER, BACKEND.",
    ),
    "one network": (
        {"ALLOW_PRIVATE": "10.0.0.0/8"},
        "HELIOGRAPH_WEBHOOKS['ALLOW_PRIVATE'] takes a list of hosts and networks, not '10.0.0.0/8'.",
    ),
    "no timeout": ({"TIMEOUT": None}, "HELIOGRAPH_WEBHOOKS['TIMEOUT'] takes seconds, up to 300, not None."),
    "a number of days": (
        {"DISABLE_AFTER": 5},
        "HELIOGRAPH_WEBHOOKS['DISABLE_AFTER'] takes a timedelta of more than nothing, not 5.",
    ),
    "no rotation": (
        {"ROTATION": None},
        "HELIOGRAPH_WEBHOOKS['ROTATION'] takes a timedelta of more than nothing, not None.",
    ),
}


@pytest.mark.parametrize(("given", "text"), NONSENSE.values(), ids=NONSENSE)
def test_settings_that_make_no_sense_are_refused(settings, given, text):
    settings.HELIOGRAPH_WEBHOOKS = given
    with pytest.raises(ImproperlyConfigured) as raised:
        webhook_settings()
    assert str(raised.value) == text
    (message,) = check_settings(None)
    assert (message.id, message.msg) == ("heliograph.E203", text)


def test_a_resolver_that_is_not_there_is_an_error_of_the_check(settings):
    settings.HELIOGRAPH_WEBHOOKS = {"RESOLVER": "shop.dns.resolve"}
    (message,) = check_settings(None)
    assert "No module named 'shop'" in message.msg


def test_settings_that_make_sense_have_no_error(settings):
    settings.HELIOGRAPH_WEBHOOKS = {"RESOLVER": "heliograph.recipes.webhooks.addresses.addresses_of"}
    assert check_settings(None) == []
