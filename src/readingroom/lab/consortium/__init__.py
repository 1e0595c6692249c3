"""What lies beyond the library's router in the lab: a consortium with its gateway, its library system and its resolver.

Test equipment, not machines: addresses in a namespace of their own, and programs that speak the real protocols there.
"""

# The consortium's own network, behind the library's router, and the network of its library system, behind its gateway.
NETWORK, NETWORK6 = "10.66.0.0/24", "fd66::/64"
GATEWAY, GATEWAY6 = "10.66.0.1", "fd66::1"
RESOLVER, RESOLVER6 = "10.66.0.53", "fd66::53"
SYSTEMS, SYSTEMS6 = "10.88.0.0/24", "fd88::/64"
LIBRARY_SYSTEM, LIBRARY_SYSTEM6 = "10.88.0.10", "fd88::10"
# The one web server for every name that leads nowhere else.
WEB, WEB6 = "10.66.0.80", "fd66::80"
# Where tunnels end: the gateway's own addresses in the tunnel's network, and those of its members after them.
TUNNEL, TUNNEL6 = "10.89.0.0/24", "fd89::/64"
TUNNEL_PORT = 51820
SIP_PORT, SIP_TELNET_PORT, SIP_TLS_PORT = 6001, 8023, 6443
# There the gateway talks to stations only that show a certificate of the consortium's authority.
SIP_MUTUAL_PORT = 6543
