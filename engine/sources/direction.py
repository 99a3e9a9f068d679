"""Which way traffic goes, seen from the home networks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, Final

import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.kernels import _native

PRIVATE_NETWORKS: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
    "::1/128",
    "0.0.0.0/32",
    "::/128",
    "224.0.0.0/24",
    "239.0.0.0/8",
    "255.255.255.255/32",
    "ff01::/16",
    "ff02::/16",
    "ff05::/16",
    "ff08::/16",
)
"""Home networks unless others are given: private, shared (RFC 6598), loopback and link-local addresses, the unspecified
address, broadcast, and groups whose multicast does not leave the site (RFC 1918, 2365, 4193, 4291, 6890)."""


class HomeNetworks:
    """Networks that count as inside.

    Parameters
    ----------
    networks
        In CIDR notation, IPv4 and IPv6, or single addresses; empty: :data:`PRIVATE_NETWORKS`.

    Raises
    ------
    SourceError
        One is no network.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks: list[tuple[str, int]] = []
        for network in networks or PRIVATE_NETWORKS:
            try:
                parsed = ip_network(network.strip(), strict=False)
            except ValueError as error:
                raise SourceError(
                    f"home network {network!r} is no network in CIDR notation; expected one like 192.168.0.0/16"
                ) from error
            self._networks.append((str(parsed.network_address), parsed.prefixlen))

    def inside(self, addresses: Any) -> _native.Column:
        """Return whether each address is in one of the networks, a boolean column; null for what is no address.

        Parameters
        ----------
        addresses
            Text column: a native column, a pyarrow Array, or a Polars Series.
        """
        return _native.inside_networks(_arrow(addresses), self._networks)

    def directions(self, source: Any, destination: Any) -> pl.Series:
        """Return ``"outbound"``, ``"inbound"``, ``"internal"`` or ``"external"`` for each pair of addresses.

        ``"external"`` is traffic of which neither end is inside. Null where one of them is no address. Parameters as
        for :meth:`inside`.
        """
        return pl.Series(self.direction_column(source, destination))

    def direction_column(self, source: Any, destination: Any) -> _native.Column:
        """Return what :meth:`directions` does, as a native column."""
        return _native.traffic_directions(self.inside(source), self.inside(destination))


def directions(source_inside: Any, destination_inside: Any) -> pl.Series:
    """Return what :meth:`HomeNetworks.directions` does, by whether each end is inside (boolean columns)."""
    return pl.Series(_native.traffic_directions(_arrow(source_inside), _arrow(destination_inside)))


def _arrow(column: Any) -> Any:
    return column.to_arrow() if isinstance(column, pl.Series) else column
