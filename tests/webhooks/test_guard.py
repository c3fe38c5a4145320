"""Where we connect on somebody else's word: a table of every trick that we know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.webhooks.guard import Forbidden, Rules, Target, check_address, check_addresses, target_of

STRICT = Rules()
AT_HOME = Rules(loopback=True)

GOOD = {
    "https://customer.com/hook": Target("https", "customer.com", 443, "/hook"),
    "https://customer.com": Target("https", "customer.com", 443, "/"),
    "https://Customer.COM:443/Hook": Target("https", "customer.com", 443, "/Hook"),
    "https://a.b-c.co.kr:8443/x/y?z=1&q=%20": Target(
        "https", "a.b-c.co.kr", 8443, "/x/y?z=1&q=%20"
    ),
    "https://customer.com?key=1": Target("https", "customer.com", 443, "/?key=1"),
    "https://xn--9n2bp8q.com/h": Target("https", "xn--9n2bp8q.com", 443, "/h"),
    "https://8.8.8.8/h": Target("https", "8.8.8.8", 443, "/h"),
    "https://[2606:4700:4700::1111]/h": Target("https", "2606:4700:4700::1111", 443, "/h"),
    "https://0x7f.com/h": Target("https", "0x7f.com", 443, "/h"),
}
BAD_URLS = [
    # The scheme, and what stands before the host.
    *("http://customer.com/", "ftp://customer.com/", "file:///etc/passwd", "customer.com/hook"),
    *("HTTPS://customer.com/", "https:customer.com", "https:/customer.com", "//customer.com/"),
    *("https://user@customer.com/", "https://user:pass@customer.com/", "https://@customer.com/"),
    *("https://customer.com@127.0.0.1/", "https://127.0.0.1#@customer.com/"),
    *("javascript:alert(1)", "gopher://customer.com/", ""),
    # What two readers read differently.
    *("https://customer.com\\@127.0.0.1/", "https:\\\\customer.com\\", "https://customer.com/a b"),
    *("https://customer.com/\r\nHost: x", "https://customer.com/\x00", "\thttps://customer.com/"),
    *("https://customer.com/#part", "https://customer.com/é", "https://1\uff127.0.0.1/"),
    *("https://127。0。0。1/", "https://customer.com:443:80/", "https://customer.com:/"),
    *("https://cust%6fmer.com/", "https://customer.com%2f@127.0.0.1/", "https://ⓔxample.com/"),
    *("https://customer..com/", "https://.customer.com/", "https://customer.com./"),
    *("https://-a.com/", "https://a-.com/", "https://a_b.com/", f"https://{'a' * 64}.com/"),
    f"https://customer.com/{'a' * 2048}",
    # Ports.
    *("https://customer.com:22/", "https://customer.com:80/", "https://customer.com:6379/"),
    *("https://customer.com:0/", "https://customer.com:65536/", "https://customer.com:99999/"),
    *("https://customer.com:4430/", "https://customer.com:+443/"),
    # Names of ours.
    *("https://localhost/", "https://LOCALHOST/", "https://a.localhost/", "https://intranet/"),
    *("https://metadata.google.internal/", "https://printer.local/", "https://nas.lan/"),
    *("https://x.home.arpa/", "https://a.test/", "https://a.example/", "https://a.invalid/"),
    *("https://kubernetes/", "https://db.default.svc.cluster.local/", "https://a.onion/"),
    # Addresses in other clothes: decimal, octal, hexadecimal, short.
    *("https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://127.1/"),
    *("https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://127.0.1/", "https://0/"),
    *("https://010.0.0.1/", "https://8.8.8/", "https://1.2.3.4.5/", "https://256.1.1.1/"),
    *("https://0x8.0x8.0x8.0x8/", "https://134744072/", "https://a.1/", "https://08.8.8.8/"),
    *("https://8.8.8.0x8/", "https://customer.0x7f/"),
    *("https://[::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1", "https://[v1.x]/"),
    *("https://[]/", "https://[:::1]/", "https://[1.2.3.4]/"),
]
BAD_ADDRESSES = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255"),  # noqa: S104 - refused, not listened on
    *("127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1"),
    *("192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("192.31.196.1", "192.52.193.1", "192.175.48.1"),
    *("::", "::1", "::2", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8"),
    *("::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1"),
    *("3fff::1", "2620:4f:8000::1", "4000::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1"),
    *("ff02::1", "ff0e::1", "fe80::1%eth0", "5f00::1", "8000::1"),
    *("", "localhost", "127.1", "0x7f000001", "8.8.8.8 ", "2606:4700::1%lo"),
]
GOOD_ADDRESSES = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.0"),
    *("192.0.1.0", "192.167.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2a00:1450::1", "2003::1"),
]


@pytest.mark.parametrize("url", GOOD)
def test_a_public_url_is_read_into_its_parts(url: str) -> None:
    assert target_of(url, STRICT) == GOOD[url]
    assert target_of(target_of(url, STRICT).url, STRICT) == GOOD[url]


@pytest.mark.parametrize("url", BAD_URLS)
def test_any_other_url_is_refused_and_not_repaired(url: str) -> None:
    with pytest.raises(Forbidden):
        target_of(url, STRICT)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_is_not_public_is_refused_whoever_names_it(address: str) -> None:
    with pytest.raises(Forbidden):
        check_address(address, STRICT)
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(Forbidden):
        target_of(f"https://{literal}/", STRICT)


@pytest.mark.parametrize("address", GOOD_ADDRESSES)
def test_its_public_neighbours_are_let_pass(address: str) -> None:
    check_address(address, STRICT)


def test_one_address_of_ours_condemns_a_name() -> None:
    check_addresses(["8.8.8.8", "2606:4700::1"], STRICT)
    for addresses in (["8.8.8.8", "10.0.0.1"], ["::1", "8.8.8.8"], []):
        with pytest.raises(Forbidden):
            check_addresses(addresses, STRICT)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_the_library_calls_private_or_ours_is_never_public(address: object) -> None:
    private = any(
        getattr(address, f"is_{name}")
        for name in ("private", "loopback", "link_local", "multicast", "reserved", "unspecified")
    )
    try:
        check_address(str(address), STRICT)
    except Forbidden:
        return
    assert not private


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8080/h", "http://localhost:9/h", "http://[::1]:80/", "https://127.0.0.1/"],
)
def test_a_developer_may_be_told_on_this_machine_and_nobody_else(url: str) -> None:
    assert target_of(url, AT_HOME).url.startswith(url.split(":", maxsplit=1)[0])
    check_address("127.0.0.1", AT_HOME)
    with pytest.raises(Forbidden):
        target_of(url, STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "http://customer.com/",
        "https://10.0.0.1/",
        "http://a.localhost/",
        "http://127.1/",
        "http://0/",
    ],
)
def test_development_opens_loopback_and_nothing_more(url: str) -> None:
    with pytest.raises(Forbidden):
        target_of(url, AT_HOME)
    with pytest.raises(Forbidden):
        check_address("10.0.0.1", AT_HOME)


def test_a_list_of_hosts_is_all_there_is() -> None:
    rules = Rules(hosts=("customer.com",))
    for good in ("https://customer.com/", "https://a.customer.com/"):
        assert target_of(good, rules)
    for bad in ("https://notcustomer.com/", "https://customer.com.evil.net/", "https://8.8.8.8/"):
        with pytest.raises(Forbidden):
            target_of(bad, rules)
