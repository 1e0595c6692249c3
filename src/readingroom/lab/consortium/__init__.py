"""What lies beyond the library's router in the lab: a consortium with its gateway, its library system and its resolver.

Test equipment, not machines: addresses in a namespace of their own, and programs that speak the real protocols there.
"""

# The consortium's own network, behind the library's router, and the network of its library system, behind its gateway.
NETWORK, NETWORK6 = "10.66.0.0/24", "fd66::/64"
GATEWAY, GATEWAY6 = "10.66.0.1", "fd66::1"
RESOLVER, RESOLVER6 = "10.66.0.53", "fd66::53"
SYSTEMS, SYSTEMS6 = "10.88.0.0/24", "fd88::/64"
LIBRARY_SYSTEM, LIBRARY_SYSTEM6 = "10.88.0.10", "fd88::10"
# The internet, behind the gateway as well: the one web server for every name that leads nowhere else, and the resolver once more.
INTERNET, INTERNET6 = "203.0.113.0/24", "2001:db8:66::/64"
WEB, WEB6 = "203.0.113.80", "2001:db8:66::80"
PUBLIC_RESOLVER, PUBLIC_RESOLVER6 = "203.0.113.53", "2001:db8:66::53"
# Where tunnels end: the gateway's own addresses in the tunnel's network, and those of its members after them.
TUNNEL, TUNNEL6 = "10.89.0.0/24", "fd89::/64"
TUNNEL_PORT = 51820
SIP_PORT, SIP_TELNET_PORT, SIP_TLS_PORT = 6001, 8023, 6443
# There the gateway talks to stations only that show a certificate of the consortium's authority.
SIP_MUTUAL_PORT = 6543
