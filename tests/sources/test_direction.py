from ipaddress import ip_address, ip_network

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.direction import PRIVATE_NETWORKS, HomeNetworks, directions

addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda address: address.exploded),
    st.ip_addresses(v=4).map("::ffff:{}".format),
    st.sampled_from(["10.0.0.1", "172.32.0.0", "fe80::1", "fe80::1%eth0", "::", "::1", "1::", "255.255.255.255"]),
    st.text("0123456789abcdef:.%/ ", max_size=20),
    st.sampled_from(
        [None, "", "host", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1::2::3", ":1", "1:2:3:4:5:6:7:8:9"]
    ),
)
home_networks = st.sampled_from(
    [(), ("0.0.0.0/0",), ("2001:db8::/33", "10.2.0.0/15", "9.9.9.9"), ("::/0",), ("::ffff:0:0/97", "10.0.0.0/31")]
)


def inside(networks, addresses):
    """Return what HomeNetworks says of addresses, as a list."""
    return pl.Series(networks.inside(addresses)).to_list()


def is_inside(text, networks):
    """Return whether an address is in a network, by the standard library; None for what is no address."""
    if text is None:
        return None
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    version_4 = address if address.version == 4 else address.ipv4_mapped
    forms = {address, version_4, ip_address(f"::ffff:{version_4}")} if version_4 else {address}
    return any(each in network for each in forms for network in networks)


@given(st.lists(addresses, max_size=10), home_networks)
@example(["1.2.3.4:5", "1.2.3.4::", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "::1:", "1:::2", "%", "1.2.3.4%x"], ())
@settings(max_examples=60, deadline=None)
def test_inside_is_what_the_standard_library_says(texts, given_networks):
    networks = [ip_network(network) for network in given_networks or PRIVATE_NETWORKS]
    column = pl.Series("ip", texts, dtype=pl.String)
    expected = [is_inside(text, networks) for text in texts]
    assert inside(HomeNetworks(given_networks), column) == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_any_arrow_text_is_taken_with_an_offset(kind):
    column = pa.array(["x", "10.0.0.1", None, "8.8.8.8", "2001:0db8:0000:0000:0000:0000:0000:0001"], kind)[1:]
    assert inside(HomeNetworks(("10.0.0.0/8", "2001:db8::/32")), column) == [True, None, False, True]


def test_directions_tell_the_four_cases():
    source = pl.Series(["10.0.0.1", "8.8.8.8", "10.0.0.1", "8.8.8.8", None, "10.0.0.1"])
    destination = pl.Series(["8.8.8.8", "10.0.0.1", "10.0.0.2", "9.9.9.9", "10.0.0.1", "here"])
    assert HomeNetworks().directions(source, destination).to_list() == [
        "outbound",
        "inbound",
        "internal",
        "external",
        None,
        None,
    ]


def test_directions_of_what_is_known_of_both_ends():
    ends = [True, False, None]
    source = pl.Series([each for each in ends for _ in ends] * 5)
    destination = pl.Series(ends * 15)
    names = {(True, False): "outbound", (False, True): "inbound", (True, True): "internal", (False, False): "external"}
    expected = [names.get(pair) for pair in zip(source, destination, strict=True)]
    assert directions(source, destination).to_list() == expected
    assert directions(source[4:], destination[4:].to_arrow()).to_list() == expected[4:]
    with pytest.raises(ValueError, match="different lengths"):
        directions(source, destination[1:])
    with pytest.raises(ValueError, match="expected a boolean column, got Arrow format 'l'"):
        directions(pl.Series([1]), pl.Series([True]))


def test_what_is_no_network_is_an_error():
    with pytest.raises(SourceError, match=r"home network '10\.0\.0\.0/33' is no network in CIDR"):
        HomeNetworks(["10.0.0.0/33"])
    with pytest.raises(ValueError, match="no text column but of Arrow format 'l'"):
        HomeNetworks().inside(pl.Series([1]))
